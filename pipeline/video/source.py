"""The interface of all sources.

A source is opened, read to its end and closed, all in one thread (``reader.py``). Every failure is a
``SourceError`` whose message is one line with a remedy and without passwords.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from pipeline.base.closing import Closing
from pipeline.base.frame import Image
from pipeline.base.moving_thing import Mover
from pipeline.base.redact import redact

if TYPE_CHECKING:
    from pipeline.base.config import CaptureConfig

SourceErrorKind = Literal[
    "bad_url",  # invalid; retrying is useless
    "not_found",  # no such file, host or path on the camera
    "no_camera",
    "empty",
    "not_video",
    "unreadable",
    "unauthorized",
    "refused",
    "timeout",
    "lost",  # disappeared after it was opened
    "failed",  # anything else
]


class SourceError(Exception):
    """A source can't be opened or read.

    Attributes:
        kind: Kind of the error, for programs; ``str(error)`` is human-readable.
        source: Description of the source.
        advice: The cause and the remedy, human-readable.
    """

    def __init__(self, kind: SourceErrorKind, source: str, advice: str) -> None:
        self.kind, self.source, self.advice = kind, redact(source), redact(advice)
        super().__init__(f"{self.source}: {self.advice}")


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame from a source.

    Attributes:
        image: ``(height, width, 3)`` uint8 BGR; ``(0, 0, 3)`` if it could not be decoded at all.
        capture_ns: Unix time in ns at which it left the driver or decoder.
        pts_ns: Presentation time in ns on the source's own clock; None if the source provides none.
        truth: Ground-truth label, from sources that provide it.
        movers: Ground-truth moving objects; None from sources that provide none.
        damaged: Whether decoding failed: the pixels are wrong or missing and must not be used.
        smeared: Whether data was lost, in this frame or in one that it refers to, and the decoder filled the
            gap with copies of other frames.
    """

    image: Image
    capture_ns: int
    pts_ns: int | None = None
    truth: str | None = None
    movers: list[Mover] | None = None
    damaged: bool = False
    smeared: bool = False


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How sources are opened; ``configs/default.toml`` explains each, in ``[capture]``."""

    width_px: int
    height_px: int
    fps: float
    image_fps: float
    rtsp_transport: Literal["tcp", "udp"]
    open_timeout_s: float
    read_timeout_s: float

    @classmethod
    def from_config(cls, config: "CaptureConfig") -> "SourceOptions":
        """Creates the options from ``[capture]``."""
        return cls(
            width_px=config.width_px,
            height_px=config.height_px,
            fps=config.fps,
            image_fps=config.image_fps,
            rtsp_transport=config.rtsp_transport,
            open_timeout_s=config.open_timeout_s,
            read_timeout_s=config.read_timeout_s,
        )


class Source(Closing):
    """A source of frames. Not thread-safe: one thread opens, reads and closes it.

    Attributes:
        live: Whether frames arrive in real time and are lost if they are not read.
        description: Human-readable name: the URL (without its password), path or device.
        fps: Frame rate; None before it is opened, or if the source does not provide it.
        note: What differs from the requested settings, human-readable; empty if nothing does.
    """

    live: bool
    description: str
    fps: float | None = None
    note: str = ""

    @abstractmethod
    def open(self) -> None:
        """Opens the source, within its open timeout if it is live.

        Raises:
            SourceError: It can't be opened.
        """

    @abstractmethod
    def read(self) -> Picture | None:
        """The next frame, or None when the source has ended.

        Raises:
            SourceError: It was lost, or a live source was silent for longer than its read timeout.
        """

    @abstractmethod
    def close(self) -> None:
        """Releases the file, device or connection; idempotent."""

    def __enter__(self) -> Self:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self
