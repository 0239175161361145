"""Position error of zones under camera motion: ``python -m benchmarks.zone_error CLIP ... --json FILE``.

A virtual camera films each clip of a fixed camera: it shakes, is bumped, pans by a fifth of the width or
zooms, and returns. The position of a zone is estimated from the reference view and, for comparison, with
OpenCV's ORB features and RANSAC against the first frame; both estimates are compared with the true position.
Frames are cropped, so that the virtual camera never shows areas outside the clip.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.machine import describe_machine
from benchmarks.one_stream import Watching
from pipeline.base.frame import Image
from pipeline.base.sight import Similarity
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options

_ZOOMED_IN = 1.6
"""Crop factor, which leaves a margin for a pan by a fifth of the width."""
_ZONE = (0.2 + 0.2j, 0.8 + 0.2j, 0.8 + 0.6j, 0.2 + 0.6j)
"""Corners in frame widths, for a 4:3 frame."""
Camera = Callable[[float, np.random.Generator], tuple[float, float, float, float]]
"""Maps a time in seconds to shift right and down (frame widths), scale, and rotation (degrees)."""


_DUSK = "shake at dusk: 15 % of the light, noise"


def _shake(seconds: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
    x, y, turn = rng.normal(0, (0.006, 0.006, 0.3))
    return x, y, 1.0, turn


CAMERAS: dict[str, Camera] = {
    "still": lambda seconds, rng: (0.0, 0.0, 1.0, 0.0),
    "shake": _shake,
    "pan by 20 % and back, with shake": lambda seconds, rng: (
        0.1 - 0.1 * math.cos(seconds * math.pi / 4) + rng.normal(0, 0.003),
        rng.normal(0, 0.003),
        1.0,
        0.0,
    ),
    _DUSK: _shake,
    "bump by 6 % after 3 s": lambda seconds, rng: (
        0.06 * (seconds > 3),
        -0.03 * (seconds > 3),
        1.0,
        1.5 * (seconds > 3),
    ),
    "zoom by 20 % and back": lambda seconds, rng: (0, 0, 1.1 - 0.1 * math.cos(seconds * math.pi / 4), 0),
}


@dataclass(frozen=True)
class Row:
    """One clip under one camera motion; errors are those of the zone's worst corner, in frame widths.

    Attributes:
        clip: Name of the clip.
        camera: See ``CAMERAS``.
        frames: Number of scored frames.
        median: Median error of the reference view.
        p95: 95th percentile of the error of the reference view.
        worst: Maximum error of the reference view.
        lost: Share of frames in which the reference view was lost.
        fixed_p95: 95th percentile for a zone that is fixed in the frame.
        orb_median: Median error of ORB.
        orb_p95: 95th percentile of the error of ORB; in frames without a result, the zone counts as fixed.
        orb_lost: Share of frames without a result from ORB.
    """

    clip: str
    camera: str
    frames: int
    median: float
    p95: float
    worst: float
    lost: float
    fixed_p95: float
    orb_median: float
    orb_p95: float
    orb_lost: float


def filmed(clip: str, name: str, seconds: float) -> Iterator[tuple[Image, int, Similarity]]:
    """Frames of a virtual camera, their times, and the similarity from the first frame to each."""
    camera, rng = CAMERAS[name], np.random.default_rng(0)
    first: Similarity | None = None
    video = cv2.VideoCapture(clip)
    fps = video.get(cv2.CAP_PROP_FPS)
    for number in range(round(seconds * fps)):
        at_s = number / fps
        read, picture = video.read()
        if not read:
            return
        height, width = picture.shape[:2]
        size = int(width / _ZOOMED_IN), int(height / _ZOOMED_IN)
        x, y, scale, turn = camera(at_s, rng) if number else (0.0, 0.0, 1.0, 0.0)
        matrix = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), turn, scale)
        left, top = width * 0.12 + x * size[0], (height - size[1]) / 2 + y * size[0]
        matrix[:, 2] -= matrix[:, :2] @ (left, top)
        view = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_AREA)
        (a, _, offset_x), (b, _, offset_y) = matrix
        shown = Similarity(complex(a, b), complex(offset_x, offset_y) / size[0])
        if name == _DUSK and number:
            view = np.clip(0.15 * view + rng.normal(0, 4, view.shape), 0, 255).astype(np.uint8)
        first = first or shown
        yield np.asarray(view, np.uint8), round(at_s * 1e9), first.inverse().then(shown)


def by_home(runtime: Runtime, pictures: list[Image], times: list[int]) -> tuple[list[Similarity], float]:
    """The position of the first view in each frame, and the share of frames in which it was lost."""
    watching, found, lost = Watching(runtime, reference=pictures[0]), list[Similarity](), 0
    for picture, time_ns in zip(pictures, times, strict=True):
        seen = watching.see(picture, time_ns)
        if seen and seen.scene.sight:
            found.append(seen.scene.sight.similarity)
            lost += not seen.scene.sight.found
    return found, lost / max(len(found), 1)


def by_orb(pictures: list[Image]) -> list[Similarity | None]:
    """The position of the first view in each frame, from 500 ORB features matched with the first frame's."""
    orb, matcher = cv2.ORB.create(500), cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True)
    width = pictures[0].shape[1]
    (before, first), *others = (orb.detectAndCompute(picture, None) for picture in pictures)
    found: list[Similarity | None] = []
    for points, described in others:
        pairs = matcher.match(first, described) if first is not None and described is not None else []
        matrix = None
        if len(pairs) >= 2:
            start, end = (
                np.array(side, np.float32) / width
                for side in zip(*((before[m.queryIdx].pt, points[m.trainIdx].pt) for m in pairs), strict=True)
            )
            matrix, _ = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=0.01)
        if matrix is None or not matrix[:, :2].any():
            found.append(None)
        else:
            found.append(Similarity(complex(matrix[0, 0], matrix[1, 0]), complex(*matrix[:, 2])))
    return found


