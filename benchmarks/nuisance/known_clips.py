"""Real clips with annotations, and ways to disturb them."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import cv2
import msgspec
import numpy as np

from benchmarks.nuisance import effects
from benchmarks.nuisance.effects import Effect, Random
from benchmarks.nuisance.scoring import TrueEvent
from pipeline.base.errors import ConfigError
from pipeline.base.frame import Image
from pipeline.base.layers import fill
from pipeline.base.watched import Line, Watch, Zone

TRUTHS = Path(__file__).parent / "truth"
"""Truth files of public clips; the clips are not part of the project."""
Film: TypeAlias = Iterator[tuple[Image, int]]
"""Frames, each with its time in ns."""
_VIDEOS = {".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm"}
_PICTURES = {".jpg", ".jpeg", ".png"}
_CROP = 0.92
"""Share of the frame width seen by the shaking virtual camera."""
_SHAKES = 2.0
"""Shake as a multiple of that of the demo tour's camera; it gives 7 px at a width of 640 px."""
_Place = TypeVar("_Place", Zone, Line)


class Happened(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that should be reported; see ``TrueEvent``."""

    rule: str
    from_s: float
    to_s: float
    at_most: int = 1


class Truth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ground truth of a clip.

    Attributes:
        clip: Name of the file, or of a folder of images.
        about: Origin of the clip and of the ground truth.
        watch: Zones, lines and rules, as in a configuration.
        events: All events that the rules should report; any other is false.
        fps: Frame rate of a folder of images.
    """

    clip: str
    watch: Watch
    about: str = ""
    events: list[Happened] = []
    fps: float | None = None

    def __post_init__(self) -> None:
        """Checks the events.

        Raises:
            ValueError: An event names an unknown rule, or ends before it begins.
        """
        rules = self.watch.all_rules()
        for event in self.events:
            if event.rule not in rules:
                names = ", ".join(rules)
                raise ValueError(f"events: unknown rule {event.rule!r}; expected one of: {names}")
            if event.to_s < event.from_s:
                raise ValueError(f"events: {event.rule} from {event.from_s:g} ends before it begins")

    def true_events(self) -> list[TrueEvent]:
        """The events, for scoring."""
        return [TrueEvent(one.rule, one.from_s, one.to_s, one.at_most) for one in self.events]


def load_truths(files: Sequence[Path]) -> dict[str, Truth]:
    """Reads ground truth by clip name; without files, that of the public clips.

    Raises:
        ConfigError: A file can't be read or is invalid.
    """
    truths = [
        fill(Truth, [], file, (), keys_in="docs/event_accuracy.md")
        for file in files or sorted(TRUTHS.glob("*.toml"))
    ]
    return {truth.clip: truth for truth in truths}


def find_clips(paths: Sequence[Path], truths: dict[str, Truth]) -> list[tuple[Path, Truth]]:
    """The clips of files and folders that have ground truth.

    Raises:
        ConfigError: A path does not exist, no clip was found, or a given file has no ground truth.
    """
    found = []
    for path in paths:
        if not path.exists():
            raise ConfigError(f"{path}: no such clip or folder")
        if path.name in truths:
            found.append((path, truths[path.name]))
        elif path.is_dir():
            found += [(file, truths[file.name]) for file in sorted(path.iterdir()) if file.name in truths]
        else:
            raise ConfigError(f"{path}: no ground truth for this clip: write a file for it and give --truth")
    if not found:
        raise ConfigError(f"no clip with ground truth found; expected one of: {', '.join(sorted(truths))}")
    return found


def play(path: Path, truth: Truth, fps: float) -> Film:
    """The frames of a clip, at about ``fps`` frames per second.

    Raises:
        ConfigError: The clip can't be read, or a folder of images has no ``fps``.
    """
    pictures, rate = _pictures(path, truth.fps)
    every = max(1, round(rate / fps))
    for number, picture in enumerate(pictures):
        if number % every == 0:
            yield picture, round(number / rate * 1e9)


def _pictures(path: Path, fps: float | None) -> tuple[Iterator[Image], float]:
    if path.is_dir():
        inside = path / "input" if (path / "input").is_dir() else path  # the layout of CDnet
        files = sorted(file for file in inside.iterdir() if file.suffix.lower() in _PICTURES)
        if not fps or not files:
            raise ConfigError(f"{path}: the folder must contain images, and its truth file must set fps")
        return (_picture(file) for file in files), fps
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    if not capture.isOpened() or not rate > 0:
        raise ConfigError(f"{path} can't be read as a video")

    def read() -> Iterator[Image]:
        while (picture := capture.read())[0]:
            yield np.asarray(picture[1], np.uint8)

    return read(), rate


def _picture(file: Path) -> Image:
    picture = cv2.imread(str(file))
    if picture is None:
        raise ConfigError(f"{file} can't be read as an image")
    return np.asarray(picture, np.uint8)


# -- disturbances ----------------------------------------------------------------------------------


def disturbed(film: Film, disturbance: str, seed: int = 0) -> Film:
    """The same frames with a disturbance."""
    rng = np.random.default_rng(seed)
    if disturbance == "shake":
        return _shaken(film)
    if disturbance == "low bit rate":
        return _coded(film)
    if disturbance == "none":
        return film
    effect = _EFFECTS[disturbance](rng)
    return ((effect(image, time_ns / 1e9), time_ns) for image, time_ns in film)


def seen_in(watch: Watch, disturbance: str) -> Watch:
    """Zones and lines as seen by the disturbed camera in its centre position."""
    if disturbance != "shake":
        return watch
    zones = {name: _moved(zone) for name, zone in watch.zones.items()}
    lines = {name: _moved(line) for name, line in watch.lines.items()}
    return msgspec.structs.replace(watch, zones=zones, lines=lines)


def _moved(place: _Place) -> _Place:
    def share(value: float) -> float:
        return min(max((value - 0.5) / _CROP + 0.5, 0.0), 1.0)

    return msgspec.structs.replace(place, points=[(share(x), share(y)) for x, y in place.points])


def _shaken(film: Film) -> Film:
    """A virtual camera that sees a part of the frame and shakes like one on a pole in the wind."""
    for image, time_ns in film:
        height, width = image.shape[:2]
        at_s, px = time_ns / 1e9, width / 640 * _SHAKES
        x = width / 2 + px * (2.2 * math.sin(17.3 * at_s) + 1.3 * math.sin(43.1 * at_s + 1))
        y = height / 2 + px * (1.6 * math.sin(23.7 * at_s + 2) + 1.1 * math.sin(51.9 * at_s))
        to_picture = np.array(
            [[_CROP, 0.0, x - _CROP * width / 2], [0.0, _CROP, y - _CROP * height / 2]], np.float64
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        yield np.asarray(cv2.warpAffine(image, to_picture, (width, height), flags=flags), np.uint8), time_ns


def _coded(film: Film) -> Film:
    times = list[int]()

    def pictures() -> Iterator[Image]:
        for image, time_ns in film:
            times.append(time_ns)
            yield image

    for number, image in enumerate(effects.low_rate(pictures())):
        yield image, times[number]


_EFFECTS: dict[str, Callable[[Random], Effect]] = {
    "low light": effects.dim,
    "JPEG": effects.jpeg,
    "rain": effects.rain,
}
DISTURBANCES = ("none", "shake", "low bit rate", *_EFFECTS)
