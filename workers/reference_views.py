"""Reference views of streams, prepared for tracking the camera."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.base.clock import now_ns
from pipeline.base.config import Config
from pipeline.base.errors import UserError
from pipeline.base.files import write_whole
from pipeline.base.frame import Image
from pipeline.base.watched import UNNAMED_VIEW, Line, Zone
from pipeline.runtime.base import Runtime
from pipeline.scene.home import Home, KeptView
from pipeline.wire.messages import TakeView
from workers.base import WorkerError

_PNG = ".png"
_WANTED_NS = 10_000_000_000
"""A request is repeated while its sender waits; otherwise it expires after this time."""
_MOST_WANTED = 64


class ReferenceViews:
    """The reference views of all streams, and pending requests to take new ones.

    Args:
        config: The whole configuration.
        runtime: Computes keys of images.
        kept_in: Folder of this run for unnamed views, which have no file of their own; None: not saved.
        is_restarted: Whether views saved there apply.
        report: Receives human-readable events.

    Raises:
        WorkerError: An image can't be read, or the network has no dense motion.
    """

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        *,
        kept_in: Path | None = None,
        is_restarted: bool = False,
        report: Callable[[str], None] = print,
    ) -> None:
        self._watch, self._runtime, self._report = config.watched(), runtime, report
        self._folder, self._is_restarted = kept_in, is_restarted
        self._is_wanted = config.watch.follow_camera
        self._wanted: dict[str, tuple[TakeView, int]] = {}  # request, its expiry in Unix time
        self._taken: deque[TakeView] = deque(maxlen=_MOST_WANTED)
        views = self._watch.views if self._is_wanted else {}
        self._views = {
            name: _open_view(f"views.{name}.picture", view.picture, runtime) for name, view in views.items()
        }

    def home(self, stream_id: str) -> Home | None:
        """The tracker of a stream's views; None if nothing is watched or tracking is off."""
        watch = self._watch
        if not self._is_wanted:
            return None
        its_views = {name: self._views[name] for name in watch.views_of(stream_id)}
        if its_views:
            return Home(its_views)
        places: list[Zone | Line] = [*watch.zones.values(), *watch.lines.values()]
        if not any(place.is_in(stream_id) for place in places) and not watch.ground_of(stream_id):
            return None
        file = self._file(stream_id, UNNAMED_VIEW)
        if file and self._is_restarted and file.exists():
            return Home({UNNAMED_VIEW: _open_view(f"the view of {stream_id}", str(file), self._runtime)})
        return Home({})

    def want(self, wanted: TakeView) -> None:
        """Takes a request to make the current image of a camera its view; repetitions count once."""
        if wanted in self._taken:
            return
        self._wanted.pop(wanted.stream_id, None)
        self._wanted[wanted.stream_id] = wanted, now_ns() + _WANTED_NS
        if len(self._wanted) > _MOST_WANTED:
            del self._wanted[next(iter(self._wanted))]

    def is_wanted(self, stream_id: str) -> bool:
        """Whether the next image of a stream should become its view."""
        _, until_ns = self._wanted.get(stream_id, (None, 0))
        return now_ns() < until_ns

    def keep(self, stream_id: str, view: str, picture: Image) -> bool:
        """Saves an image as a reference view, so that the view survives a restart.

        Returns:
            False if the image can't be written; the caller must then leave the view unchanged.
        """
        wanted, _ = self._wanted.pop(stream_id)
        self._taken.append(wanted)
        file = self._file(stream_id, view)
        try:
            if file:
                _write_picture(file, picture)
        except UserError as error:
            self._report(f"{stream_id}: the view is unchanged: {error}")
            return False
        self._report(f"{stream_id}: the current image is now its view {view}")
        return True

    def _file(self, stream_id: str, view: str) -> Path | None:
        if view != UNNAMED_VIEW:
            return Path(self._watch.views[view].picture)
        return self._folder / f"view_{stream_id}{_PNG}" if self._folder else None


def reference_view(picture: Image, runtime: Runtime) -> KeptView:
    """Computes a reference view from an image.

    Raises:
        WorkerError: The network has no dense motion.
    """
    (memory,) = runtime.infer([picture], [[None] * runtime.num_past]).remember()
    keys = runtime.match_keys(memory.entry)
    if keys is None:
        raise WorkerError("views need a network with dense motion, such as motion_resnet18")
    return KeptView(keys, picture.shape[0] / picture.shape[1])


def _open_view(name: str, path: str, runtime: Runtime) -> KeptView:
    picture = cv2.imread(path)
    if picture is None:
        raise WorkerError(f"{name}: {path} can't be read as an image")
    return reference_view(np.asarray(picture, np.uint8), runtime)


def _write_picture(file: Path, picture: Image) -> None:
    """Replaces an image file atomically, in the format of its suffix.

    Raises:
        UserError: The file can't be written.
    """
    try:
        _, packed = cv2.imencode(file.suffix or _PNG, picture)
        write_whole(file, packed.tobytes(), sync=True)
    except (cv2.error, OSError) as error:
        cause = error.strerror if isinstance(error, OSError) else "OpenCV can't write this format"
        raise UserError(f"{file} can't be written: {cause}") from None