def score(runtime: Runtime, clip: str, name: str, seconds: float) -> Row:
    """Scores one clip under one camera motion."""
    pictures, times, truth = (list(x) for x in zip(*filmed(clip, name, seconds), strict=True))
    found, lost = by_home(runtime, pictures, times)
    orb = by_orb(pictures)
    still = Similarity(1, 0)
    ours, fixed, theirs = (
        _errors(answers, truth[1:])
        for answers in (found, [still] * len(found), [one or still for one in orb])
    )
    return Row(
        clip=Path(clip).name,
        camera=name,
        frames=len(ours),
        median=_rounded(np.median(ours)),
        p95=_rounded(np.quantile(ours, 0.95)),
        worst=_rounded(ours.max()),
        lost=_rounded(lost),
        fixed_p95=_rounded(np.quantile(fixed, 0.95)),
        orb_median=_rounded(np.median(theirs)),
        orb_p95=_rounded(np.quantile(theirs, 0.95)),
        orb_lost=_rounded(sum(one is None for one in orb) / len(orb)),
    )


def _errors(found: list[Similarity], truth: list[Similarity]) -> npt.NDArray[np.float64]:
    pairs = zip(found, truth, strict=True)
    return np.array([max(abs(one(corner) - other(corner)) for corner in _ZONE) for one, other in pairs])


def _rounded(value: Any) -> float:
    return round(float(value), 4)


def main() -> None:
    """Prints a table and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--seconds", type=float, default=16.0, help="seconds of each clip")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runtime = open_runtime("motion_resnet18", Options(report=print))
    runtime.warm_up()
    rows = []
    print("| clip | camera | median | p95 | worst | lost | fixed zone, p95 | ORB median | p95 | lost |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for clip in options.clips:
        for name in CAMERAS:
            row = score(runtime, clip, name, options.seconds)
            rows.append(asdict(row))
            values = [row.median, row.p95, row.worst, row.lost, row.fixed_p95]
            values += [row.orb_median, row.orb_p95, row.orb_lost]
            print(f"| {row.clip} | {name} | {' | '.join(f'{value:.2%}' for value in values)} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": describe_machine(), "results": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
