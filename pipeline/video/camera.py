"""Local webcams through OpenCV."""

import errno
import os
import sys
from pathlib import Path
from threading import Event, Lock, Thread
from typing import ClassVar

import cv2
import numpy as np

from pipeline.base.clock import now_ns
from pipeline.flow.ring import Ring
from pipeline.video.pace import Thinning
from pipeline.video.source import Picture, Source, SourceError, SourceOptions

_POLL_S = 0.1
_CLOSE_S = 0.5
_SAME_RATE = 0.05
"""Relative difference up to which a camera counts as having the requested frame rate."""


class CameraSource(Source):
    """A webcam, by its number.

    When a camera is unplugged, OpenCV blocks for ten seconds and can't be interrupted. So a separate thread
    owns the device, and ``open`` and ``read`` wait only for their timeouts. While such a thread hangs, the
    device can't be reopened, so there is at most one hanging thread per device.
    """

    live = True
    _owners: ClassVar[dict[int, "_Grabber"]] = {}
    _owners_lock: ClassVar[Lock] = Lock()

    def __init__(self, index: int, options: SourceOptions) -> None:
        """Stores the parameters; ``open`` opens the camera.

        Args:
            index: Number of the camera; N in ``/dev/videoN``.
            options: Requested size and rate, and timeouts.
        """
        self.description = f"camera {index}"
        self._index = index
        self._options = options
        self._grabber: _Grabber | None = None

    def open(self) -> None:
        """Opens the device."""
        if self._grabber is not None:
            return
        grabber = self._start_grabber()
        if not grabber.tried.wait(self._options.open_timeout_s):
            grabber.stopping.set()
            raise self._hangs(grabber)
        if grabber.error is not None:
            grabber.join(_CLOSE_S)
            raise grabber.error
        self._grabber = grabber
        self.fps, self.note = grabber.fps, grabber.note

    def read(self) -> Picture | None:
        """The next frame; never None."""
        if self._grabber is None:
            raise SourceError("failed", self.description, "is not open")
        step_s = 1 / self._options.fps if self._options.fps else 0.0
        picture = self._grabber.pictures.pop(self._options.read_timeout_s + step_s)
        if picture is None:
            raise self._grabber.error or SourceError(
                "lost", self.description, "delivers no more frames; was it unplugged?"
            )
        return picture

    def close(self) -> None:
        """Releases the device, immediately or as soon as OpenCV returns."""
        if self._grabber is not None:
            self._grabber.stopping.set()
            self._grabber.join(_CLOSE_S)
            self._grabber = None

    def _start_grabber(self) -> "_Grabber":
        with self._owners_lock:
            former = self._owners.get(self._index)
            if former is not None and former.is_alive():
                if former.stopping.is_set():
                    raise self._hangs(former)
                raise SourceError("refused", self.description, "this program already reads it; name it once")
            grabber = self._owners[self._index] = _Grabber(self._index, self._options)
            grabber.start()
        return grabber

    def _hangs(self, grabber: "_Grabber") -> SourceError:
        if grabber.had_file and not _device(self._index).exists():
            return SourceError("no_camera", self.description, "was unplugged; plug it in again")
        advice = "does not respond; check that it is plugged in, or unplug it and plug it in again"
        return SourceError("timeout", self.description, advice)


class _Grabber(Thread):
    """Owns the device: opens, reads and releases it."""

    def __init__(self, index: int, options: SourceOptions) -> None:
        super().__init__(name=f"camera {index}", daemon=True)
        self.tried = Event()
        self.stopping = Event()
        self.error: SourceError | None = None
        self.fps: float | None = None
        self.note = ""
        self.had_file = _device(index).exists()
        self._thinning: Thinning | None = None
        self.pictures: Ring[Picture] = Ring(1)
        self._index = index
        self._options = options

    def run(self) -> None:
        try:
            if sys.platform == "linux":
                self._probe()
            self._grab()
        except SourceError as error:
            self.error = error
        except Exception as error:  # reported by ``open`` or ``read``
            text = " ".join(f"{type(error).__name__}: {error}".split())
            self.error = SourceError("failed", self.name, f"OpenCV can't read it: {text}")
        finally:
            self.tried.set()
            self.pictures.close()

    def _probe(self) -> None:
        """Finds out why the device can't be opened; OpenCV only returns False and prints ten lines."""
        path = _device(self._index)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        except PermissionError:
            advice = (
                f"no permission for {path}; add yourself to the video group: sudo usermod -aG video $USER"
            )
            raise SourceError("unreadable", self.name, advice) from None
        except OSError as error:
            if error.errno == errno.EBUSY:
                advice = f"another program uses {path}; close it"
                raise SourceError("refused", self.name, advice) from None
            raise self._no_camera() from None

    def _no_camera(self) -> SourceError:
        advice = "no such camera; plug one in, try another number, or use --source demo"
        return SourceError("no_camera", self.name, advice)

    def _grab(self) -> None:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        capture = cv2.VideoCapture(self._index, backend)
        try:
            if not capture.isOpened():
                raise self._no_camera()
            self._configure(capture)
            self.tried.set()
            while not self.stopping.is_set():
                good, image = capture.read()
                if not good:
                    break
                time_ns = now_ns()
                if self._thinning is None or self._thinning.takes(time_ns):
                    self._give(Picture(np.asarray(image, np.uint8), time_ns))
        finally:
            capture.release()

    def _configure(self, capture: cv2.VideoCapture) -> None:
        wanted = (
            (cv2.CAP_PROP_FRAME_WIDTH, self._options.width_px),
            (cv2.CAP_PROP_FRAME_HEIGHT, self._options.height_px),
            (cv2.CAP_PROP_FPS, self._options.fps),
        )
        for key, value in wanted:
            if value:
                capture.set(key, value)
        self.fps, asked = capture.get(cv2.CAP_PROP_FPS) or None, self._options.fps
        if not asked:
            return
        if self.fps is None:  # the driver does not know
            self.fps, self._thinning = asked, Thinning(asked)
            return
        if abs(self.fps - asked) <= _SAME_RATE * asked:
            return
        self.note = f"the camera delivers {self.fps:.4g} fps, {asked:.4g} were asked for with capture.fps"
        if self.fps > asked:
            self.note += "; the frames in between are skipped"
            self.fps, self._thinning = asked, Thinning(asked)

    def _give(self, picture: Picture) -> None:
        while not self.pictures.put(picture, _POLL_S):
            if self.stopping.is_set():
                return


def _device(index: int) -> Path:
    """The device file of a camera, on Linux."""
    return Path(f"/dev/video{index}")
