"""Local webcams through OpenCV."""

import errno
import os
import sys
from threading import Event, Lock, Thread
from typing import ClassVar

import cv2
import numpy as np

from pipeline.base.clock import now_ns
from pipeline.flow.ring import Ring
from pipeline.video.source import Picture, Source, SourceError, SourceOptions

_POLL_S = 0.1
_CLOSE_S = 0.5


class CameraSource(Source):
    """A webcam, by its number.

    OpenCV blocks for ten seconds when a camera is unplugged and can't be interrupted. So a separate thread
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
            raise self._hangs()
        if grabber.error is not None:
            grabber.join(_CLOSE_S)
            raise grabber.error
        self._grabber = grabber
        self.fps = grabber.fps

    def read(self) -> Picture | None:
        """The next frame; never None."""
        if self._grabber is None:
            raise SourceError("failed", self.description, "is not open")
        picture = self._grabber.pictures.pop(self._options.read_timeout_s)
        if picture is None:
            raise self._grabber.error or SourceError(
                "lost", self.description, "delivers no more frames; was it unplugged?"
            )
        return picture

    def close(self) -> None:
        """Releases the device, at once or when OpenCV returns."""
        if self._grabber is not None:
            self._grabber.stopping.set()
            self._grabber.join(_CLOSE_S)
            self._grabber = None

    def _start_grabber(self) -> "_Grabber":
        with self._owners_lock:
            former = self._owners.get(self._index)
            if former is not None and former.is_alive():
                if former.stopping.is_set():
                    raise self._hangs()
                raise SourceError("refused", self.description, "this program already reads it; name it once")
            grabber = self._owners[self._index] = _Grabber(self._index, self._options)
            grabber.start()
        return grabber

    def _hangs(self) -> SourceError:
        return SourceError("timeout", self.description, "does not respond; unplug it and plug it in again")


class _Grabber(Thread):
    """Owns the device: opens, reads and releases it."""

    def __init__(self, index: int, options: SourceOptions) -> None:
        super().__init__(name=f"camera {index}", daemon=True)
        self.tried = Event()
        self.stopping = Event()
        self.error: SourceError | None = None
        self.fps: float | None = None
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
        path = f"/dev/video{self._index}"
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
                self._give(Picture(np.asarray(image, np.uint8), now_ns()))
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
        self.fps = capture.get(cv2.CAP_PROP_FPS) or None

    def _give(self, picture: Picture) -> None:
        while not self.pictures.put(picture, _POLL_S):
            if self.stopping.is_set():
                return
