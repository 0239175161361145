"""The built-in demo: about 45 s of moving objects and known camera motions, rendered on the fly."""

from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from pipeline.base.clock import now_ns
from pipeline.base.frame import Image
from pipeline.video.actors import draw_actors, find_movers
from pipeline.video.pose import HEIGHT, WIDTH, Pose
from pipeline.video.scenes import SCENES
from pipeline.video.source import Picture, Source, SourceError
from pipeline.video.street import street
from pipeline.video.tour import CANVAS_HEIGHT, CANVAS_WIDTH, FPS, TOUR, shots

_NOISE_LEVELS = 3.0
_PAINTED = {**SCENES, "street": street}


class DemoSource(Source):
    """Plays the tour once; the same seed gives the same frames."""

    live = False
    description = "demo tour"
    fps = FPS

    def __init__(self, seed: int = 0) -> None:
        """Plans the tour; the scenes are drawn after ``open``.

        Args:
            seed: Random seed of the scenes and the noise.
        """
        self._seed = seed
        self._plan = list(shots())
        self._next = 0
        self._noise = _Noise(seed)
        self._painter: ThreadPoolExecutor | None = None
        self._canvases: dict[int, Future[Image]] = {}

    @property
    def frames(self) -> int:
        """Length of the tour in frames."""
        return len(self._plan)

    def open(self) -> None:
        """Starts to draw the first scene in the background."""
        if self._painter is not None:
            return
        self._painter = ThreadPoolExecutor(1, "demo painter")
        self._begin(0)
        self._next = 0

    def read(self) -> Picture | None:
        """The next frame with its label and movers; None after the last."""
        if self._painter is None:
            raise SourceError("failed", self.description, "is not open")
        if self._next >= len(self._plan):
            return None
        shot = self._plan[self._next]
        self._begin(shot.place + 1)  # not earlier: at the start the other workers need the CPU
        image, actors = render(self._canvases[shot.place].result(), shot.pose), TOUR[shot.place].actors
        draw_actors(image, actors, shot.seconds, shot.pose)
        image = self._noise.add_to(image, self._next)
        movers = find_movers(actors, shot.seconds, shot.pose)
        pts_ns = round(self._next * 1e9 / FPS)
        self._next += 1
        return Picture(image, now_ns(), pts_ns, truth=shot.label, movers=movers)

    def close(self) -> None:
        """Stops drawing."""
        if self._painter is not None:
            self._painter.shutdown(wait=False, cancel_futures=True)
            self._painter = None
            self._canvases = {}

    def _begin(self, place: int) -> None:
        """Starts to draw a scene in the background, unless that has been done already."""
        if self._painter is not None and place < len(TOUR) and place not in self._canvases:
            self._canvases[place] = self._painter.submit(paint, TOUR[place].scene, self._seed + place)


def paint(scene: str, seed: int) -> Image:
    """Draws one scene of the tour, ``(1080, 1440, 3)``."""
    return _PAINTED[scene](CANVAS_HEIGHT, CANVAS_WIDTH, np.random.default_rng(seed))


def render(canvas: Image, pose: Pose) -> Image:
    """The camera's view of a canvas, ``(480, 640, 3)``; the canvas is mirrored beyond its border."""
    view = cv2.warpAffine(
        canvas,
        pose.view_to_canvas(),
        (WIDTH, HEIGHT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(view, np.uint8)


class _Noise:
    """Sensor noise: random crops of one precomputed field, for speed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        rng = np.random.default_rng(seed)
        sheet = rng.normal(0, _NOISE_LEVELS, (HEIGHT + 128, WIDTH + 128, 3))
        # Two unsigned fields: OpenCV adds these four times faster than one signed field.
        self._lighter = np.maximum(sheet, 0).round().astype(np.uint8)
        self._darker = np.maximum(-sheet, 0).round().astype(np.uint8)

    def add_to(self, image: Image, frame: int) -> Image:
        top, left = np.random.default_rng((self._seed, frame)).integers(0, 128, 2)
        part = np.s_[top : top + HEIGHT, left : left + WIDTH]
        return np.asarray(cv2.subtract(cv2.add(image, self._lighter[part]), self._darker[part]), np.uint8)
