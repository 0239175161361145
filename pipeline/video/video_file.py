"""Video files, local or over HTTP: every frame in order, with its time, rotated upright."""

import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from pipeline.base.redact import redact_source
from pipeline.video.ffmpeg import PictureDecoder, network_error
from pipeline.video.source import Picture, Source, SourceError, SourceOptions

_USUAL_FPS = 25.0


class FileSource(Source):
    """A video file, read with PyAV.

    Frames that can't be decoded are returned and flagged as damaged, so that every frame is counted.
    """

    live = False

    def __init__(self, path: str, options: SourceOptions) -> None:
        """Stores the parameters; ``open`` opens the file.

        Args:
            path: A path, or the URL of a file on a web server.
            options: Timeouts, for web servers.
        """
        self.description = redact_source(path)
        self._path = path
        self._on_web = "://" in path
        self._options = options
        self._container: InputContainer | None = None
        self._decoder: PictureDecoder | None = None
        self._any_good = False
        self._last_pts_ns: int | None = None

    def open(self) -> None:
        """Opens the file."""
        if self._decoder is not None:
            return
        if not self._on_web:
            self._check_file()
        # "file:" prevents FFmpeg from parsing a name with a colon as a protocol.
        url = self._path if self._on_web else f"file:{self._path}"
        waits = (self._options.open_timeout_s, self._options.read_timeout_s)
        started_s = time.monotonic()
        try:
            self._container = av.open(url, metadata_errors="ignore", timeout=waits if self._on_web else None)
        except av.error.FFmpegError as error:
            raise self._error(error, started_s, self._options.open_timeout_s) from None
        if self._container.format.name == "tty":  # FFmpeg plays text files as terminal art
            self.close()
            raise self._not_video()
        if not self._container.streams.video:
            self.close()
            raise SourceError("not_video", self.description, "has no video track; choose another file")
        self._decoder = PictureDecoder(self._container, low_delay=False)
        self.fps = self._decoder.fps
        self._any_good = False
        self._last_pts_ns = None

    def read(self) -> Picture | None:
        """The next frame of the file, or None at its end."""
        if self._decoder is None:
            raise SourceError("failed", self.description, "is not open")
        started_s = time.monotonic()
        try:
            picture = self._decoder.next()
        except av.error.FFmpegError as error:
            raise self._error(error, started_s, self._options.read_timeout_s) from None
        if picture is None and not self._any_good:
            raise self._not_video()
        self._any_good = self._any_good or (picture is not None and not picture.damaged)
        return picture and self._in_order(picture)

    def close(self) -> None:
        """Closes the file."""
        self._decoder = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def _in_order(self, picture: Picture) -> Picture:
        """Makes time stamps increase: some files store decoding times instead of presentation times."""
        if picture.pts_ns is None:
            return picture
        interval_ns = int(1e9 / (self.fps or _USUAL_FPS))
        if self._last_pts_ns is not None and picture.pts_ns <= self._last_pts_ns:
            picture = replace(picture, pts_ns=self._last_pts_ns + interval_ns)
        self._last_pts_ns = picture.pts_ns
        return picture

    def _check_file(self) -> None:
        path = Path(self._path)
        try:
            status = path.stat()
        except FileNotFoundError:
            raise SourceError(
                "not_found", self.description, "no such file or folder; check the path"
            ) from None
        except OSError as error:
            raise SourceError("unreadable", self.description, f"can't be read: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            raise SourceError("not_video", self.description, "is not a regular file; give a video file")
        if not os.access(path, os.R_OK):
            raise SourceError("unreadable", self.description, "no permission to read it; check its mode")
        if status.st_size == 0:
            raise SourceError("empty", self.description, "the file is empty; was it copied completely?")

    def _not_video(self) -> SourceError:
        return SourceError(
            "not_video", self.description, "not a video, or too damaged to read; try to play it"
        )

    def _error(self, error: av.error.FFmpegError, started_s: float, timeout_s: float) -> SourceError:
        if self._on_web:
            return network_error(self._path, error, time.monotonic() - started_s, timeout_s)
        if isinstance(error, av.error.InvalidDataError):
            return self._not_video()
        return SourceError("unreadable", self.description, f"can't be read: {error.strerror}")
