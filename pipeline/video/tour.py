"""The sequence of the demo: a street with moving objects, then camera motions."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi

from pipeline.video.actors import Actor, Path
from pipeline.video.pose import Pose

CANVAS_WIDTH, CANVAS_HEIGHT, FPS = 1440, 1080, 25.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the tour with one label.

    Attributes:
        motion: Camera motion, which is the label.
        frames: Duration in frames.
        speed: Speed of the camera, relative to its usual speed.
        shakes: Whether the wind shakes the camera.
    """

    motion: str
    frames: int = 32
    speed: float = 1.0
    shakes: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """One scene of the tour: where the camera starts and how it moves.

    Attributes:
        scene: Name of the scene.
        start: Centre of the view as fractions of the canvas, and scale.
        segments: Camera motions.
        actors: Objects in front of the scene, from back to front.
    """

    scene: str
    start: tuple[float, float, float]
    segments: tuple[Segment, ...]
    actors: tuple[Actor, ...] = ()


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame of the tour.

    Attributes:
        place: Index of its scene in ``TOUR``.
        seconds: Time since the start of the scene.
        pose: Pose of the camera.
        label: Camera motion.
    """

    place: int
    seconds: float
    pose: Pose
    label: str


def _motions(*names: str) -> tuple[Segment, ...]:
    return tuple(Segment(name) for name in names)


# Times are in seconds since the start of the tour.
_STREET = Stop(
    "street",
    (0.23, 0.73, 1.25),
    (
        Segment("static", 275),  # 0 to 11: one moving object, several, a taxi that stops
        Segment("pan_right", 84, speed=0.75),  # to 14.4: the camera follows the taxi
        Segment("static", 100),  # to 18.4: the shadow of a cloud, and leaves that sway
        Segment("static", 75, shakes=True),  # to 21.4
    ),
    (
        Actor("trunk", Path((1140, 838)), is_mover=False),
        Actor("leaves 1", Path((1078, 690)), is_mover=False, sway_px=3),
        Actor("leaves 2", Path((1196, 700)), is_mover=False, sway_px=3),
        Actor("leaves 3", Path((1138, 640)), is_mover=False, sway_px=4),
        Actor("walker", Path((-211, 838), (80, 0), ((14.225, 0, 0),))),
        Actor("blue van", Path((1338, 905), (-190, 0))),
        Actor("red car", Path((200, 945), (150, 0))),
        Actor("taxi", Path((-1340, 945), (190, 0), ((8.6, 0, 0), (10.8, 184, 0), (14.0, 340, 0)))),
        Actor("green car", Path((4854, 945), (-190, 0))),
        Actor("balloons", Path((500, 1170), changes=((4.4, 6, -130),))),
        Actor("other walker", Path((-917, 990), (85, 0))),
        Actor("cloud shadow", Path((-4900, 1060), (350, 0)), is_mover=False),
    ),
)

TOUR = (
    _STREET,
    Stop("autumn leaves", (0.28, 0.64, 1.0), _motions("pan_right", "static", "tilt_up")),
    Stop("archipelago", (0.50, 0.50, 0.68), _motions("zoom_in", "roll_cw", "zoom_out")),
    Stop("stained glass", (0.72, 0.34, 1.0), _motions("pan_left", "tilt_down", "roll_ccw")),
    Stop("mountains", (0.28, 0.26, 1.0), _motions("tilt_down", "pan_right", "static")),
    Stop("marble", (0.50, 0.50, 1.54), _motions("zoom_out", "roll_cw", "zoom_in")),
    Stop("city at night", (0.72, 0.64, 1.0), _motions("tilt_up", "pan_left", "roll_ccw")),
)
"""Each label occurs twice after the street, over different scenes; the scene never changes within a label."""


def shots() -> Iterator[Shot]:
    """The frames of the tour, in order."""
    for place, stop in enumerate(TOUR):
        x, y, scale = stop.start
        pose, frame = Pose(x * CANVAS_WIDTH, y * CANVAS_HEIGHT, scale), 0
        for segment in stop.segments:
            for number in range(segment.frames):
                # 20 % slower at both ends of a segment, like a hand-held camera.
                speed = segment.speed * (1 - 0.2 * cos(2 * pi * number / segment.frames))
                pose = pose.moved(segment.motion, speed / FPS)
                seconds = frame / FPS
                yield Shot(place, seconds, pose.shaken(seconds) if segment.shakes else pose, segment.motion)
                frame += 1
