"""Encodes and decodes images with camera codecs: JPEG and H.264."""

from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np

from pipeline.base.frame import Image

_KEY_FRAME_EVERY = 25


def through_jpeg(picture: Image, quality: int) -> Image:
    """Encodes a BGR image with this quality (1 to 100) and decodes it."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def through_h264(pictures: Sequence[Image], crf: int) -> list[Image]:
    """Encodes BGR frames of one size, in time order, with x264 at a CRF of 0 to 51 and decodes them."""
    import av  # imported here, because nothing else in training needs it

    height, width = pictures[0].shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = width + width % 2, height + height % 2
    encoder.pix_fmt = "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, _KEY_FRAME_EVERY), Fraction(_KEY_FRAME_EVERY)
    encoder.options = {"preset": "superfast", "tune": "zerolatency", "crf": str(crf)}
    encoder.gop_size, encoder.thread_count = _KEY_FRAME_EVERY, 1
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for number, picture in enumerate(pictures):
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        planes = np.asarray(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)[:height, :width] for frame in frames]
