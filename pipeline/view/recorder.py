"""Records frames as H.264 in fragmented MP4, playable even after a crash."""

import errno
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from pipeline.base.closing import Closing
from pipeline.base.errors import OutputError
from pipeline.base.frame import Image
from pipeline.base.redact import reason

_HEAD_BYTES, _INDEX_END = 8192, 16
"""The recorder's mark lies within the first ``_HEAD_BYTES``; size of the last box of the index, in bytes."""
_CLOCK_HZ = 90_000
_KEY_INTERVAL = _CLOCK_HZ  # one second: the most that is lost if the process is killed
_LONGEST_GAP_S = 5.0
_USUAL_FPS = 25  # assumed if time stamps do not advance
_MUXER = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
_ENCODER = {"preset": "superfast", "tune": "zerolatency", "crf": "23", "forced-idr": "1"}
# The colour conversion of cv2: BT.601, limited range. It is stored in the file, because players otherwise
# guess it from the size of the image.
_BT601, _NARROW = 6, 1


class RecorderError(OutputError):
    """The video cannot be written, from the start or after a failure."""


class Recorder(Closing):
    """Writes the images of one stream to ``path``; a change of size starts ``name.part2.mp4`` and so on.

    Existing files are kept: the next free part number is used. The file is created with the first image and
    contains its own name. Each image is shown until the next one's time stamp.

    Attributes:
        paths: The files created so far.
        playable: Whether the newest file would be playable if the process were killed now.
    """

    def __init__(self, path: str | Path) -> None:
        """Prepares a recording; creates its folder.

        Args:
            path: The file, ending in ``.mp4``.

        Raises:
            RecorderError: The folder cannot be created.
        """
        self.paths: list[Path] = []
        self.playable = False
        self._path = Path(path)
        self._current: Path | None = None
        self._part = 1
        self._output: OutputContainer | None = None
        self._video: VideoStream | None = None
        self._size = (0, 0)
        self._closed = False
        self._pts = self._key_pts = 0
        self._time_ns = 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecorderError(f"{self._path.parent}: can't be created: {reason(error)}") from None

    @property
    def path(self) -> Path:
        """The file being written: the newest part, or the one that the first image will create."""
        return self._current or self._next_path()

    @property
    def closed(self) -> bool:
        """Whether recording has ended: after ``close`` or an error."""
        return self._closed

    def write(self, image: Image, time_ns: int) -> None:
        """Adds an image; does nothing once closed.

        Args:
            image: The image; an odd width or height is padded by one pixel.
            time_ns: When it was taken; any clock, but the same for all images. If it does not advance, 40 ms
                are assumed; a gap of more than 5 s is shortened to 5 s.

        Raises:
            RecorderError: The file cannot be opened or written. The recording is then closed; what was
                written so far stays playable.
        """
        if self._closed:
            return
        try:
            if self._output is None or image.shape[:2] != self._size:
                self._begin(image)
            else:
                self._advance(time_ns)
            self._time_ns = time_ns
            self._encode(image)
        except (OSError, av.FFmpegError) as error:
            self._abandon()
            raise RecorderError(f"{self._current or self._path}: can't be written: {reason(error)}") from None

    def close(self) -> None:
        """Finishes the file; may be called twice.

        Raises:
            RecorderError: The last images cannot be written.
        """
        if self._closed:
            return
        try:
            self._finish()
        except (OSError, av.FFmpegError) as error:
            self._abandon()
            raise RecorderError(f"{self._current or self._path}: is incomplete: {reason(error)}") from None
        self._closed = True

    def _begin(self, image: Image) -> None:
        self._finish()
        self._current = path = self._next_path()
        self._output = av.open(str(path), "w", format="mp4", options=_MUXER)
        self._output.metadata["comment"] = _mark(path)
        self.paths.append(path)
        self._part += 1
        self._size = image.shape[:2]
        height, width = (side + side % 2 for side in self._size)
        video: VideoStream = self._output.add_stream("libx264", rate=_USUAL_FPS, options=_ENCODER)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, _CLOCK_HZ)
        video.codec_context.gop_size = _CLOCK_HZ
        video.codec_context.colorspace, video.codec_context.color_range = _BT601, _NARROW
        video.codec_context.thread_count = 1
        self._video = video
        self._pts, self._key_pts, self.playable = 0, -_KEY_INTERVAL, False

    def _next_path(self) -> Path:
        while (path := _part_of(self._path, self._part)).is_file():
            self._part += 1
        return path

    def _advance(self, time_ns: int) -> None:
        elapsed_s = (time_ns - self._time_ns) / 1e9
        step = round(min(elapsed_s, _LONGEST_GAP_S) * _CLOCK_HZ)
        self._pts += step if step > 0 else round(_CLOCK_HZ / _USUAL_FPS)

    def _encode(self, image: Image) -> None:
        assert self._output is not None
        assert self._video is not None
        height, width = self._size
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = self._pts, Fraction(1, _CLOCK_HZ)
        if self._pts - self._key_pts >= _KEY_INTERVAL:
            frame.pict_type, self._key_pts = PictureType.I, self._pts
        self._output.mux(self._video.encode(frame))
        self.playable |= self._pts > 0 and self._key_pts == self._pts  # the previous fragment is complete

    def _finish(self) -> None:
        if self._output is None or self._video is None:
            return
        self._output.mux(self._video.encode(None))
        self._output.close()
        self._output = self._video = None
        # FFmpeg does not report an error of the very last write. A file that was moved is not checked.
        if self.path.exists() and not was_finished(self.path):
            raise OSError(errno.EIO, "its end is missing; is the disk full?")
        self.playable = True

    def _abandon(self) -> None:
        self._closed = True
        if self._output is not None:
            with suppress(OSError, av.FFmpegError):  # the original error is reported
                self._output.close()
        self._output = self._video = None


def was_recorded(path: Path) -> bool:
    """Whether a recorder wrote this file under this name; False for copies and files of other programs.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return _mark(path).encode(errors="replace") in file.read(_HEAD_BYTES)


def was_finished(path: Path) -> bool:
    """Whether a recording was closed properly; False if the process was killed.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(-min(_INDEX_END, path.stat().st_size), os.SEEK_END)
        return file.read()[4:8] == b"mfro"


def _mark(path: Path) -> str:
    return f"KVQ Stream [{path.name}]"


def _part_of(path: Path, part: int) -> Path:
    return path if part == 1 else path.with_stem(f"{path.stem}.part{part}")
