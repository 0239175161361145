"""Image health: detects a camera that no longer shows its scene, by comparison with its usual images."""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.base.picture_state import PictureState
from pipeline.scene.stillness import Stillness

_WIDTH = 160  # of the small copy, in pixels
_BLOCK = 8  # side of a block, in pixels of the small copy
_LASTING_S: Mapping[PictureState, float] = {
    "ok": 1.0,
    "covered": 1.5,
    "dark": 2.0,
    "over_exposed": 2.0,
    "frozen": 0.0,  # ``Stillness`` has already waited
    "blurred": 3.0,
    "smeared": 0.0,
}
"""Time for which the evidence for a state must persist without a break."""
_FEWEST_FRAMES = 4
"""Fewest frames of evidence."""
_EVIDENT = ("frozen", "smeared")
"""States for which one image is enough evidence."""
_LEARN_S, _LEARN_FRAMES = 5.0, 20
"""Seconds and number of good images needed before images are compared with the usual ones."""
_USUAL_S, _VIEW_S = 20.0, 5.0
"""Averaging times of the usual sharpness and contrast, and of the usual view."""
_LONGEST_GAP_S = 1.5
"""After a longer gap between two images, the evidence is reset."""

_SHARP = 1.5
"""Grey levels: a block is sharp if the standard deviation of its finest detail is above this."""
_ABOVE_NOISE = 1.5
"""This multiple of the noise energy is subtracted from that of the detail."""
_MOST_NOISE = 36.0  # energy, in grey levels squared
_QUIET_SHARE = 0.1  # share of the blocks used to measure noise: those with the least motion
_NOISE = {True: 0.005, False: 0.1}  # learning rate, by whether the measured noise is above the estimate
_LAMPS = 0.01  # a dark image with a larger share of sharp blocks is a night scene
_LEAST_SHARP = 0.12  # a view whose usual share of sharp blocks is lower is not judged
_LEFT = 0.4  # share of the usual sharp blocks; with fewer, detail was lost
_DOUBTFUL_LEFT, _DOUBTFUL = 0.6, 0.1  # with a smaller share, learning slows by this factor
_SAME_VIEW, _STEADY_VIEW = 0.5, 0.6  # correlation
_LEAST_LIGHT = 0.35
_FLAT = 0.6  # share of the usual contrast of the coarse image; below it, the image is flat
_DARK_LEVEL, _DARK_RANGE = 20.0, 16.0  # grey levels
_WHITE, _WHITE_SHARE, _WHITE_LEFT = 250.0, 0.8, 0.6

_Plane = npt.NDArray[np.float32]


class Health(NamedTuple):
    """Health of a stream's images.

    Attributes:
        state: ``ok``, or the kind of fault.
        for_s: Seconds since it began.
        ok_for_s: In a bad state, seconds for which the images have looked good again.
        why: Measurements of the newest image, by name.
    """

    state: PictureState
    for_s: float
    ok_for_s: float
    why: dict[str, float]


class _Features(NamedTuple):
    """Features of one image, from its small grey copy.

    Attributes:
        level: Mean grey level.
        lightest: Grey level of the brightest place.
        white: Share of the image that is white.
        fine: Its finest detail, ``(rows, columns)``.
        detail: Energy of ``fine`` in each block, ``(rows, columns)`` of blocks.
        contrast: Contrast of the coarse image, in grey levels.
        view: The coarse image, ``(rows, columns)`` of blocks, zero mean.
    """

    level: float
    lightest: float
    white: float
    fine: _Plane
    detail: _Plane
    contrast: float
    view: _Plane

    def sharp(self, noise: float, least: float = _SHARP) -> float:
        """Share of the blocks whose detail is above ``least`` grey levels after noise is subtracted."""
        return float(np.count_nonzero(self.detail > least**2 + _ABOVE_NOISE * noise)) / self.detail.size


