"""Scores false motion on still images under noise, light changes and a codec."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from pipeline.base.frame import Image
from pipeline.scene.things import ThingTracker
from pipeline.training.evaluation.corruptions import as_picture, h264, noisy
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.motion_fields import OpenStream, network_size
from pipeline.training.evaluation.opencv_baselines import BackgroundModel, flow_baselines
from pipeline.training.evaluation.truth_files import Flow, read_picture
from pipeline.training.progress import watched
from pipeline.training.rendered.pictures import PICTURE_SUFFIXES

_PAST = 2
_INTERVAL_NS = 40_000_000
_NOISE, _SENSOR_NOISE = 10.0, 3.0
_AT_ONCE = 100  # frames per codec run: whole groups, each starting with a key frame


def find_pictures(folder: Path) -> list[Path]:
    """All images of a folder and its subfolders, by name.

    Raises:
        ValueError: The folder does not exist or has no images.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of images")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise ValueError(f"{folder}: contains no images ({', '.join(sorted(PICTURE_SUFFIXES))})")
    return found


def score_still(
    open_stream: OpenStream, pictures: Sequence[Path], *, frames: int, progress: Progress | None = None
) -> Report:
    """Scores a network and its baselines on still images, repeated under each of three disturbances.

    Args:
        open_stream: Opens a stream through the network.
        pictures: Images to repeat, each at the network's input size.
        frames: Scored frames for each image and disturbance; two more precede them.
        progress: Shows a bar for each disturbance.

    Returns:
        By disturbance: ``frames``; ``false_share`` of the network and ``mog2_false_share``: the share of
        frames with any moving position; ``things``: number of false objects found by the tracker in all
        clips; ``flow_median``, ``flow_p99`` of the network and ``dis_median``, ``dis_p99``: length of the
        flow, which should be zero, in pixels.

    Raises:
        ValueError: An image is damaged.
    """
    report = {}
    for name, disturb in _DISTURBANCES.items():
        stats = _Stats()
        for number, path in enumerate(watched(pictures, progress, f"still: {name}")):
            picture = read_picture(path)
            rows, columns = network_size(*picture.shape[:2])
            picture = np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
            rng = np.random.default_rng(number)
            stats.add(open_stream, disturb(picture, frames + _PAST, rng))
        report[name] = stats.report()
    return report


class _Stats:
    def __init__(self) -> None:
        self._frames = self._false = self._things = self._mog2_false = 0
        self._lengths: list[npt.NDArray[np.float16]] = []
        self._dis_lengths: list[npt.NDArray[np.float16]] = []
        self._dis = flow_baselines()["dis"]

    def add(self, open_stream: OpenStream, clip: Iterable[Image]) -> None:
        stream, tracker, background = open_stream(), ThingTracker(), BackgroundModel()
        things: set[int] = set()
        past: Image | None = None
        for number, picture in enumerate(clip):
            motion, mog2_moving = stream(picture), background.moving(picture)
            things |= {thing.id for thing in tracker.update(motion, (number + 1) * _INTERVAL_NS)}
            if number >= _PAST and past is not None:
                self._frames += 1
                self._false += bool((motion.moving > 0.5).any())
                self._mog2_false += bool(mog2_moving.any())
                self._lengths.append(_lengths(motion.flow[-1].transpose(1, 2, 0)))
                self._dis_lengths.append(_lengths(self._dis(picture, past)[2::4, 2::4]))
            past = picture
        self._things += len(things)

    def report(self) -> Report:
        found: Report = {
            "frames": self._frames,
            "false_share": self._false / self._frames,
            "things": self._things,
            "mog2_false_share": self._mog2_false / self._frames,
        }
        for name, lengths in (("flow", self._lengths), ("dis", self._dis_lengths)):
            every = np.concatenate(lengths).astype(np.float32)
            found[f"{name}_median"], found[f"{name}_p99"] = np.percentile(every, (50, 99)).tolist()
        return {name: round(value, 4) for name, value in found.items()}


def _lengths(flow: Flow) -> npt.NDArray[np.float16]:
    return np.asarray(np.linalg.norm(flow, axis=2).ravel(), np.float16)


def _noise(picture: Image, count: int, rng: np.random.Generator) -> Iterator[Image]:
    for _ in range(count):
        yield from noisy([picture], rng, _NOISE)


def _light(picture: Image, count: int, rng: np.random.Generator) -> Iterator[Image]:
    """The image with slow waves of brightness, flicker, and an exposure jump every second."""
    for number in range(count):
        wave = 1 + 0.2 * np.sin(number * 2 * np.pi / 50)
        jump = 0.7 if number // 25 % 2 else 1.0
        gain = wave * jump * rng.normal(1, 0.01)
        yield as_picture(picture * gain + rng.normal(0, _SENSOR_NOISE, picture.shape))


def _codec(picture: Image, count: int, rng: np.random.Generator) -> Iterator[Image]:
    for start in range(0, count, _AT_ONCE):  # in parts, because long clips do not fit in memory
        yield from h264(noisy([picture] * min(_AT_ONCE, count - start), rng, _SENSOR_NOISE), rng)


_DISTURBANCES: dict[str, Callable[[Image, int, np.random.Generator], Iterator[Image]]] = {
    "noise": _noise,
    "light": _light,
    "codec": _codec,
}
