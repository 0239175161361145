"""What every source of pictures promises, and which source a text such as ``0`` or ``rtsp://…`` means.

A source is opened, read until it has nothing more, and closed; reading is done by one thread
(``reader.py``). Every failure is a ``SourceError`` whose message is one line that says what to do
and never holds a password.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pipeline.base.frame import Image
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

STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "rtmp", "rtmps", "srt")
_FILES_ON_THE_WEB = (".mp4", ".mov", ".mkv", ".webm", ".avi")
_DEVICE = re.compile(r"(?:/dev/video)?(\d+)")
# With one slash only a known scheme counts: "admin:/secret@host" is a user and a password.
_SCHEME = re.compile(rf"[a-z][a-z0-9+.-]*://+|(?:{'|'.join(STREAM_SCHEMES)}):/", re.IGNORECASE)
_LOGIN = re.compile(r":.*@", re.DOTALL)
_QUERY_SECRET = re.compile(r"([?&](?:password|passwd|pass|pwd|token|secret|key)=)[^&#]+", re.IGNORECASE)


class SourceError(Exception):
    """A source can't be opened or read.

    Attributes:
        kind: What went wrong, for programs; ``str(error)`` is for people.
    """

    def __init__(self, kind: SourceErrorKind, source: str, advice: str) -> None:
        super().__init__(redact(f"{source}: {advice}"))
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture from a source.

    Attributes:
        image: ``(height, width, 3)`` uint8 BGR; ``(0, 0, 3)`` if it could not be decoded at all.
        capture_ns: Unix time in ns at which it left the driver or decoder.
        pts_ns: Presentation time in ns on the source's own clock; None if the source gives none.
        truth: The known label, from sources that know it.
        damaged: The decoder found errors: the pixels are wrong or missing and must not be used.
    """

    image: Image
    capture_ns: int
    pts_ns: int | None = None
    truth: str | None = None
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How sources are opened; ``configs/default.toml`` says what each means, in ``[capture]``."""

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


class Source(ABC):
    """Where pictures come from. Not thread-safe: one thread opens, reads and closes.

    Attributes:
        live: Pictures come at their own time and are gone if nobody reads them.
        description: What people call it: the URL (without its password), path or device.
        fps: Pictures a second; None before it is opened, or if the source does not say.
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_source(text: str, options: SourceOptions) -> Source:
    """The source that a text means; it opens with ``open()`` or ``with``.

    Args:
        text: ``demo``; the number of a webcam or ``/dev/videoN``; a URL; a folder of images; a video file.
        options: How to open it.

    Raises:
        SourceError: The text is a URL that can't be understood (``bad_url``).
    """
    # Only the chosen source's libraries are loaded: a box with a webcam needs no FFmpeg.
    if text == "demo":
        from pipeline.video.demo import DemoSource

        return DemoSource()
    if device := _DEVICE.fullmatch(text):
        from pipeline.video.camera import CameraSource

        return CameraSource(int(device[1]), options)
    if "://" in text:
        _check_url(text)
        if not _is_file_on_the_web(text):
            from pipeline.video.stream import StreamSource

            return StreamSource(text, options)
    elif _is_folder(text):
        from pipeline.video.images import ImageFolderSource

        return ImageFolderSource(text, options)
    from pipeline.video.file import FileSource

    return FileSource(text, options)


def describe(text: str) -> str:
    """The text of a source without its password, even in a mistyped URL (``rtsp:/user:secret@host``).

    Passwords may hold spaces, slashes and "@": everything from the first ":" after the scheme to the
    last "@" is hidden, as are secrets in the query.
    """
    scheme = _SCHEME.match(text)
    start = scheme.end() if scheme else 0
    login, at, rest = text[start:].rpartition("@")
    user, colon, _ = login.partition(":")
    login = f"{user}:***" if colon else login
    return redact(_QUERY_SECRET.sub(r"\1***", f"{text[:start]}{login}{at}{rest}"))


def default_stream_id(text: str, taken: Collection[str]) -> str:
    """A name for the stream of a source: ``demo``, ``cam0``, ``clip``, a host's name.

    Args:
        text: The source, as for ``open_source``.
        taken: Names that are in use already.

    Returns:
        Letters, digits, ``-`` and ``_`` only, at most 64 of them, not in ``taken``.
    """
    if device := _DEVICE.fullmatch(text):
        name = f"cam{device[1]}"
    elif "://" in text or _LOGIN.search(text):
        # The login goes first: a password may hold anything, even "://".
        name = re.sub(r"^[A-Za-z0-9+.-]+://+", "", text.rpartition("@")[2])
        name = re.split(r"[:/?#]", name, maxsplit=1)[0]
    else:
        name = Path(describe(text)).resolve().stem if text != "demo" else text
    name = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:56] or "stream"
    free, count = name, 2
    while free in taken:
        free, count = f"{name}-{count}", count + 1
    return free


def _check_url(text: str) -> None:
    scheme = text.partition("://")[0].lower()
    if scheme not in STREAM_SCHEMES:
        known = ", ".join(f"{name}://" for name in STREAM_SCHEMES)
        wrong = f"{scheme}://" if scheme.isalnum() else "what stands before ://"
        raise SourceError("bad_url", describe(text), f"{wrong} is not known; use one of {known}")
    example = f"write it as {scheme}://host:port/path (user and password go before the host)"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SourceError(
            "bad_url",
            describe(text),
            f"not a valid URL; {example} (in a password, / is %2F and # is %23)",
        ) from None
    if not host and scheme != "udp":
        raise SourceError("bad_url", describe(text), f"the URL names no host; {example}")
    if any(character.isspace() for character in text):
        raise SourceError("bad_url", describe(text), "a URL holds no spaces; write %20 instead")


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except OSError:
        return False


def _is_file_on_the_web(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and parts.path.lower().endswith(_FILES_ON_THE_WEB)