class PictureHealth:
    """Judges the images of one stream.

    The state changes once the evidence for another one has persisted; recovery takes one second. Loss of
    detail is judged against what this camera usually shows, so fog and plain scenes are not faults.

    Args:
        judge_frozen: Whether images that stay the same can be a fault; False for files.
        judge_looks: Whether images are analysed; if False, only the decoder's report counts.
    """

    def __init__(self, *, judge_frozen: bool, judge_looks: bool = True) -> None:
        self._judge_frozen, self._judge_looks = judge_frozen, judge_looks
        self._start((0, 0))

    def _start(self, size: tuple[int, int]) -> None:
        self._size = size
        self._state: PictureState = "ok"
        self._since_ns = 0
        self._candidate: PictureState = "ok"
        self._candidate_ns, self._candidate_frames = 0, 0
        self._last_ns: int | None = None
        self._learned_s, self._learned_frames = 0.0, 0
        self._sharp = self._contrast = self._steady = self._noise = 0.0
        self._fine: _Plane | None = None
        self._view: _Plane | None = None
        self._stillness = Stillness()

    def look(self, image: Image, time_ns: int, *, smeared: bool = False) -> Health:
        """Judges the next image.

        Args:
            image: ``(rows, columns, 3)`` uint8 BGR.
            time_ns: Its position on the stream's timeline; if it goes back, the evidence is reset.
            smeared: Whether the decoder reports missing data.
        """
        if image.shape[:2] != self._size:
            self._start((image.shape[0], image.shape[1]))
        passed_s = 0.0 if self._last_ns is None else (time_ns - self._last_ns) / 1e9
        self._last_ns = time_ns
        if not 0 <= passed_s <= _LONGEST_GAP_S:
            self._candidate, self._candidate_ns, self._candidate_frames = self._state, time_ns, 0
            self._since_ns = min(self._since_ns, time_ns)
            self._stillness.restart()
            passed_s = 0.0
        if not self._judge_looks:
            return self._judged("smeared" if smeared else "ok", time_ns, {})
        seen = _measure(image)
        likeness = 0.0 if self._view is None else _correlation(seen.view, self._view)
        if self._judge_frozen:
            self._stillness.look(image, time_ns)
        evidence = "smeared" if smeared else self._evidence(seen, likeness)
        if evidence == "ok" and self._stillness.is_frozen:
            evidence = "frozen"
        health = self._judged(evidence, time_ns, self._why(seen, likeness))
        if evidence == health.state == "ok":
            self._learn(seen, likeness, passed_s)
            self._stillness.learn(passed_s)
        return health

    def _judged(self, evidence: PictureState, time_ns: int, why: dict[str, float]) -> Health:
        self._believe(evidence, time_ns)
        recovers = evidence == "ok" != self._state
        return Health(
            self._state,
            for_s=(time_ns - self._since_ns) / 1e9,
            ok_for_s=(time_ns - self._candidate_ns) / 1e9 if recovers else 0.0,
            why=why,
        )

    def _evidence(self, seen: _Features, likeness: float) -> PictureState:
        """The state suggested by one image."""
        if seen.level < _DARK_LEVEL and seen.lightest - seen.level < _DARK_RANGE:
            return "dark"
        if self._learned_s < _LEARN_S or self._learned_frames < _LEARN_FRAMES:
            return "ok"
        if self._sharp < _LEAST_SHARP:
            return "ok"
        sharp = seen.sharp(self._noise)
        if seen.level < _DARK_LEVEL and sharp > _LAMPS:
            return "ok"
        left = sharp / self._sharp
        if seen.white > _WHITE_SHARE and left < _WHITE_LEFT:
            return "over_exposed"
        if left > _LEFT:
            return "ok"
        if likeness > _SAME_VIEW:  # dim light reduces all detail equally
            light = min(max(seen.contrast / self._contrast, _LEAST_LIGHT), 1.0)
            return "blurred" if seen.sharp(self._noise, light * _SHARP) < _LEFT * self._sharp else "ok"
        # Another view: the lens is obstructed, unless the camera always moves and there is contrast.
        is_flat = seen.contrast < _FLAT * self._contrast
        return "covered" if is_flat or self._steady > _STEADY_VIEW else "blurred"

    def _believe(self, evidence: PictureState, time_ns: int) -> None:
        if evidence != self._candidate:
            self._candidate, self._candidate_ns, self._candidate_frames = evidence, time_ns, 0
        self._candidate_frames += 1
        if evidence == self._state:
            return
        lasted_s = (time_ns - self._candidate_ns) / 1e9
        if lasted_s >= _LASTING_S[evidence] and (
            evidence in _EVIDENT or self._candidate_frames >= _FEWEST_FRAMES
        ):
            self._state = evidence
            still_ns = self._stillness.since_ns if evidence == "frozen" else None
            self._since_ns = self._candidate_ns if still_ns is None else still_ns

    def _learn(self, seen: _Features, likeness: float, passed_s: float) -> None:
        self._learned_s += passed_s
        self._learned_frames += 1
        newest, sharp = 1 / self._learned_frames, seen.sharp(self._noise)
        if sharp < _DOUBTFUL_LEFT * self._sharp:
            passed_s *= _DOUBTFUL
        slow, fast = max(newest, passed_s / _USUAL_S), max(newest, passed_s / _VIEW_S)
        if self._fine is not None:
            noise = _noise(seen.fine, self._fine, seen.detail.shape)
            # Motion looks like noise, so increases are learned more slowly than decreases.
            self._noise += (noise - self._noise) * (
                newest if self._learned_frames < _LEARN_FRAMES else _NOISE[noise > self._noise]
            )
        self._fine = seen.fine
        self._sharp += slow * (sharp - self._sharp)
        self._contrast += slow * (seen.contrast - self._contrast)
        self._steady += slow * (likeness - self._steady)
        self._view = (
            seen.view if self._view is None else self._view + np.float32(fast) * (seen.view - self._view)
        )

    def _why(self, seen: _Features, likeness: float) -> dict[str, float]:
        why = {"level": round(seen.level, 1), "sharp": round(seen.sharp(self._noise), 3)}
        if self._learned_frames:
            why |= {"usually_sharp": round(self._sharp, 3), "likeness": round(likeness, 2)}
        return why


