"""Runs all methods on one video, under the same rules."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.nuisance.rivals import BoxTracker, Differencing, Mog2
from benchmarks.nuisance.scoring import Score, Teller, TrueEvent, score
from benchmarks.one_stream import Watching
from pipeline.base.frame import Image
from pipeline.base.watched import Watch
from pipeline.runtime.base import Runtime

RIVALS: dict[str, Callable[[], Mog2 | Differencing]] = {"mog2": Mog2, "differencing": Differencing}
USUAL_SIZES = {"mog2": 0.0016, "differencing": 0.00075}
"""Usual minimum area of a box, as a share of the frame.

For MOG2, 500 pixels of 640x480, as in common scripts; for differencing, 10 pixels of a frame 100 pixels high.
"""
SIZES = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
"""Minimum areas of a box tried when tuning a baseline."""
METHODS = ("ours", *(f"{name}{how}" for name in RIVALS for how in ("", " tuned")))


class Contest:
    """Processes a video frame by frame.

    Args:
        runtime: A network with dense motion; None runs only the baselines.
        watch: The rules.
        sizes: Minimum areas of a box to try, by baseline; those in ``USUAL_SIZES`` are added.

    Attributes:
        ours: Events of this program.
        rivals: Events of the baselines, by name and minimum area of a box.
        bad_pictures: Number of frames that this program rejected as unusable.
    """

    def __init__(
        self, runtime: Runtime | None, watch: Watch, sizes: dict[str, Sequence[float]] | None = None
    ) -> None:
        sizes = sizes or dict.fromkeys(RIVALS, SIZES)
        self._watching = Watching(runtime, judge_health=True) if runtime else None
        self._detectors = {name: kind() for name, kind in RIVALS.items()}
        self._trackers = {
            (name, size): BoxTracker(size) for name in RIVALS for size in {USUAL_SIZES[name], *sizes[name]}
        }
        self.ours = Teller(watch)
        self.rivals = {key: Teller(watch) for key in self._trackers}
        self.bad_pictures = 0

    def see(self, image: Image, time_ns: int) -> None:
        """Processes the next frame."""
        if self._watching:
            seen = self._watching.see(image, time_ns)
            if seen is None:
                self.bad_pictures += 1
                self.ours.cut("the image is bad")
            else:
                things = [thing for thing in seen.scene.things or () if thing.was]
                self.ours.take(things, time_ns, depth=seen.depth, sight=seen.scene.sight)
        boxes = {name: detector.boxes(image) for name, detector in self._detectors.items()}
        for key, tracker in self._trackers.items():
            self.rivals[key].take(tracker.update(boxes[key[0]], time_ns), time_ns)

    def end(self) -> None:
        """Ends the video."""
        for teller in (self.ours, *self.rivals.values()):
            teller.cut("the end")

    def result(self, truth: Sequence[TrueEvent], seconds: float) -> dict[str, Any]:
        """The score of each method; a baseline is tuned on the ground truth of this video."""
        found = score(self.ours, truth, seconds)
        row: dict[str, Any] = {
            "ours": asdict(found),
            "bad_pictures": self.bad_pictures,
            "other_events": self.ours.others(),
        }
        for name, usual in USUAL_SIZES.items():
            scores = self.scores(name, truth, seconds)
            row[name] = {**asdict(scores[usual]), "least_size": usual}
            size = best_size(scores, found.found)
            row[f"{name} tuned"] = {**asdict(scores[size]), "least_size": size}
        return row

    def scores(self, rival: str, truth: Sequence[TrueEvent], seconds: float) -> dict[float, Score]:
        """Scores of a baseline by minimum area of a box."""
        return {
            size: score(teller, truth, seconds)
            for (name, size), teller in self.rivals.items()
            if name == rival
        }


def best_size(scores: dict[float, Score], wanted: int) -> float:
    """The minimum area that finds ``wanted`` events, or else the most, with the fewest false events."""
    return min(
        scores,
        key=lambda size: (
            max(wanted - scores[size].found, 0),
            scores[size].false,
            scores[size].false_quiet_s,
            -size,
        ),
    )
