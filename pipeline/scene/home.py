"""Finds the reference view again when the camera moves, so that zones stay in place in the scene.

The keys of the reference view are matched with those of the new image at any distance. The similarity on
which most matches agree gives the position of the view. Errors do not accumulate, because each search uses
the reference view itself; between two searches it is tracked by the camera's motion from frame to frame.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.sight import AT_HOME, Sight, Similarity
from pipeline.base.watched import UNNAMED_VIEW
from pipeline.scene.camera_tracker import camera_between
from pipeline.scene.dense_motion import Array, DenseMotion

_LOOK_EVERY_MS = 200.0
_LOST_AFTER_MS = 1500.0
_SETTLES_MS = 3000.0
"""The first image may be dark, or the camera not yet aimed, so a view is taken only after this time."""
_MOST_PLACES = 600
"""Largest number of places of a view that are matched: enough for a similarity."""
_SHARPNESS = 10.0
"""Sharpness of the weights of a match's neighbours in sub-place refinement."""
_AGREES_WITHIN = 0.6
"""Largest distance, in places of the keys, between a match and a similarity it agrees with."""
_AS_GOOD = 0.05
"""Cosine difference: a place whose expected match is this close to its best match counts as seen."""
_LEAST_SEEN, _LEAST_SEEN_AS_EXPECTED = 0.5, 0.3
"""Least shares of a view's places that must be seen: in general, and where a tracked view is expected. In
images of other scenes, three in four similarities show less than half."""
_LEAST_COSINE = 0.4
"""Least mean cosine of the expected matches: nine in ten other scenes are below 0.36; the same scene in the
dark is above 0.53."""
_STAYS_IN, _COMES_IN = 0.45, 0.55
"""Share of the view or of the image that must be visible in the other for the view to stay found, and to be
found again: rows of houses look alike, so less than half of a view may be found in several places."""
_CLEARLY = 1.3
"""Another position must have this many times as many agreeing matches."""
_SURE = 0.7
"""Below this share, other views of the camera are tried too, and a view that was tracked out of the image
does not count as found again: other parts of a street reach up to 0.6."""
_BETTER, _LOOKS = 0.2, 3
"""Margin by which another view must match better, and in how many consecutive searches."""
_LEADS_ASTRAY = 0.03
"""Image widths: if the tracked motion of the camera is off by more between two searches, it is not used until
the next search, for example while a lorry fills the image."""
_KEPT = 64
"""Number of past similarities kept; no prediction refers to older frames."""


Points: TypeAlias = npt.NDArray[np.complex128]
"""In image widths, x + i y."""
Was: TypeAlias = Literal["found", "lost", "out"]
"""Last state of a view: not found for a while (``lost``), or tracked out of the image (``out``)."""


@dataclass(frozen=True, slots=True)
class KeptView:
    """A stored reference view.

    Attributes:
        keys: ``(rows, columns, channels)``, each of length 1.
        aspect: Height / width of its image.
    """

    keys: Array
    aspect: float


@dataclass(frozen=True, slots=True)
class Found:
    """Position of a view in an image.

    Attributes:
        similarity: From the view to the image.
        share: Of the view's places that lie in the image, the share that is seen where expected.
        is_in_picture: Whether enough of it is in the image; False if it was tracked out of the image.
    """

    similarity: Similarity
    share: float
    is_in_picture: bool = True


def find(
    view: KeptView,
    keys: Array,
    aspect: float,
    expected: Sequence[Similarity] = (),
    was: Was = "found",
) -> Found | None:
    """Position of a view in an image; None if it is not in the image or cannot be determined.

    Args:
        view: What to look for.
        keys: Keys of the image, ``(rows, columns, channels)``, each of length 1.
        aspect: Height of the image / width.
        expected: Positions where it may be. The best fit is refined, unless the view is clearly elsewhere.
        was: Unless ``found``, an expected position must meet the same limits as a new one; if ``out``, a
            new position must match clearly.
    """
    matches = _Matches(view, keys, aspect)
    least, least_common = (_LEAST_SEEN_AS_EXPECTED, _STAYS_IN) if was == "found" else (_LEAST_SEEN, _COMES_IN)
    seen = [(matches.share(one), matches.fit(one), one) for one in expected]
    seen = [one for one in seen if one[0] >= least]
    most = max((share for share, _, _ in seen), default=0.0)
    share, fit, best = max(
        (one for one in seen if one[0] >= most - _AS_GOOD), key=lambda one: one[1], default=(0.0, 0.0, None)
    )
    jump = matches.agreed()
    if jump is not None and matches.common(jump) >= least_common:
        jumped = matches.share(jump)
        is_clear = jumped > share + 2 * _AS_GOOD or (
            jumped >= share - _AS_GOOD and matches.fit(jump) > _CLEARLY * fit
        )
        if jumped >= (_SURE if was == "out" else _LEAST_SEEN) and is_clear:
            return Found(jump, jumped)
    if best is None or not (corrected := matches.corrected(best)).is_plausible:
        return None
    return Found(corrected, share, matches.common(corrected) >= least_common)


