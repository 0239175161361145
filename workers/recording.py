"""Video files of one stream, split into segments."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.view.recorder import Recorder, RecorderError
from workers.recording_shelf import RecordingShelf

_MOST_LISTED = 500
"""Files listed in the statistics, which would grow without limit if a camera kept changing its resolution."""
_LOOKS_NS = 1_000_000_000
"""Interval between checks of free disk space: the length of one fragment of the file."""
_FIRST_WAIT_NS, _LONGEST_WAIT_NS = 10 * 10**9, 600 * 10**9
"""Shortest and longest delay after a failure; it doubles each time until a file is finished normally."""


class Recording:
    """Records one stream.

    Its first file is named after the stream, later ones also after their start time in UTC:
    ``front.mp4``, ``front_2026-11-29T21-40-00Z.mp4``. After a failure, such as a full disk, it continues with
    another file once there is room.

    Args:
        stream_id: The stream's id.
        segment_s: Length of each file in seconds; 0 = a single file.
        shelf: Manages the files.
        details: Details of the worker's statistics, which list the files.
        notify: Receives human-readable events.
        lost: Called with the first file and the reason if writing fails.
        is_first: Whether no other process of this run has recorded the stream.
    """

    def __init__(
        self,
        stream_id: str,
        segment_s: float,
        shelf: RecordingShelf,
        details: dict[str, dict[str, Any]],
        notify: Callable[[str], None],
        lost: Callable[[str, str], None],
        *,
        is_first: bool,
    ) -> None:
        self._stream_id, self._segment_ns = stream_id, int(segment_s * 1e9)
        self._shelf, self._details = shelf, details
        self._notify, self._lost = notify, lost
        self._is_first = is_first
        self._recorder: Recorder | None = None
        self._path: Path | None = None
        self._began_ns = self._looked_ns = 0
        self._failed_ns: int | None = None
        self._wait_ns = _FIRST_WAIT_NS

    def write(self, picture: npt.NDArray[np.uint8], time_ns: int, wall_ns: int) -> None:
        """Adds an image; the first one after ``close`` starts another file.

        Args:
            picture: The image.
            time_ns: Its time on the stream's timeline, see ``Frame.time_ns``.
            wall_ns: Its capture time, Unix time.
        """
        if self._failed_ns is not None:
            if abs(time_ns - self._failed_ns) < self._wait_ns or not self._shelf.make_room():
                return
            self._failed_ns, self._wait_ns = None, min(2 * self._wait_ns, _LONGEST_WAIT_NS)
        if self._recorder and 0 < self._segment_ns <= abs(time_ns - self._began_ns):
            self.close()
            if self._failed_ns is not None:
                return
        if abs(time_ns - self._looked_ns) >= _LOOKS_NS:
            self._looked_ns = time_ns
            self._shelf.make_room()
        try:
            if self._recorder is None:
                self._recorder, self._began_ns = Recorder(self._next_path(wall_ns)), time_ns
            self._recorder.write(picture, time_ns)
        except RecorderError as error:
            self._fail(error, time_ns)
        else:
            self._follow(self._recorder.path)

    def close(self) -> None:
        """Finishes the file, if one is open; may be called again."""
        if self._recorder is None:
            return
        try:
            self._recorder.close()
        except RecorderError as error:
            self._fail(error, self._looked_ns)
            return
        self._recorder, self._wait_ns = None, _FIRST_WAIT_NS
        self._end()

    def _next_path(self, wall_ns: int) -> Path:
        is_first, self._is_first = self._is_first, False
        if is_first:
            return self._shelf.folder / f"{self._stream_id}.mp4"
        began = datetime.fromtimestamp(wall_ns // 10**9, UTC)
        return self._shelf.folder / f"{self._stream_id}_{began:%Y-%m-%dT%H-%M-%SZ}.mp4"

    def _follow(self, path: Path) -> None:
        """Tracks the current file: a change of size starts another one."""
        if path == self._path:
            return
        self._end()
        self._path = path
        self._shelf.begin(path)
        self._list(str(path))

    def _end(self) -> None:
        path, self._path = self._path, None
        if path is not None:
            self._shelf.end(path)

    def _fail(self, error: RecorderError, time_ns: int) -> None:
        recorder, self._recorder = self._recorder, None
        self._failed_ns = time_ns
        self._end()
        for path in recorder.paths[-1:] if recorder else ():  # it may have failed at its first image
            self._shelf.end(path)
        self._notify(f"{self._stream_id}: recording stopped: {error}")
        self._lost(str(self._shelf.folder / f"{self._stream_id}.mp4"), str(error))

    def _list(self, path: str) -> None:
        self._details.setdefault("video", {})[self._stream_id] = path
        videos = self._details.setdefault("videos", {})
        videos[path] = self._stream_id
        if len(videos) > _MOST_LISTED:
            del videos[next(iter(videos))]
        self._notify(f"{self._stream_id}: recording {path}")


def unlist(details: dict[str, dict[str, Any]], former: Path | None, path: str) -> None:
    """Removes a deleted file from the statistics.

    Args:
        details: Details of the worker's statistics.
        former: Folder in which an earlier process of this worker recorded; None if there was none.
        path: Path of the file.
    """
    videos = details.setdefault("videos", {})
    if videos.pop(path, None) is None and Path(path).parent == former:
        videos[path] = ""  # listed by that process
