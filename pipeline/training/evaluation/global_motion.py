"""Estimates camera motion between two frames of a real video without the model.

Corners are tracked with pyramidal Lucas-Kanade, with a forward-backward check, and a similarity transform is
fitted to them with RANSAC. If that fails, as in fast rolls, matched ORB features are used instead: they
tolerate larger motion but are less accurate.
"""

import math
from collections.abc import Sequence
from itertools import pairwise, product
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.training.rendered.renderer import ACCELERATION, FASTEST, SLOWEST, SPEEDS

STILL_SHARE = 0.25
"""A static camera moves less than this share of the slowest trained motion, along every axis."""
REST_SHARE = 0.05
"""A camera at rest moves less than this share of the slowest trained motion: about a third of a pixel at a
width of 480 px."""
OTHERS_SHARE = 1 / 3
"""A motion gets a label if all others are below this share of it, each in units of its trained range."""

NAMES = (
    ("pan_left", "pan_right"),
    ("tilt_up", "tilt_down"),
    ("zoom_out", "zoom_in"),
    ("roll_ccw", "roll_cw"),
)
"""Labels of negative and positive motion along each axis of `CameraMotion`."""

_UNITS = np.sqrt(np.multiply(SLOWEST, FASTEST))
_WIDTH_PX, _GRID = 480, 4
_WINDOW_PX, _LEVELS = 21, 5
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.01)

Grey = npt.NDArray[np.uint8]
Corners = npt.NDArray[np.float32]
_NOWHERE: Corners = np.zeros((0, 2), np.float32)


class CameraMotion(NamedTuple):
    """Motion of the camera; the image content moves the opposite way.

    Attributes:
        right: Pan, as a share of the frame width.
        down: Tilt, as a share of the frame height, because frames are stretched to a square for the model.
        closer: Zoom in, as the logarithm of the scale factor of the content.
        clockwise: Roll, in radians.
    """

    right: float
    down: float
    closer: float
    clockwise: float


def small_grey(image: Image) -> Grey:
    """The input of `estimate_motion`: greyscale and 480 px wide."""
    height = max(round(_WIDTH_PX * image.shape[0] / image.shape[1]), 1)
    shrinks = image.shape[1] > _WIDTH_PX
    resized = cv2.resize(
        image, (_WIDTH_PX, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2GRAY), np.uint8)


def estimate_motion(before: Grey, after: Grey) -> CameraMotion | None:
    """The camera's motion between two frames, or None if the estimate is unreliable.

    An estimate is reliable if at least 30 points and 60 % of all matched points agree with one similarity
    transform within 2 px. Also, at least 8 of the 4 x 4 parts of the frame must have 4 points, and in three
    quarters of these parts, at least half of the points must agree. This rejects the motion of a large
    object in front of a plain wall.
    """
    if before.shape != after.shape:
        return None
    return _fit(before.shape, *_follow(before, after)) or _fit(before.shape, *_match(before, after))


def name_motion(motion: CameraMotion, slack: float = 0.0) -> str | None:
    """The label of a motion; None if it is between static and moving, too fast, or a mix of motions.

    Args:
        motion: Motion of the camera.
        slack: Tolerance around the trained range, as a share of its limits.
    """
    size = np.abs(motion)
    if _below(motion, STILL_SHARE):
        return "static"
    axis = int((size / _UNITS).argmax())
    others = np.delete(size / _UNITS, axis)
    slowest, fastest = (1 - slack) * SPEEDS[0] * SLOWEST[axis], (1 + slack) * SPEEDS[1] * FASTEST[axis]
    if not slowest <= size[axis] <= fastest or (others > OTHERS_SHARE * size[axis] / _UNITS[axis]).any():
        return None
    return NAMES[axis][int(motion[axis] > 0)]


def name_clip(motions: Sequence[CameraMotion | None]) -> str | None:
    """The label of a clip from its intervals, or None if they disagree.

    All must be reliable, have the same label and be within the trained acceleration; their mean must be
    within the trained range of speeds.
    """
    sure = [motion for motion in motions if motion is not None]
    if not sure or len(sure) < len(motions):
        return None
    names = {name_motion(motion, ACCELERATION) for motion in sure}
    names.add(name_motion(CameraMotion(*np.mean(sure, axis=0).tolist())))
    return names.pop() if len(names) == 1 else None


