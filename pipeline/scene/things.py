"""Tracks moving objects: from dense motion to objects with an id, a path and an age."""

import numpy as np

from pipeline.base.moving_thing import MOST_THINGS, Thing
from pipeline.scene.association import divided_among, match
from pipeline.scene.boxes import common
from pipeline.scene.dense_motion import DenseMotion
from pipeline.scene.regions import Region, find_regions
from pipeline.scene.tracks import Track

_MOST_TRACKS = 2 * MOST_THINGS
"""Largest number of tracks, including things out of sight."""


class ThingTracker:
    """Tracks the things of one stream; call ``update`` with each frame, in order."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._last_id = 0
        self._time_ns = 0
        self._aspect = 0.0

    def update(self, motion: DenseMotion, time_ns: int) -> list[Thing]:
        """The things of the next frame, highest score first, at most ``MOST_THINGS``.

        All tracks are dropped if the time does not increase or the image's aspect ratio changes.

        Args:
            motion: The network's output for the frame.
            time_ns: The frame's capture time.
        """
        if time_ns <= self._time_ns or motion.aspect != self._aspect:
            self._tracks.clear()
        elapsed_ms = (time_ns - self._time_ns) / 1e6
        self._time_ns, self._aspect = time_ns, motion.aspect
        if self._tracks:
            self._predict(motion, elapsed_ms)
        self._follow(motion, elapsed_ms)
        shown = [track for track in self._tracks if track.id and track.is_sure(time_ns)]
        shown.sort(key=lambda track: -track.score)
        if not shown:
            return []
        every_place, columns = motion.every_place(), motion.moving.shape[1]
        return [track.thing(every_place, columns, motion.aspect, time_ns) for track in shown[:MOST_THINGS]]

    def _predict(self, motion: DenseMotion, elapsed_ms: float) -> None:
        """Moves all tracks to their predicted positions."""
        trails = [track.trail for track in self._tracks]
        middles = np.array([track.middle for track in self._tracks], np.float32)
        went = motion.camera_velocity(np.concatenate([*trails, middles])) * np.float32(elapsed_ms / 1000)
        end = 0
        for track, middle_went in zip(self._tracks, went[-len(middles) :].tolist(), strict=True):
            start, end = end, end + len(track.trail)
            track.predict(went[start:end], middle_went, elapsed_ms)

    def _follow(self, motion: DenseMotion, elapsed_ms: float) -> None:
        """Updates the tracks with the new regions, starts new ones and drops old ones."""
        regions = divided_among(self._tracks, find_regions(motion))
        matched = match(self._tracks, regions)
        for index, track in matched.items():
            region = regions[index]
            is_of_both = track.is_outgrown_by(region) and self._has_met(region, track)
            track.see(region, self._time_ns, elapsed_ms, is_of_both=is_of_both)
        for track in self._tracks:
            if track.seen_ns != self._time_ns:
                track.miss(regions, elapsed_ms)
        new = [region for index, region in enumerate(regions) if index not in matched]
        self._tracks += [Track(region, self._time_ns, self._time_ns) for region in new]
        kept = [track for track in self._tracks if track.is_worth_keeping(self._time_ns, self._aspect)]
        kept.sort(
            key=lambda track: (track.id == 0, track.unseen_ms(self._time_ns), -len(track.region.places))
        )
        self._tracks = kept[:_MOST_TRACKS]
        for track in self._tracks:
            if not track.id and track.is_sure(self._time_ns):
                self._last_id += 1
                track.id = self._last_id

    def _has_met(self, region: Region, track: Track) -> bool:
        """Whether a thing's region overlaps the box of another shown thing."""
        others = (other.box for other in self._tracks if other.id and other is not track)
        return any(common(region.box, box) > 0 for box in others)