def _measure(image: Image) -> _Features:
    rows, columns = image.shape[:2]
    step = max(1, columns // 480)
    width = min(_WIDTH, columns)
    height = max(1, round(rows * width / columns))
    small = cv2.resize(image[::step, ::step], (width, height), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    smooth = cv2.blur(grey, (3, 3))  # averages out the remaining noise
    blocks = (max(1, width // _BLOCK), max(1, height // _BLOCK))
    means = cv2.resize(smooth, blocks, interpolation=cv2.INTER_AREA)
    fine = cv2.subtract(grey, smooth)
    energy = cv2.resize(cv2.multiply(fine, fine), blocks, interpolation=cv2.INTER_AREA)
    view = means - cv2.blur(means, (5, 5))
    return _Features(
        level=cv2.mean(grey)[0],
        lightest=cv2.minMaxLoc(smooth)[1],
        white=float(np.count_nonzero(smooth > _WHITE)) / smooth.size,
        fine=np.asarray(fine, np.float32),
        detail=np.asarray(energy, np.float32),
        contrast=cv2.norm(view, cv2.NORM_L2) / view.size**0.5,
        view=np.asarray(view, np.float32),
    )


def _noise(fine: _Plane, before: _Plane, blocks: tuple[int, ...]) -> float:
    """Noise energy in two images of one scene, from the blocks that differ least."""
    change = cv2.subtract(fine, before)
    energy = cv2.resize(cv2.multiply(change, change), blocks[::-1], interpolation=cv2.INTER_AREA).ravel()
    rank = int(_QUIET_SHARE * energy.size)
    return min(float(np.partition(energy, rank)[rank]) / 2, _MOST_NOISE)


def _correlation(one: _Plane, other: _Plane) -> float:
    norm = cv2.norm(one, cv2.NORM_L2) * cv2.norm(other, cv2.NORM_L2)
    return float(np.vdot(one, other)) / norm if norm > 1e-6 else 0.0
