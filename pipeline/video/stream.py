"""Network streams (RTSP, RTMP, HTTP, UDP) with low delay, through PyAV."""

import time

import av
import av.error
from av.container import InputContainer

from pipeline.base.redact import redact_source
from pipeline.video.ffmpeg import NoPictureError, PictureDecoder, network_error
from pipeline.video.source import Picture, Source, SourceError, SourceOptions

_PROBE_BYTES = 200_000
_PROBE_US = 500_000


class StreamSource(Source):
    """A network camera.

    It never ends by itself: a stream that the server ends is reported as ``lost``, so that the reader
    reopens it. The same applies if a stream delivers data but no frame for longer than the read timeout; the
    first frame additionally gets the open timeout, because it needs a key frame.
    """

    live = True

    def __init__(self, url: str, options: SourceOptions) -> None:
        """Stores the parameters; ``open`` connects.

        Args:
            url: May contain a user name and password; the password is never shown.
            options: RTSP transport and timeouts.
        """
        self.description = redact_source(url)
        self._url = url
        self._options = options
        self._container: InputContainer | None = None
        self._decoder: PictureDecoder | None = None
        self._limit_s = 0.0
        self._blind_s = 0.0

    def open(self) -> None:
        """Connects and probes the stream."""
        if self._decoder is not None:
            return
        # Not "nobuffer": it discards the data read while probing, including the first key frame.
        options = {"probesize": str(_PROBE_BYTES), "analyzeduration": str(_PROBE_US)}
        if self._url.lower().startswith("rtsp"):
            options["rtsp_transport"] = self._options.rtsp_transport
        started_s = time.monotonic()
        try:
            self._container = av.open(
                self._url,
                options=options,
                metadata_errors="ignore",
                timeout=(self._options.open_timeout_s, self._options.read_timeout_s),
            )
        except av.error.FFmpegError as error:
            raise self._error(error, started_s, self._options.open_timeout_s) from None
        if not self._container.streams.video:
            self.close()
            raise SourceError("not_video", self.description, "the stream contains no video; check the path")
        self._decoder = PictureDecoder(self._container, low_delay=True)
        self.fps = self._decoder.fps
        self._limit_s = self._options.open_timeout_s + self._options.read_timeout_s
        self._blind_s = 0.0

    def read(self) -> Picture | None:
        """The next frame; never None."""
        if self._decoder is None:
            raise SourceError("failed", self.description, "is not open")
        started_s = time.monotonic()
        try:
            picture = self._decoder.next(self._limit_s - self._blind_s)
        except NoPictureError:
            raise self._no_picture() from None
        except av.error.FFmpegError as error:
            raise self._error(error, started_s, self._options.read_timeout_s) from None
        if picture is None:
            raise SourceError("lost", self.description, "the server ended the stream; is the camera on?")
        if picture.image.size:
            self._limit_s, self._blind_s = self._options.read_timeout_s, 0.0
            return picture
        # Count only the waiting done here, not the time that the caller takes between two frames.
        self._blind_s += time.monotonic() - started_s
        if self._blind_s > self._limit_s:
            raise self._no_picture()
        return picture

    def close(self) -> None:
        """Disconnects."""
        self._decoder = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def _no_picture(self) -> SourceError:
        advice = (
            f"sends data, but no frame for {self._limit_s:g} s; check that its video is on, or raise "
            "capture.open_timeout_s if its key frames are further apart"
        )
        return SourceError("lost", self.description, advice)

    def _error(self, error: av.error.FFmpegError, started_s: float, timeout_s: float) -> SourceError:
        return network_error(self._url, error, time.monotonic() - started_s, timeout_s)
