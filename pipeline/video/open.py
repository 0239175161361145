"""Creates the source for a text such as ``0`` or ``rtsp://...``."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.base.redact import redact_source
from pipeline.video.source import Source, SourceError, SourceOptions

DEVICE = re.compile(r"(?:/dev/video)?(\d+)")
"""A webcam, by its number alone or by its device file."""
_STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "rtmp", "rtmps", "srt")
_FILES_ON_THE_WEB = (".mp4", ".mov", ".mkv", ".webm", ".avi")


def open_source(text: str, options: SourceOptions) -> Source:
    """Creates the source for a text such as ``rtsp://...``; open it with ``open()`` or ``with``.

    Args:
        text: ``demo``; the number of a webcam or ``/dev/videoN``; a URL; a folder of images; a video file.
        options: How to open it.

    Raises:
        SourceError: The text is an invalid URL (``bad_url``).
    """
    # Import only the libraries of the chosen source: a webcam needs no FFmpeg.
    if text == "demo":
        from pipeline.video.demo import DemoSource

        return DemoSource()
    if device := DEVICE.fullmatch(text):
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
    from pipeline.video.video_file import FileSource

    return FileSource(text, options)


def _check_url(text: str) -> None:
    scheme = text.partition("://")[0].lower()
    if scheme not in _STREAM_SCHEMES:
        known = ", ".join(f"{name}://" for name in _STREAM_SCHEMES)
        wrong = f"{scheme}://" if scheme.isalnum() else "the text before ://"
        raise SourceError("bad_url", redact_source(text), f"{wrong} is not supported; use one of {known}")
    example = f"write it as {scheme}://host:port/path (user and password go before the host)"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SourceError(
            "bad_url",
            redact_source(text),
            f"not a valid URL; {example} (in a password, / is %2F and # is %23)",
        ) from None
    if not host and scheme != "udp":
        raise SourceError("bad_url", redact_source(text), f"the URL has no host; {example}")
    if any(character.isspace() for character in text):
        raise SourceError("bad_url", redact_source(text), "a URL can't contain spaces; write %20 instead")


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except OSError:
        return False


def _is_file_on_the_web(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and parts.path.lower().endswith(_FILES_ON_THE_WEB)
