"""Passes the newest image of each stream from the sink's thread to the web server's thread."""

import struct
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple, TypeAlias

import cv2
import msgspec

from pipeline.base.clock import now_ns
from pipeline.base.frame import Frame, Image
from pipeline.scene.sentence import camera_in_words, camera_symbol, in_words
from pipeline.wire.messages import Attention, Prediction

Info: TypeAlias = dict[str, Any]
"""Data that the page shows beside an image; plain JSON data, see ``picture_info``."""

_JPEG_QUALITY = 80
_MOST_ENDED = 16
_SILENT_NS = 2_000_000_000
_TIMES_USUAL = 3
"""A stream is silent after ``_SILENT_NS`` without an image, or after this many usual intervals if longer."""
_INTERVALS = 5


def picture_info(
    frame: Frame,
    prediction: Prediction | None,
    trouble: str | None = None,
    *,
    fps: float | None,
    latency_ms: float | None,
) -> Info:
    """Data that the page shows beside an image: identity, labels, motion, number of past frames, rates.

    An image fault (``trouble``) replaces the motion, which is then unknown.
    """
    told = prediction if prediction and prediction.depth else None
    things, camera = (told.things, told.camera) if told else (None, None)
    return {
        "epoch": frame.id.epoch,
        "seq": frame.id.seq,
        "truth": frame.truth if prediction and prediction.scored else None,
        "top": [[label, score] for label, score in prediction.top] if prediction else None,
        "moving": trouble if things is None else in_words(things),
        "seen": None if things is None else sum(bool(thing.was) for thing in things),
        "camera": None if camera is None else f"{camera_symbol(camera)} {camera_in_words(camera)}",
        "depth": prediction.depth if prediction else None,
        "past": prediction.attention.past if prediction and prediction.attention else None,
        "fps": fps,
        "latency_ms": latency_ms,
        "health": trouble,
        "capture_ns": frame.capture_ns,
    }


class Predicted(NamedTuple):
    """The newest image of a stream with its own prediction: when it was published, and its data."""

    shown_ns: int
    info: Info


class Attended(NamedTuple):
    """A prediction, its attention weights, and the images it used.

    Attributes:
        prediction: The prediction as received.
        weights: Its attention weights as received.
        image: Its image without overlay, BGR.
        past_images: Those of ``prediction.past``, oldest first, of any size; None if no longer available.
    """

    prediction: Prediction
    weights: Attention
    image: Image
    past_images: Sequence[Image | None]


class Picture(NamedTuple):
    """An image on the board.

    Attributes:
        version: Counter over the images of all streams.
        image: BGR.
        info: See ``picture_info``.
        shown_ns: Unix time at which it was published.
        predicted: Prediction of this image or an earlier one of its stream; None before the first.
        began_ns: Unix time of the stream's first image since it last ended.
        attended: The attention of the prediction in ``predicted``; None if it has none.
        usual_ns: Usual interval between its images; 0 if unknown.
        plain: The image without overlay; None if it was not provided.
    """

    version: int
    image: Image
    info: Info
    shown_ns: int
    predicted: Predicted | None
    began_ns: int
    attended: Attended | None = None
    usual_ns: int = 0
    plain: Image | None = None

    @property
    def patience_ns(self) -> int:
        """The stream is silent after this time without an image; slow cameras get longer."""
        return max(_SILENT_NS, _TIMES_USUAL * self.usual_ns)


class Board:
    """Holds the newest image of each stream. Thread-safe.

    Only the last few ended streams are kept, because a peer may send any number of names.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._pictures: dict[str, Picture] = {}
        self._ended: dict[str, None] = {}  # in order of their ends
        self._intervals: dict[str, deque[int]] = {}
        self._version = 0
        self.on_change: Callable[[], None] | None = None

    def publish(
        self,
        stream_id: str,
        image: Image,
        info: Info,
        attended: Attended | None = None,
        plain: Image | None = None,
    ) -> None:
        """Publishes an image, which must not be modified afterwards."""
        with self._lock:
            self._version += 1
            shown_ns, before = now_ns(), self._pictures.get(stream_id)
            predicted = before.predicted if before else None
            if info.get("depth") is not None:
                predicted = Predicted(shown_ns, info)
            elif before:
                attended = before.attended
            if before is None or stream_id in self._ended:
                began_ns, intervals = shown_ns, deque[int](maxlen=_INTERVALS)
                self._intervals[stream_id] = intervals
            else:
                began_ns, intervals = before.began_ns, self._intervals[stream_id]
                intervals.append(shown_ns - before.shown_ns)
            usual_ns = sorted(intervals)[len(intervals) // 2] if intervals else 0  # median: ignores outages
            self._pictures[stream_id] = Picture(
                self._version, image, info, shown_ns, predicted, began_ns, attended, usual_ns, plain
            )
            self._ended.pop(stream_id, None)
            if self.on_change:
                self.on_change()

    def end(self, stream_id: str) -> None:
        """Marks a stream as ended, until its next image."""
        with self._lock:
            if stream_id in self._ended or stream_id not in self._pictures:
                return
            self._ended[stream_id] = None
            if len(self._ended) > _MOST_ENDED:
                oldest = next(iter(self._ended))
                del self._ended[oldest]
                self._pictures.pop(oldest, None)
                self._intervals.pop(oldest, None)
            if self.on_change:
                self.on_change()

    def note_ended(self, stream_id: str) -> None:
        """Marks a stream as ended that had no image here, because the sink started after its end."""
        with self._lock:
            if stream_id in self._pictures or stream_id in self._ended or len(self._ended) >= _MOST_ENDED:
                return
            self._ended[stream_id] = None
            if self.on_change:
                self.on_change()

    def stop(self) -> None:
        """Stops calling ``on_change``; waits for a call in progress."""
        with self._lock:
            self.on_change = None

    def newest(self, stream_id: str) -> Picture | None:
        """The newest image of a stream."""
        with self._lock:
            return self._pictures.get(stream_id)

    @property
    def stream_ids(self) -> list[str]:
        """All streams that have an image or have ended, sorted by name."""
        with self._lock:
            return sorted(self._pictures.keys() | self._ended.keys())

    @property
    def ended(self) -> list[str]:
        """The streams that have ended, sorted by name; some have no image."""
        with self._lock:
            return sorted(self._ended)


def encode_jpeg(stream_id: str, image: Image) -> bytes:
    """Encodes an image as JPEG.

    Raises:
        ValueError: OpenCV cannot encode it.
    """
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise ValueError(f"{stream_id}: image can't be encoded as JPEG")
    return jpeg.tobytes()


def pack(stream_id: str, picture: Picture) -> bytes:
    """One binary message for the page: length of the header (4 bytes, big-endian), JSON header, JPEG.

    Raises:
        ValueError: OpenCV cannot encode the image.
    """
    jpeg = encode_jpeg(stream_id, picture.image)
    header = msgspec.json.encode({"stream_id": stream_id, **picture.info})
    return b"".join([struct.pack(">I", len(header)), header, jpeg])