class _Matches:
    """The places of a view, as complex numbers in image widths, and the best match of each in an image."""

    def __init__(self, view: KeptView, keys: Array, aspect: float) -> None:
        rows, columns, channels = view.keys.shape
        stride = max(math.ceil(math.sqrt(rows * columns / _MOST_PLACES)), 1)
        row, column = (
            x.ravel() for x in np.mgrid[stride // 2 : rows : stride, stride // 2 : columns : stride]
        )
        self._rows, self._columns, _ = keys.shape
        self._aspect, self._width = aspect, 1 / columns
        self._scores = view.keys[row, column] @ keys.reshape(-1, channels).T
        self._best = self._scores.argmax(axis=1)
        self._places = _widths(row, column, rows, columns, view.aspect)
        back = self._scores.argmax(axis=0)[self._best]
        is_mutual = np.maximum(abs(row[back] - row), abs(column[back] - column)) <= stride
        matches, is_inside = self._between()
        self._start, self._end = (x[is_mutual & is_inside] for x in (self._places, matches))

    def agreed(self) -> Similarity | None:
        """The similarity on which most of the matches agree."""
        if len(self._start) < 2:  # a similarity needs two points
            return None
        start, end = (np.stack((x.real, x.imag), axis=1) for x in (self._start, self._end))
        matrix, _ = cv2.estimateAffinePartial2D(
            start, end, method=cv2.RANSAC, ransacReprojThreshold=_AGREES_WITHIN * self._width, maxIters=500
        )
        if matrix is None:
            return None
        (a, _, x), (b, _, y) = matrix.tolist()
        found = Similarity(complex(a, b), complex(x, y))
        return found if found.is_plausible else None

    def fit(self, similarity: Similarity) -> float:
        """Number of matches that agree with a similarity; near misses count partly."""
        return float(self._weights(similarity).sum())

    def common(self, similarity: Similarity) -> float:
        """Share of the view visible in the image, or of the image in the view, whichever is larger."""
        there = self._places * similarity.factor + similarity.offset
        inside = (there.real >= 0) & (there.real < 1) & (there.imag >= 0) & (there.imag < self._aspect)
        return float(inside.mean() * max(1.0, abs(similarity.factor) ** 2))

    def share(self, similarity: Similarity) -> float:
        """Share of the places whose match at the expected position is about as good as their best match."""
        there = self._places * similarity.factor + similarity.offset
        column = np.rint(there.real * self._columns - 0.5).astype(int)
        row = np.rint(there.imag * self._rows / self._aspect - 0.5).astype(int)
        seen = (row > 0) & (row < self._rows - 1) & (column > 0) & (column < self._columns - 1)
        number = np.flatnonzero(seen)
        if not len(number):
            return 0.0
        middle = row[seen] * self._columns + column[seen]
        near = [down * self._columns + right for down in (-1, 0, 1) for right in (-1, 0, 1)]
        here = np.max([self._scores[number, middle + step] for step in near], axis=0)
        if here.mean() < _LEAST_COSINE:
            return 0.0
        return float((here >= self._scores[number, self._best[number]] - _AS_GOOD).mean())

    def corrected(self, expected: Similarity) -> Similarity:
        """The expected similarity, refined by the matches; it counts like one agreeing match per place."""
        weight = np.concatenate((self._weights(expected), np.ones(len(self._places))))
        weight /= weight.sum()
        start = np.concatenate((self._start, self._places))
        end = np.concatenate((self._end, self._places * expected.factor + expected.offset))
        start_middle, end_middle = weight @ start, weight @ end
        start, end = start - start_middle, end - end_middle
        factor = complex(((weight * start.conj()) @ end) / (weight @ abs(start) ** 2))
        return Similarity(factor, complex(end_middle - factor * start_middle))

    def _weights(self, similarity: Similarity) -> npt.NDArray[np.float64]:
        """Weights of the matches: 1 for a match that agrees with a similarity, near 0 for an outlier."""
        off = abs(self._start * similarity.factor + similarity.offset - self._end) / self._width
        return np.asarray(1 / (1 + np.square(off / _AGREES_WITHIN)), np.float64)

    def _between(self) -> tuple[Points, npt.NDArray[np.bool_]]:
        """The best matches, refined to sub-place positions by a weighted mean over 3 x 3 places.

        At the edge, where neighbours are missing, the mean is biased inwards: the second array marks matches
        that are not at the edge.
        """
        rows, columns = self._rows, self._columns
        row, column = np.divmod(self._best, columns)
        is_inside = (row > 0) & (row < rows - 1) & (column > 0) & (column < columns - 1)
        middle = row.clip(1, rows - 2) * columns + column.clip(1, columns - 2)
        number = np.arange(len(middle))
        total, x, y = (np.zeros(len(middle)) for _ in range(3))
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                score = self._scores[number, middle + down * columns + right]
                weight = np.exp(_SHARPNESS * (score - self._scores[number, self._best]))
                total, x, y = total + weight, x + weight * right, y + weight * down
        return _widths(row + y / total, column + x / total, rows, columns, self._aspect), is_inside


def _widths(row: Any, column: Any, rows: int, columns: int, aspect: float) -> Points:
    """Centres of places of the keys, in image widths."""
    return np.asarray((column + 0.5) / columns + 1j * (row + 0.5) * (aspect / rows), np.complex128)


class Home:
    """Follows the reference views of one stream.

    Call ``sight`` with each frame, in order, then ``look`` with its keys if ``is_due``.

    Args:
        views: The views of its camera, by name; with several, the best match is active. Without any, the
            image three seconds after the start becomes the view, named ``UNNAMED_VIEW``.
    """

    def __init__(self, views: Mapping[str, KeptView]) -> None:
        self._views = dict(views)
        self._name, self._taken_ns = next(iter(views), UNNAMED_VIEW), dict[str, int]()
        self._known: OrderedDict[Hashable, Similarity] = OrderedDict()
        self._now, self._last, self._is_carried = AT_HOME, Found(AT_HOME, 0.0), True
        self._began_ns: int | None = None
        self._looked_ns: int | None = None
        self._found_ns: int | None = None
        self._rival = "", 0  # another view that matched better, and in how many consecutive searches

    @property
    def name(self) -> str:
        """Name of the active view."""
        return self._name

    def is_due(self, time_ns: int) -> bool:
        """Whether it is time to search for the view, or to take the first one."""
        if self._looked_ns is None:
            began_ns = time_ns if self._began_ns is None else self._began_ns
            return bool(self._views) or time_ns - began_ns >= _SETTLES_MS * 1e6
        since_ns = time_ns - self._looked_ns
        return since_ns < 0 or since_ns >= _LOOK_EVERY_MS * 1e6

    def look(self, frame: Hashable, keys: Array, aspect: float, time_ns: int, *, take: bool = False) -> None:
        """Searches for the view in a frame.

        Args:
            frame: Its identity.
            keys: See ``find``.
            aspect: See ``find``.
            time_ns: Its capture time.
            take: Whether the frame becomes the active view.
        """
        self._looked_ns = time_ns
        carried = self._known.get(frame, self._now)
        if self._views and not take:
            expected = carried, self._last.similarity
            found = find(self._views[self._name], keys, aspect, expected, self._was(time_ns))
            is_sure = found is not None and found.is_in_picture and found.share >= _SURE
            if len(self._views) > 1 and not is_sure:
                found = self._nearest(keys, aspect, found)
        else:
            self._views[self._name], self._taken_ns[self._name] = KeptView(keys, aspect), time_ns
            found = Found(AT_HOME, 1.0)
        if found:
            self._last, self._found_ns = found, time_ns
        correction = carried.inverse().then(self._last.similarity)
        self._is_carried = found is not None and correction.largest_shift(aspect) < _LEADS_ASTRAY
        self._now = self._now.then(correction)
        for earlier, similarity in self._known.items():
            self._known[earlier] = similarity.then(correction)

    def sight(
        self, frame: Hashable, past: Sequence[Hashable | None], motion: DenseMotion, time_ns: int
    ) -> Sight | None:
        """Position of the view in a frame; None before the first search.

        Args:
            frame: Its identity.
            past: Identities of the past frames it was compared with; None where there is none.
            motion: The network's output for it.
            time_ns: Its capture time.
        """
        if self._began_ns is None or time_ns < self._began_ns:
            self._began_ns = time_ns
        slot = next((slot for slot in reversed(motion.slots) if past[slot] in self._known), None)
        if slot is not None and (camera := camera_between(motion, slot)).is_plausible:
            carried = self._known[past[slot]].then(camera.inverse())
            if carried.is_plausible:
                self._now = carried
        self._known[frame] = self._now
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        if self._looked_ns is None:
            return None
        is_found = self._was(time_ns) == "found"
        now = self._now if self._is_carried and self._now.is_plausible else self._last.similarity
        return Sight(
            view=self._name,
            taken_ns=self._taken_ns.get(self._name, 0),
            found=is_found,
            share=self._last.share if is_found else 0.0,
            factor=(now.factor.real, now.factor.imag),
            offset=(now.offset.real, now.offset.imag),
            aspect=motion.aspect,
        )

    def _was(self, time_ns: int) -> Was:
        if not self._last.is_in_picture:
            return "out"
        is_lost = self._found_ns is None or abs(time_ns - self._found_ns) > _LOST_AFTER_MS * 1e6
        return "lost" if is_lost else "found"

    def _nearest(self, keys: Array, aspect: float, current: Found | None) -> Found | None:
        """The current view, or another one that clearly matches better in several consecutive searches."""
        seen = {
            name: found
            for name in sorted(self._views.keys() - {self._name})
            if (found := find(self._views[name], keys, aspect))
        }
        best = max(seen, key=lambda name: seen[name].share, default=None)
        is_there = current is not None and current.is_in_picture
        if best is None or (current and is_there and seen[best].share < current.share + _BETTER):
            self._rival = "", 0
            return current
        self._rival = best, self._rival[1] + 1 if self._rival[0] == best else 1
        if self._rival[1] < _LOOKS:
            return current
        self._name, self._rival = best, ("", 0)
        return seen[best]
