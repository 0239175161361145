"""The demo tour: about 30 s of known camera motions over pictures that the program draws itself.

Labels are named after the camera: in ``pan_right`` the camera turns right, so what it sees moves
left; in ``tilt_up`` it moves down, in ``zoom_in`` it grows, in ``roll_cw`` it turns counter-clockwise.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import cos, pi, sin

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.clock import now_ns
from pipeline.base.frame import Image
from pipeline.video.scenes import SCENES
from pipeline.video.source import Picture, Source, SourceError

WIDTH, HEIGHT, FPS = 640, 480, 25.0

_CANVAS_WIDTH, _CANVAS_HEIGHT = 1440, 1080
_SEGMENT_FRAMES = 42
_NOISE_LEVELS = 3.0
# Speeds a second, as a user would move a camera: shares of the picture's size, factor, radians.
_PAN, _TILT, _ZOOM, _ROLL = 0.48, 0.46, 1.64, 0.75
VELOCITIES = {
    "static": (0.0, 0.0, 0.0, 0.0),
    "pan_left": (-_PAN, 0.0, 0.0, 0.0),
    "pan_right": (_PAN, 0.0, 0.0, 0.0),
    "tilt_up": (0.0, -_TILT, 0.0, 0.0),
    "tilt_down": (0.0, _TILT, 0.0, 0.0),
    "zoom_in": (0.0, 0.0, 1.0, 0.0),
    "zoom_out": (0.0, 0.0, -1.0, 0.0),
    "roll_cw": (0.0, 0.0, 0.0, _ROLL),
    "roll_ccw": (0.0, 0.0, 0.0, -_ROLL),
}
"""By camera motion, each for a second: right, down, power of ``_ZOOM``, angle clockwise."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the camera looks.

    Attributes:
        x: Centre of the view on the canvas, in px from the left.
        y: Centre of the view on the canvas, in px from the top.
        scale: Pixels of the view for one pixel of the canvas.
        angle: How far the camera is turned clockwise, in radians.
    """

    x: float
    y: float
    scale: float
    angle: float = 0.0

    def moved(self, motion: str, seconds: float) -> "Pose":
        """The pose after a motion at its usual speed, along the camera's own axes."""
        right, down, zoom, roll = VELOCITIES[motion]
        right *= WIDTH * seconds / self.scale
        down *= HEIGHT * seconds / self.scale
        return Pose(
            self.x + right * cos(self.angle) - down * sin(self.angle),
            self.y + right * sin(self.angle) + down * cos(self.angle),
            self.scale * _ZOOM ** (zoom * seconds),
            self.angle + roll * seconds,
        )

    def view_to_canvas(self) -> npt.NDArray[np.float64]:
        """Matrix ``(2, 3)`` from pixels of the view to pixels of the canvas."""
        along, across = cos(self.angle) / self.scale, sin(self.angle) / self.scale
        middle_x, middle_y = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
        return np.array(
            [
                [along, -across, self.x - along * middle_x + across * middle_y],
                [across, along, self.y - across * middle_x - along * middle_y],
            ]
        )


@dataclass(frozen=True, slots=True)
class Stop:
    """One picture of the tour: where the camera starts on it and how it moves.

    Attributes:
        scene: Name of the picture in ``SCENES``.
        start: Centre of the view as shares of the canvas, and scale.
        motions: Labels, each for one segment.
    """

    scene: str
    start: tuple[float, float, float]
    motions: tuple[str, ...]


# Each label occurs twice, over different pictures; neighbours differ, so that no cut hides inside a label.
TOUR = (
    Stop("autumn leaves", (0.28, 0.64, 1.0), ("pan_right", "static", "tilt_up")),
    Stop("archipelago", (0.50, 0.50, 0.68), ("zoom_in", "roll_cw", "zoom_out")),
    Stop("stained glass", (0.72, 0.34, 1.0), ("pan_left", "tilt_down", "roll_ccw")),
    Stop("mountains", (0.28, 0.26, 1.0), ("tilt_down", "pan_right", "static")),
    Stop("marble", (0.50, 0.50, 1.54), ("zoom_out", "roll_cw", "zoom_in")),
    Stop("city at night", (0.72, 0.64, 1.0), ("tilt_up", "pan_left", "roll_ccw")),
)


