"""The freshness controller: from ages of predictions to settings.

- Late in two consecutive evaluations and not improving: one knob is turned down by one step, or by two if the
  age is far above the target. If the link causes most of the age, the order is quality, size, stride;
  otherwise stride, size.
- Only frames captured after the last change count, so frames still in queues and buffers cause no further
  change.
- Some time with headroom: the knob turned last goes back up by one step. If that was too much, it is turned
  down again, and the wait before the next attempt doubles.
- All knobs at their limits without an improvement: they are reset, because the cause lies elsewhere.
- No changes without reports. Inference counts as silent three seconds after the stream's start or the last
  report, or after twice the usual interval between reports if that is longer.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pipeline.flow.freshness.ages import Cause, Feedback
from pipeline.flow.freshness.knobs import Knob, Knobs, Ladder, Limits, describe

_ORDER: Final[dict[Cause, tuple[Knob, ...]]] = {
    "link": ("quality", "size", "stride"),  # smaller frames hurt less than fewer frames
    "machine": ("stride", "size"),  # quality does not affect the duration of a step
}

_S: Final = 1_000_000_000
_LOOK_NS: Final = _S // 2
"""Interval between evaluations; it spans two reports from inference, so that one outlier has no effect."""
_SILENCE_NS: Final = 3 * _S
"""Time without a report after which inference counts as silent."""
_SETTLE_NS: Final = 5 * _S
"""Time for a change to take effect; also how long predictions are late before an event reports it."""
_REMIND_NS: Final = 60 * _S
"""Interval between reminders that predictions are late."""
_HOLD_NS: Final = 3 * _S
"""Time with headroom before a knob goes up by one step; doubled after each failed attempt."""
_LONGEST_HOLD_NS: Final = 120 * _S
_PROBE_NS: Final = 15 * _S
"""If predictions are late within this time after a step up, the step up counts as the cause."""
_PROVEN_NS: Final = 60 * _S
"""If predictions are on time for this long after a step up, the knob's wait is reset."""
_PAUSE_NS: Final = 60 * _S
"""Pause after giving up; doubled each time, up to ten times this value."""

_MUCH_TOO_LATE: Final = 4.0
"""Multiple of the target above which two steps are taken at once."""
_CALM: Final = 0.85
"""Fraction of the target below which there is headroom."""
_ROOM: Final = 0.6
"""Fraction of the target above which the required time with headroom is four times as long."""
_FALLING: Final = 0.9
"""If the age is below this fraction of the last one, it is falling by itself."""
_HELPED: Final = 0.8
"""Fraction of the age at the start of a late spell below which turning down counts as having helped."""


@dataclass
class _LateSpell:
    """A period in which predictions are late.

    Attributes:
        began_ns: Time of its first evaluation.
        age_ms: Age at that time.
        knobs: Settings at that time.
        turned: Number of steps down already in effect when it began.
        remind_ns: When the next event about it is due.
    """

    began_ns: int
    age_ms: float
    knobs: Knobs
    turned: int
    remind_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.remind_ns = self.began_ns + _SETTLE_NS

    @property
    def announced(self) -> bool:
        """Whether an event has reported it."""
        return self.remind_ns - self.began_ns > _SETTLE_NS


