"""A virtual camera over real video: pans, tilts, zooms and rolls by known amounts.

Objects in the scene keep moving, so a model must separate the camera's motion from that of people and cars.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.base.frame import Image
from pipeline.base.stretch import stretch
from pipeline.model.preprocessing import Size
from pipeline.training.evaluation.global_motion import NAMES
from pipeline.training.rendered.renderer import ACCELERATION, FASTEST, POSE, SLOWEST, USUAL

Windows = npt.NDArray[np.float64]
"""View of each frame of a clip, ``(T + 1, 2, 3)``: affine maps from the screen (both axes from -1 to 1, right
and down) to pixels of the video."""

_DIRECTION = {"static": np.zeros(4)} | {
    name: sign * np.eye(4)[axis]
    for axis, names in enumerate(NAMES)
    for sign, name in zip((-1, 1), names, strict=True)
}
_SMALLEST, _LARGEST = 0.4, 0.7
_CANDIDATES, _DETAIL = 3, (64, 64)


def film(
    frames: Sequence[Image], label: str, speed: float, size: Size, seed: Sequence[int]
) -> npt.NDArray[np.uint8]:
    """Films a video with a moving window.

    Of several candidate positions for the window, the one with the most detail is used. The distributions
    of position, size, pose and margin do not depend on the label.

    Args:
        frames: BGR, all of one size, oldest first.
        label: The camera motion, one of `CAMERA_MOTIONS`.
        speed: Speed, as a multiple of the trained range.
        size: Output size.
        seed: Random seed.

    Returns:
        ``(T + 1, rows, columns, 3)`` uint8 RGB, resized as in the pipeline.
    """
    height, width = frames[0].shape[:2]
    candidates = [
        plan((width, height), label, speed, len(frames) - 1, np.random.default_rng([*seed, number]))
        for number in range(_CANDIDATES)
    ]
    middle = len(frames) // 2
    windows = max(candidates, key=lambda windows: _detail(look(frames[middle], windows[middle], _DETAIL)))
    return np.stack([look(*pair, size) for pair in zip(frames, windows, strict=True)])


def plan(size: tuple[int, int], label: str, speed: float, num_past: int, rng: np.random.Generator) -> Windows:
    """Draws a random path of the window; it never leaves the frame.

    Args:
        size: Width and height of the video.
        label: The camera motion.
        speed: Speed, as a multiple of the trained range.
        num_past: ``T``; the motion is centred on the middle of the clip.
        rng: Random generator; the draws do not depend on the label.
    """
    width, height = size
    reference = np.array(SLOWEST) * np.divide(FASTEST, SLOWEST) ** rng.uniform() * speed
    side = rng.uniform(-1, 1, 4) * USUAL.side_motion
    half = num_past / 2
    time = np.linspace(-half, half, num_past + 1)
    time = time * (1 + time / half * rng.uniform(-ACCELERATION, ACCELERATION))
    pose = rng.uniform(-POSE, POSE)

    def course(name: str) -> Windows:
        """The path of a window of the full frame size around the frame centre."""
        direction = _DIRECTION[name]
        moves = np.abs(direction).sum()
        velocity = (direction + side * (moves - np.abs(direction))) * reference
        right, down, closer, clockwise = np.outer(velocity, time)
        # screen -> undo the stretch -> the camera's own motion -> its pose in the scene -> pixels
        turned = _turn(clockwise) * np.exp(-closer)[:, None, None]
        unsquash = np.diag([width / 2, height / 2])
        shift = np.stack([width * right, height * down], axis=1)
        scene = _turn(np.array([pose]))[0]
        return np.concatenate([scene @ turned @ unsquash, (shift @ scene.T)[:, :, None]], axis=2)

    # The window size is limited by the corners of the paths of all labels.
    corners = np.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)]).T
    reach = np.max([np.abs(course(name) @ corners).max(axis=(0, 2)) for name in _DIRECTION], axis=0)
    room = np.array([width - 2, height - 2]) / 2
    share = min(rng.uniform(_SMALLEST, _LARGEST), float((room / reach).min()))
    centre = rng.uniform(-1, 1, 2) * (room - reach * share)
    windows = course(label) * share
    windows[:, :, 2] += centre + np.array([width - 1, height - 1]) / 2
    return windows


def look(frame: Image, window: npt.NDArray[np.float64], size: Size) -> npt.NDArray[np.uint8]:
    """The camera's view, ``(rows, columns, 3)`` RGB, sampled at twice the resolution and averaged."""
    rows, columns = 2 * size[0], 2 * size[1]
    to_screen = np.array([[2 / columns, 0, 1 / columns - 1], [0, 2 / rows, 1 / rows - 1], [0, 0, 1]])
    seen = cv2.warpAffine(
        frame, window @ to_screen, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    resized = np.empty((*size, 3), np.uint8)
    stretch(np.asarray(seen, np.uint8), resized)
    return resized


def balanced(count: int, seed: int) -> list[str]:
    """Labels of ``count`` clips with equal numbers of each of `CAMERA_MOTIONS`, in random order."""
    order = np.random.default_rng(seed).permutation(count)
    return [CAMERA_MOTIONS[place % len(CAMERA_MOTIONS)] for place in order]


def _turn(angle: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rotations ``(N, 2, 2)``, clockwise on a screen with y down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]).transpose(2, 0, 1)


def _detail(picture: npt.NDArray[np.uint8]) -> float:
    """Mean logarithm of the detail over all parts of an image, so that no single part dominates."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    energy = np.square(grey - cv2.blur(grey, (9, 9)))
    parts = cv2.resize(energy, (4, 4), interpolation=cv2.INTER_AREA)
    return float(np.log(parts + 1).mean())
