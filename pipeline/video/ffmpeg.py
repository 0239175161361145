"""FFmpeg through PyAV: decodes files and network streams, with readable errors."""

import errno
import math
import os
import socket
import time
from collections import deque
from urllib.parse import SplitResult, urlsplit

import av
import av.error
import cv2
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from pipeline.base.clock import now_ns
from pipeline.base.frame import Image
from pipeline.base.redact import redact_source
from pipeline.video.frame_numbers import FrameNumbers
from pipeline.video.source import Picture, SourceError, SourceErrorKind

_NO_IMAGE: Image = np.zeros((0, 0, 3), np.uint8)
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


_HEALS_IN = 300
"""Frames after which smearing is assumed to have cleared without a key frame (gradual intra refresh)."""
_MOST_LOST = 64


class NoPictureError(Exception):
    """Data arrives, but no frame can be decoded from it."""


class PictureDecoder:
    """Decodes the first video track of an open container into upright BGR frames.

    Attributes:
        fps: Average frame rate; None if the container does not provide it.
    """

    def __init__(self, container: InputContainer, *, low_delay: bool) -> None:
        """Prepares decoding.

        Args:
            container: An open container with at least one video track.
            low_delay: Whether to return each frame immediately instead of decoding several in parallel.
        """
        stream = container.streams.video[0]
        is_h264 = stream.codec_context.name == "h264"
        self._numbers = FrameNumbers(stream.codec_context.extradata) if is_h264 else None
        stream.thread_type = "SLICE" if low_delay else "AUTO"
        if low_delay and is_h264:
            stream.thread_count = 1  # with more, FFmpeg neither conceals nor reports lost slices
        if low_delay:
            stream.codec_context.flags |= int(Flags.low_delay)
        rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate else None
        self._track = stream.index
        # Read all tracks: for a single one, PyAV could wait indefinitely while the others deliver.
        self._packets = container.demux()
        self._decoded: deque[Picture] = deque()
        self._lost: deque[int] = deque(maxlen=_MOST_LOST)  # time stamps of incomplete frames
        self._smeared_for = 0  # remaining smeared frames if no key frame arrives
        self._reformatter = VideoReformatter()

    def next(self, limit_s: float = math.inf) -> Picture | None:
        """The next frame, flagged if it is damaged; None at the end.

        Args:
            limit_s: How long to read data from which no frame can be decoded, in seconds. Silence is limited
                by the container's own read timeout.

        Raises:
            NoPictureError: There was no frame within ``limit_s``.
            av.error.FFmpegError: The container can't be read any further.
        """
        started_s = time.monotonic()
        while not self._decoded:
            packet = next(self._packets, None)
            if packet is None:
                return None
            # A flush packet may have no stream.
            if packet.stream is not None and packet.stream.index == self._track:
                self._decode(packet)
            if not self._decoded and time.monotonic() - started_s > limit_s:
                raise NoPictureError
        return self._decoded.popleft()

    def _decode(self, packet: "Packet[Stream]") -> None:
        if packet.is_corrupt or (self._numbers and self._numbers.is_gap_before(bytes(packet))):
            if packet.pts is None:
                self._smeared_for = _HEALS_IN
            else:
                self._lost.append(packet.pts)
        try:
            frames = packet.decode()
            self._decoded.extend(self._picture(frame) for frame in frames if isinstance(frame, VideoFrame))
        except av.error.InvalidDataError:
            self._smeared_for = _HEALS_IN
            self._decoded.append(Picture(_NO_IMAGE, now_ns(), damaged=True))

    def _picture(self, frame: VideoFrame) -> Picture:
        capture_ns = now_ns()
        image = np.asarray(self._reformatter.reformat(frame, format="bgr24").to_ndarray(), np.uint8)
        turn = _TURNS.get(round(frame.rotation) % 360)
        if turn is not None:
            image = np.asarray(cv2.rotate(image, turn), np.uint8)
        pts_ns = None
        if frame.pts is not None and frame.time_base is not None:
            pts_ns = int(frame.pts * frame.time_base * 1_000_000_000)
        return Picture(image, capture_ns, pts_ns, smeared=self._is_smeared(frame))

    def _is_smeared(self, frame: VideoFrame) -> bool:
        """Whether data is missing in a frame or in one of its reference frames."""
        if frame.is_corrupt or frame.pts in self._lost:
            self._smeared_for = _HEALS_IN
        elif frame.key_frame:
            self._smeared_for = 0
        else:
            self._smeared_for = max(self._smeared_for - 1, 0)
        return self._smeared_for > 0


def network_error(url: str, error: av.error.FFmpegError, waited_s: float, timeout_s: float) -> SourceError:
    """Converts an FFmpeg error into a readable error with advice.

    FFmpeg's own text (``str(error)``) repeats the URL with its password, so only its class and ``strerror``
    are used.

    Args:
        url: The URL.
        error: FFmpeg's error.
        waited_s: Time until it failed, in seconds.
        timeout_s: The timeout, in seconds.
    """
    if waited_s >= 0.95 * timeout_s:  # an interrupted handshake looks like invalid data
        error = av.error.TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    kind, advice = _explain(urlsplit(url), error, timeout_s)
    return SourceError(kind, redact_source(url), advice)


def _explain(url: SplitResult, error: av.error.FFmpegError, timeout_s: float) -> tuple[SourceErrorKind, str]:
    host = url.hostname or "the server"
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return "unauthorized", f"{host} rejects this user name or password; check both in the URL"
        case av.error.HTTPNotFoundError():
            # An unescaped "/" in a password moves the rest of it, and the "@", into the path.
            path = "that path" if "@" in url.path else url.path or "/"
            return "not_found", f"{host} has no stream at {path}; check the path in the URL"
        case av.error.ConnectionRefusedError():
            return "refused", "connection refused; is the camera on, and is this its port?"
        case av.error.ExitError() | av.error.TimeoutError():
            return "timeout", f"no answer within {timeout_s:g} s; check that it is on and can be reached"
        case av.error.InvalidDataError():
            return "not_video", f"{host} answers but sends no video; check the port and the path"
        case av.error.ProtocolNotFoundError():
            return "bad_url", f"the installed FFmpeg does not support {url.scheme}://; use another protocol"
        case _ if not _is_known(host):
            return "not_found", f"host {host} can't be found; check its name in the URL"
        case _:
            return "failed", f"{error.strerror}; check that the camera is on and can be reached"


def _is_known(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True
