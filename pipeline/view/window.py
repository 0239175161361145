"""A desktop window for each stream."""

import os
import subprocess
import sys
from functools import cache

import cv2

from pipeline.base.closing import Closing
from pipeline.base.errors import OutputError
from pipeline.base.frame import Image

_PROBE = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"
_PROBE_TIMEOUT_S = 20.0
_KEYS_TO_CLOSE = (27, ord("q"), ord("Q"))


class WindowError(OutputError):
    """There is no display to open a window on."""


class Window(Closing):
    """Shows each stream in its own window; created by ``open_window``, used from one thread."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._names: dict[str, str] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the user pressed q or Esc or closed a window; nothing is shown afterwards."""
        return self._closed

    def show(self, stream_id: str, image: Image) -> None:
        """Shows an image, and handles keys pressed since the last call."""
        if self._closed:
            return
        name = self._names.get(stream_id)
        if name is None:
            name = self._names[stream_id] = f"{self._title} - {stream_id}"
            cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(name, image.shape[1], image.shape[0])
        elif cv2.getWindowProperty(name, cv2.WND_PROP_VISIBLE) < 1:
            self.close()
            return
        cv2.imshow(name, image)
        if cv2.pollKey() & 0xFF in _KEYS_TO_CLOSE:
            self.close()

    def close(self) -> None:
        """Closes all windows; may be called twice."""
        if not self._closed:
            self._closed = True
            cv2.destroyAllWindows()
            cv2.pollKey()


def open_window(title: str) -> Window:
    """Checks that there is a display; windows open with the first images.

    Raises:
        WindowError: There is no display.
    """
    if not _can_show(os.environ.get("DISPLAY", ""), os.environ.get("WAYLAND_DISPLAY", "")):
        raise WindowError("no display: a window can't be opened here; use the web page, or run on a desktop")
    return Window(title)


@cache
def _can_show(x_display: str, wayland_display: str) -> bool:
    """Whether a window can be opened; tested in a child process, because OpenCV may abort the process."""
    if sys.platform.startswith("linux") and not (x_display or wayland_display):
        return False
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return False
    return probe.returncode == 0
