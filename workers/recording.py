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
"""Files in the statistics: a camera that changes its size all day must not make them too long."""
_LOOKS_NS = 1_000_000_000
"""Between two looks at the room on the disk: as long as a fragment of the file."""
_FIRST_WAIT_NS, _LONGEST_WAIT_NS = 10 * 10**9, 600 * 10**9
"""After a failure; each wait is twice as long as the one before, until a file was finished in order."""


class Recording:
    """Records one stream.

    Its first file is named after the stream, the others also after the time they begin, in UTC:
    ``front.mp4``, ``front_2026-11-29T21-40-00Z.mp4``. After a failure, such as a full disk, it goes on with
    another file once there is room.

    Args:
        stream_id: Whose it is.
        segment_s: A new file begins after so many seconds; 0: never.
        shelf: Where its files are kept.
        details: Of the worker's statistics: what was written is listed there.
        notify: Takes human-readable events.
        lost: Called with the first file and the reason when something could not be written.
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
        """Adds a picture; the first one after ``close`` begins another file.

        Args:
            picture: What to record.
            time_ns: On the stream's timeline, see ``Frame.time_ns``.
            wall_ns: When it was captured, Unix time.
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
        """Notes which file grows: another size has begun another one."""
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
        for path in recorder.paths[-1:] if recorder else ():  # it may have failed at its first picture
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
    """Takes a file that was removed out of the statistics.

    Args:
        details: Of the worker's statistics.
        former: The folder in which a former process of this worker has recorded; None if there was none.
        path: Of the file.
    """
    videos = details.setdefault("videos", {})
    if videos.pop(path, None) is None and Path(path).parent == former:
        videos[path] = ""  # that process has listed it
