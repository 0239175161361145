"""Assigns regions of a new frame to tracked objects.

The dense motion gives the velocity of each place, so an object's next position can be predicted after one
frame, and objects that meet are kept apart by their motion as well as their position.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.scene.boxes import overlap
from pipeline.scene.dense_motion import Array
from pipeline.scene.regions import SAME, SMALLEST, Region
from pipeline.scene.tracks import Track

_SLOW = 0.05
"""Widths per second; below this, a difference in velocity means little."""
_WORST = 1.6
"""Highest cost of a match: distance in mean box sides plus the relative difference in velocity."""
_NEW = 0.9
"""Extra cost of a thing that is not shown yet, so that it cannot take a region from one that is."""
_LEAST_LEFT = 0.5
"""Of several things in one region, one that would keep less than this share of its places is hidden."""
_MOTION_WEIGHT = 30.0
"""Weight of a place's squared velocity difference relative to its squared distance in half box sides."""


def divided_among(tracks: Sequence[Track], regions: Sequence[Region]) -> list[Region]:
    """Splits regions in which several shown things have met into one part per thing."""
    shown = [(track, *track.middle) for track in tracks if track.id]
    return [part for region in regions for part in _shares(shown, region)]


def _shares(shown: Sequence[tuple[Track, float, float]], region: Region) -> list[Region]:
    """Parts of a region for the things whose centres are in it."""
    left, top, right, bottom = region.box
    inside = [track for track, x, y in shown if left <= x <= right and top <= y <= bottom]
    if len(inside) < 2:
        return [region]
    inside = [track for track in inside if not any(_is_fragment(track, other) for other in inside)]
    while len(inside) > 1:
        best = np.stack([_misfit(track, region) for track in inside]).argmin(axis=0)
        places = np.bincount(best, minlength=len(inside))
        had = np.array([track.places for track in inside])
        hidden = int((places / had).argmin())
        if places.min() >= SMALLEST and places[hidden] >= _LEAST_LEFT * had[hidden]:
            return [region.part(best == n) for n in range(len(inside))]
        del inside[hidden]
    return [region]


def _is_fragment(track: Track, other: Track) -> bool:
    """Whether a thing is only a fragment of an older one: their boxes nearly coincide."""
    return other.id < track.id and overlap(track.box, other.box) > SAME


def _misfit(track: Track, region: Region) -> Array:
    """How badly each place of a region fits a thing, ``(n,)``."""
    left, top, right, bottom = track.box
    half_sides = np.array([(right - left) / 2, (bottom - top) / 2], np.float32)
    away = np.square((region.middles() - np.array(track.middle, np.float32)) / half_sides).sum(axis=1)
    velocity = np.array(track.velocity, np.float32)
    misfit: Array = away + _MOTION_WEIGHT * np.square(_difference(velocity, region.velocities))
    return misfit


def _difference(velocity: Array, other: Array) -> Array:
    """Relative difference of velocities ``(..., 2)``, 0 to 1."""
    return _length(velocity - other) / (_length(velocity) + _length(other) + np.float32(_SLOW))


def _length(vectors: Array) -> Array:
    """Norms of vectors: ``(..., 2)`` to ``(...)``."""
    length: Array = np.hypot(vectors[..., 0], vectors[..., 1])
    return length


def match(tracks: Sequence[Track], regions: Sequence[Region]) -> dict[int, Track]:
    """Matched things by region index; the best pairs are matched first."""
    if not tracks or not regions:
        return {}
    cost = _costs(tracks, regions)
    matched: dict[int, Track] = {}
    free = set(range(len(tracks)))
    for index in np.argsort(cost, axis=None):
        row, column = divmod(int(index), len(regions))
        if cost[row, column] > _WORST:
            break
        if row in free and column not in matched:
            free.remove(row)
            matched[column] = tracks[row]
    return matched


def _costs(tracks: Sequence[Track], regions: Sequence[Region]) -> Array:
    """``(tracks, regions)``: sum of distance in mean box sides, velocity difference and ``_NEW`` if new."""
    boxes = np.array([track.box for track in tracks], np.float32)[:, None]
    others = np.array([region.box for region in regions], np.float32)
    sides = boxes[..., 2:] - boxes[..., :2] + others[..., 2:] - others[..., :2]
    apart = boxes[..., 2:] + boxes[..., :2] - others[..., 2:] - others[..., :2]
    difference = _difference(
        np.array([track.velocity for track in tracks], np.float32)[:, None],
        np.array([region.velocity for region in regions], np.float32),
    )
    new = np.array([[0 if track.id else _NEW] for track in tracks], np.float32)
    cost: Array = _length(apart / sides) + difference + new
    return cost
