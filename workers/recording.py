"""The video files of one stream, begun with its first picture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.view.recorder import Recorder, RecorderError

_MOST_LISTED = 500
"""Files in the statistics: a camera that changes its size all day must not make them too long."""


class Recording:
    """Records one stream until the disk is full.

    Args:
        path: The first file.
        stream_id: Whose it is.
        details: Of the worker's statistics: what was written is listed there.
        notify: Takes human-readable events.
        lost: Called with the reason when something could not be written.
    """

    def __init__(
        self,
        path: Path,
        stream_id: str,
        details: dict[str, dict[str, Any]],
        notify: Callable[[str], None],
        lost: Callable[[str], None],
    ) -> None:
        self._path, self._stream_id, self._details = path, stream_id, details
        self._notify, self._lost = notify, lost
        self._recorder: Recorder | None = None
        self._failed = False

    def write(self, picture: npt.NDArray[np.uint8], time_ns: int) -> None:
        """Adds a picture; the first one after ``close`` begins another file."""
        if self._failed:
            return
        try:
            self._recorder = self._recorder or Recorder(self._path)
            self._recorder.write(picture, time_ns)
            self._list(str(self._recorder.path))
        except RecorderError as error:
            self._fail(error)

    def close(self) -> None:
        """Finishes the file, if one is open; may be called again."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            recorder.close()
        except RecorderError as error:
            self._fail(error)

    def _fail(self, error: RecorderError) -> None:
        self._failed = True
        self._notify(f"{self._stream_id}: recording stopped: {error}")
        self._lost(str(error))

    def _list(self, path: str) -> None:
        newest = self._details.setdefault("video", {})
        if newest.get(self._stream_id) == path:
            return
        newest[self._stream_id] = path
        videos = self._details.setdefault("videos", {})
        videos[path] = self._stream_id
        if len(videos) > _MOST_LISTED:
            del videos[next(iter(videos))]
        self._notify(f"{self._stream_id}: recording {path}")