class FreshnessControl:
    """Controls the knobs of one stream.

    Args:
        target_ms: Target age of predictions.
        limits: Lower limits of the knobs.
        quality: JPEG quality as configured; 0 for another encoding.

    Attributes:
        target_ms: Target age of predictions.
        knobs: Current settings.
        age_ms: Age at the last evaluation; None before the first.
        turns: How often each knob was turned, by name and direction, such as ``"stride down"``.
    """

    def __init__(self, target_ms: float, limits: Limits, quality: int = 0) -> None:
        self.target_ms = target_ms
        self.knobs = Knobs(quality=quality)
        self.age_ms: float | None = None
        self.turns: dict[str, int] = {}
        self._ladder = Ladder(limits, quality)
        self._turned: list[Knob] = []
        self._worst: Feedback | None = None
        self._reported_ns: int | None = None
        self._silence_announced = False
        self._gaps_ns = deque([0, 0], maxlen=2)
        self._look_ns = self._turned_ns = self._paused_until_ns = 0
        self._late_looks = 0
        self._before_ms: float | None = None
        self._spell: _LateSpell | None = None
        self._calm_since_ns: int | None = None
        self._hold_ns: dict[Knob, int] = {}
        self._probe: tuple[Knob, int] | None = None
        self._pause_ns = _PAUSE_NS

    def start(self, now_ns: int) -> None:
        """Marks the start of the stream; reports from inference are expected from now on."""
        if self._reported_ns is None:
            self._reported_ns = now_ns

    def is_silent(self, now_ns: int) -> bool:
        """Whether inference has sent no report for much longer than usual."""
        usual_ns = min(self._gaps_ns)  # one long gap is an outage, two are the normal interval
        return self._reported_ns is not None and now_ns - self._reported_ns > max(_SILENCE_NS, 2 * usual_ns)

    def observe(self, ages: Feedback | None, now_ns: int) -> None:
        """Records a report from inference; the worst since the last evaluation counts.

        Args:
            ages: The report; None if its ages are not reliable yet.
            now_ns: Time of the report.
        """
        if self._reported_ns is not None:
            self._gaps_ns.append(now_ns - self._reported_ns)
        self._reported_ns, self._silence_announced = now_ns, False
        if ages is None:
            return
        if self._worst is None and self.age_ms is None:
            self._look_ns = now_ns + _LOOK_NS
        if ages.since_ns > self._turned_ns and (self._worst is None or ages.age_ms > self._worst.age_ms):
            self._worst = ages

    def decide(self, now_ns: int, *, side_px: int, fps: float) -> list[str]:
        """Evaluates the reports and turns at most one knob; call it often.

        Args:
            now_ns: Current time on the clock of ``Feedback.since_ns``.
            side_px: Shorter side of the source's frames.
            fps: Frame rate of the source.

        Returns:
            Human-readable events.
        """
        if self.is_silent(now_ns):
            return self._note_silence()
        if self._worst is None or now_ns < self._look_ns:
            return []
        ages, self._worst, self._look_ns = self._worst, None, now_ns + _LOOK_NS
        falling = self._before_ms is not None and ages.age_ms < _FALLING * self._before_ms
        self.age_ms = self._before_ms = ages.age_ms
        if ages.age_ms > self.target_ms:
            return self._late(now_ns, ages, falling, side_px, fps)
        return self._in_time(now_ns, ages)

    def _note_silence(self) -> list[str]:
        if self._silence_announced:
            return []
        self._silence_announced = True
        self._worst = self._spell = self._calm_since_ns = None
        self._late_looks, self.age_ms, self._before_ms = 0, None, None
        return [f"no report on the age of predictions; until one arrives: {self.knobs}"]

    def _late(self, now_ns: int, ages: Feedback, falling: bool, side_px: int, fps: float) -> list[str]:
        self._calm_since_ns = None
        spell = self._spell = self._spell or _LateSpell(now_ns, ages.age_ms, self.knobs, len(self._turned))
        self._late_looks += 1
        events = []
        if self._late_looks > 1 and not falling and now_ns >= self._paused_until_ns:
            events = self._turn_down(now_ns, ages, side_px, fps) or self._give_up(now_ns, ages, spell)
        if not events and now_ns >= spell.remind_ns:
            spell.remind_ns = now_ns + _REMIND_NS
            seconds = (now_ns - spell.began_ns) / 1e9
            order = _ORDER[ages.cause]
            left = any(self._ladder.below(self.knobs, knob, side_px=side_px, fps=fps) for knob in order)
            trying = left and now_ns >= self._paused_until_ns
            hint = f"now {self.knobs}, to be reduced further" if trying else _advice(ages)
            events = [f"{self._state(ages)} for {seconds:.0f} s: {hint}"]
        return events

    def _in_time(self, now_ns: int, ages: Feedback) -> list[str]:
        events = []
        if self._spell and self._spell.announced:
            events = [f"{self._state(ages)}: back within the target"]
        self._late_looks, self._spell = 0, None
        if ages.age_ms > _CALM * self.target_ms:
            self._calm_since_ns = None
            return events
        self._calm_since_ns = self._calm_since_ns or now_ns
        calm_ns = now_ns - self._calm_since_ns
        for knob in reversed(self._turned):
            hold_ns = self._hold_ns.get(knob, _HOLD_NS) * (1 if ages.age_ms < _ROOM * self.target_ms else 4)
            if calm_ns >= hold_ns:
                return [*events, self._turn_back(now_ns, ages, knob)]
        return events

    def _turn_down(self, now_ns: int, ages: Feedback, side_px: int, fps: float) -> list[str]:
        """Turns one knob down; first undoes a step up that was too much. Empty if no knob has a step left."""
        probed = self._failed_probe(now_ns)
        if probed and (setting := self._step_down(now_ns, probed, side_px, fps)):
            return [f"{self._state(ages)}: back to {setting}"]
        for knob in _ORDER[ages.cause]:
            settings = [self._step_down(now_ns, knob, side_px, fps)]
            if settings[0] and ages.age_ms > _MUCH_TOO_LATE * self.target_ms:
                settings.append(self._step_down(now_ns, knob, side_px, fps))
            if setting := next(filter(None, reversed(settings)), None):
                place = "on the way to inference" if ages.cause == "link" else "in inference"
                return [f"{self._state(ages)}, most of it {place}: {setting}"]
        return []

    def _step_down(self, now_ns: int, knob: Knob, side_px: int, fps: float) -> str | None:
        """Turns one knob down; returns its human-readable setting, or None if it has no step left."""
        value = self._ladder.below(self.knobs, knob, side_px=side_px, fps=fps)
        if value is None:
            return None
        self._turned.append(knob)
        self._set(now_ns, knob, value, "down")
        return describe(knob, value)

    def _failed_probe(self, now_ns: int) -> Knob | None:
        """The knob whose last step up made predictions late, if any; its next wait is doubled."""
        if self._probe is None:
            return None
        (knob, at_ns), self._probe = self._probe, None
        if now_ns - at_ns > _PROVEN_NS:
            self._hold_ns.pop(knob, None)
        if now_ns - at_ns > _PROBE_NS:
            return None
        self._hold_ns[knob] = min(2 * self._hold_ns.get(knob, _HOLD_NS), _LONGEST_HOLD_NS)
        return knob

    def _turn_back(self, now_ns: int, ages: Feedback, knob: Knob) -> str:
        value = self._ladder.above(self.knobs, knob)
        self._turned.reverse()
        self._turned.remove(knob)
        self._turned.reverse()
        self._probe, self._calm_since_ns = (knob, now_ns), None
        self._set(now_ns, knob, value, "back")
        return f"{self._state(ages)}: stepping up to {describe(knob, value)}"

    def _give_up(self, now_ns: int, ages: Feedback, spell: _LateSpell) -> list[str]:
        """Undoes the changes of this spell if all knobs were tried long enough without an effect."""
        tried = len(self._turned) > spell.turned
        if not tried or now_ns - self._turned_ns < _SETTLE_NS or ages.age_ms < _HELPED * spell.age_ms:
            return []
        self.knobs = spell.knobs
        del self._turned[spell.turned :]
        self._turned_ns, self._paused_until_ns = now_ns, now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, 10 * _PAUSE_NS)
        spell.remind_ns = now_ns + _REMIND_NS
        self.turns["reverted"] = self.turns.get("reverted", 0) + 1
        return [f"{self._state(ages)}, and sending less does not help: {self.knobs} again; {_advice(ages)}"]

    def _set(self, now_ns: int, knob: Knob, value: int, direction: str) -> None:
        self.knobs = self.knobs.turned(knob, value)
        self.turns[f"{knob} {direction}"] = self.turns.get(f"{knob} {direction}", 0) + 1
        self._turned_ns, self._late_looks, self._before_ms = now_ns, 0, None

    def _state(self, ages: Feedback) -> str:
        return f"predictions are {ages.age_ms:.0f} ms old, target {self.target_ms:g}"


def _advice(ages: Feedback) -> str:
    if ages.cause == "link":
        return (
            "the link is too slow for this stream; allow less with freshness.min_quality, min_side_px and "
            "min_fps, or a higher --max-age"
        )
    return (
        f"a step takes {ages.step_ms:.0f} ms; try a faster device or backend (`bench step --backend all`), "
        "a smaller model, fewer streams or a higher --max-age"
    )