class DemoSource(Source):
    """Plays the tour once; the same seed gives the same pictures."""

    live = False
    description = "demo tour"
    fps = FPS

    def __init__(self, seed: int = 0) -> None:
        """Plans the tour; the pictures are drawn after ``open``.

        Args:
            seed: Of the pictures and the noise.
        """
        self._seed = seed
        self._plan = _plan()
        self._next = 0
        self._noise = _Noise(seed)
        self._painter: ThreadPoolExecutor | None = None
        self._canvases: list[Future[Image]] = []

    @property
    def frames(self) -> int:
        """Length of the tour in pictures."""
        return len(self._plan)

    def open(self) -> None:
        """Begins to draw the pictures, in the background, in the order in which they are needed."""
        if self._painter is not None:
            return
        self._painter = ThreadPoolExecutor(1, "demo painter")
        self._canvases = [
            self._painter.submit(paint, stop.scene, self._seed + place) for place, stop in enumerate(TOUR)
        ]
        self._next = 0

    def read(self) -> Picture | None:
        """The next picture with its label; None after the last."""
        if self._painter is None:
            raise SourceError("failed", self.description, "is not open")
        if self._next >= len(self._plan):
            return None
        place, pose, label = self._plan[self._next]
        canvas = self._canvases[place].result()
        image = self._noise.add_to(render(canvas, pose), self._next)
        pts_ns = round(self._next * 1e9 / FPS)
        self._next += 1
        return Picture(image, now_ns(), pts_ns, truth=label)

    def close(self) -> None:
        """Stops drawing."""
        if self._painter is not None:
            self._painter.shutdown(wait=False, cancel_futures=True)
            self._painter = None
            self._canvases = []


def paint(scene: str, seed: int) -> Image:
    """Draws one picture of the tour, ``(1080, 1440, 3)``."""
    return SCENES[scene](_CANVAS_HEIGHT, _CANVAS_WIDTH, np.random.default_rng(seed))


def render(canvas: Image, pose: Pose) -> Image:
    """What a camera sees of a canvas, ``(480, 640, 3)``; beyond its border the canvas is mirrored."""
    view = cv2.warpAffine(
        canvas,
        pose.view_to_canvas(),
        (WIDTH, HEIGHT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(view, np.uint8)


def _plan() -> list[tuple[int, Pose, str]]:
    """For each picture of the tour: place in ``TOUR``, pose and label."""
    plan: list[tuple[int, Pose, str]] = []
    for place, stop in enumerate(TOUR):
        x, y, scale = stop.start
        pose = Pose(x * _CANVAS_WIDTH, y * _CANVAS_HEIGHT, scale)
        for motion in stop.motions:
            for frame in range(_SEGMENT_FRAMES):
                # Slower at both ends of a segment, by a fifth, as a hand would do it.
                speed = 1 - 0.2 * cos(2 * pi * frame / _SEGMENT_FRAMES)
                pose = pose.moved(motion, speed / FPS)
                plan.append((place, pose, motion))
    return plan


class _Noise:
    """A sensor's noise: pieces of one large sheet, so that it costs next to nothing."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        rng = np.random.default_rng(seed)
        sheet = rng.normal(0, _NOISE_LEVELS, (HEIGHT + 128, WIDTH + 128, 3))
        # Two unsigned sheets: OpenCV adds those four times faster than one signed sheet.
        self._lighter = np.maximum(sheet, 0).round().astype(np.uint8)
        self._darker = np.maximum(-sheet, 0).round().astype(np.uint8)

    def add_to(self, image: Image, frame: int) -> Image:
        top, left = np.random.default_rng((self._seed, frame)).integers(0, 128, 2)
        part = np.s_[top : top + HEIGHT, left : left + WIDTH]
        return np.asarray(cv2.subtract(cv2.add(image, self._lighter[part]), self._darker[part]), np.uint8)
