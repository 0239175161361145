"""The reference views of the streams, ready to be followed: their pictures go through the network once."""

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.base.config import Config
from pipeline.base.frame import Image
from pipeline.base.watched import Line, Zone
from pipeline.runtime.base import Runtime
from pipeline.scene.home import Home, KeptView
from workers.base import WorkerError


def open_homes(config: Config, runtime: Runtime) -> Callable[[str], Home | None]:
    """Gives what follows the views of a stream; None where nothing is watched, or it is not wanted.

    Raises:
        WorkerError: A picture can't be read any more, or the network has no dense motion.
    """
    watch = config.watched()
    if not config.watch.follow_camera:
        return lambda stream_id: None
    views = {name: _open_view(name, view.picture, runtime) for name, view in watch.views.items()}

    def home(stream_id: str) -> Home | None:
        places: list[Zone | Line] = [*watch.zones.values(), *watch.lines.values()]
        its_views = {name: views[name] for name in watch.views_of(stream_id)}
        is_watched = any(place.is_in(stream_id) for place in places) or watch.ground_of(stream_id)
        return Home(its_views) if its_views or is_watched else None

    return home


def reference_view(picture: Image, runtime: Runtime) -> KeptView:
    """What is kept of a picture that a stream should show.

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
        raise WorkerError(f"views.{name}.picture: {path} can't be read as a picture")
    return reference_view(np.asarray(picture, np.uint8), runtime)
