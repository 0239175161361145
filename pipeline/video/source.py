"""The interface of all sources.

A source is opened, read until it has nothing more, and closed; reading is done by one thread
(``reader.py``). Every failure is a ``SourceError`` whose message is one line that names a remedy
and never holds a password.
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
    "bad_url",  # can't be understood; trying again is no use
    "not_found",  # no such file, host or path on the camera
    "no_camera",
    "empty",
    "not_video",
    "unreadable",
    "unauthorized",
    "refused",
    "timeout",
    "lost",  # was there, and is no longer
    "failed",  # anything else
]


class SourceError(Exception):
    """A source can't be opened or read.

    Attributes:
        kind: What went wrong, for programs; ``str(error)`` is human-readable.
        source: Where.
        advice: What is wrong and what to do, human-readable.
    """

    def __init__(self, kind: SourceErrorKind, source: str, advice: str) -> None:
        self.kind, self.source, self.advice = kind, redact(source), redact(advice)
        super().__init__(f"{self.source}: {self.advice}")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture from a source.

    Attributes:
        image: ``(height, width, 3)`` uint8 BGR; ``(0, 0, 3)`` if it could not be decoded at all.
        capture_ns: Unix time in ns at which it left the driver or decoder.
        pts_ns: Presentation time in ns on the source's own clock; None if the source gives none.
        truth: The known label, from sources that know it.
        movers: What is known to move by itself; None from sources that don't know.
        damaged: It could not be decoded: the pixels are wrong or missing and must not be used.
        smeared: Something was lost on the way, and the decoder has put copies of other pictures in its place:
            in this one, or in one that it builds on.
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
        """Takes over the keys of ``[capture]`` that concern sources."""
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
    """Where pictures come from. Not thread-safe: one thread opens, reads and closes.

    Attributes:
        live: Pictures come at their own time and are gone if nobody reads them.
        description: What people call it: the URL (without its password), path or device.
        fps: Pictures a second; None before it is opened, or if the source does not give it.
    """

    live: bool
    description: str
    fps: float | None = None

    @abstractmethod
    def open(self) -> None:
        """Opens the source, within its open time-out if it is live.

        Raises:
            SourceError: It can't be opened.
        """

    @abstractmethod
    def read(self) -> Picture | None:
        """The next picture, or None when the source has ended for good.

        Raises:
            SourceError: It was lost, or a live source was silent for longer than its read time-out.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of the file, device or connection; may be called more than once."""

    def __enter__(self) -> Self:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self