def at_rest(motions: Sequence[CameraMotion | None]) -> bool:
    """Whether the camera was reliably at rest, as on a tripod, in the whole clip."""
    return all(motion is not None and _below(motion, REST_SHARE) for motion in motions)


def _below(motion: CameraMotion, share: float) -> bool:
    return bool((np.abs(motion) < share * SPEEDS[0] * np.array(SLOWEST)).all())


def _fit(shape: tuple[int, ...], start: Corners, end: Corners) -> CameraMotion | None:
    if len(start) < 30:
        return None
    transform, agrees = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=2.0, maxIters=2000, confidence=0.999
    )
    if transform is None:
        return None
    inliers = agrees[:, 0] > 0
    height, width = shape
    column, row = (start * _GRID / (width, height)).astype(int).clip(0, _GRID - 1).T
    part = row * _GRID + column
    voters = np.bincount(part, minlength=_GRID**2)
    agree = np.bincount(part, weights=inliers, minlength=_GRID**2)
    speaks = voters >= 4
    agreeing = (agree >= voters / 2)[speaks].mean() if speaks.any() else 0.0
    if inliers.sum() < 30 or inliers.mean() < 0.6 or speaks.sum() < 8 or agreeing < 0.75:
        return None
    (a, _, _), (b, _, _) = transform
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    right, down = (middle - transform @ [*middle, 1.0]) / (width, height)
    return CameraMotion(float(right), float(down), math.log(math.hypot(a, b)), -math.atan2(b, a))


def _follow(before: Grey, after: Grey) -> tuple[Corners, Corners]:
    """Positions ``(N, 2)`` in both frames of the corners that pass the forward-backward check."""
    corners = _corners(before)
    if not len(corners):
        return _NOWHERE, _NOWHERE
    there, found = _flow(before, after, corners)
    back, again = _flow(after, before, there)
    kept = found & again & (np.linalg.norm(back - corners, axis=2)[:, 0] < 1)
    return corners[kept, 0], there[kept, 0]


def _corners(picture: Grey) -> Corners:
    """The best corners of each part of a frame, ``(N, 1, 2)``, including parts with little texture."""
    rows, columns = (np.linspace(0, side, _GRID + 1).astype(int) for side in picture.shape)
    found = []
    for (top, bottom), (left, right) in product(pairwise(rows), pairwise(columns)):
        part = picture[top:bottom, left:right]
        corners = cv2.goodFeaturesToTrack(part, maxCorners=25, qualityLevel=0.05, minDistance=5)
        if corners is not None:
            found.append(np.asarray(corners, np.float32) + np.array([left, top], np.float32))
    return np.concatenate(found) if found else _NOWHERE


def _flow(before: Grey, after: Grey, places: Corners) -> tuple[Corners, npt.NDArray[np.bool_]]:
    """New positions of points ``(N, 1, 2)``, and whether each was found."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        places,
        places.copy(),
        winSize=(_WINDOW_PX, _WINDOW_PX),
        maxLevel=_LEVELS,
        criteria=_CRITERIA,
    )
    return np.asarray(there, np.float32), np.asarray(found)[:, 0] > 0


def _match(before: Grey, after: Grey) -> tuple[Corners, Corners]:
    """Positions ``(N, 2)`` in both frames of mutually best-matching features."""
    detector = cv2.ORB.create(nfeatures=800, fastThreshold=7)
    here, appearance = detector.detectAndCompute(before, None)
    there, appearance_there = detector.detectAndCompute(after, None)
    if not here or not there:
        return _NOWHERE, _NOWHERE
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(appearance, appearance_there)
    return (
        np.array([here[pair.queryIdx].pt for pair in pairs], np.float32).reshape(-1, 2),
        np.array([there[pair.trainIdx].pt for pair in pairs], np.float32).reshape(-1, 2),
    )
