"""The freshness controller: from ages of predictions to settings.

- Late at two looks in a row, and not getting better: one knob is turned one step down, or two if much too
  late. If most of the age is on the way to inference, quality goes first, then size, then stride; otherwise
  stride, then size.
- Only frames captured after the last turn count, so what waits in queues and buffers is no reason to turn
  again.
- Room to spare for a while: the knob turned last goes one step back. If that was too much, it is turned down
  again, and its wait before the next try doubles.
- All knobs down, and no better than at the beginning: they go back, as the cause lies elsewhere.
- No reports, no turning. Inference is silent after three seconds without a report since the stream's start or
  the last report; where reports usually come further apart, after twice that time.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pipeline.flow.freshness.ages import Cause, Feedback
from pipeline.flow.freshness.knobs import Knob, Knobs, Ladder, Limits, describe

_ORDER: Final[dict[Cause, tuple[Knob, ...]]] = {
    "link": ("quality", "size", "stride"),  # what makes frames smaller costs least
    "machine": ("stride", "size"),  # a step takes as long whatever the quality
}

_S: Final = 1_000_000_000
_LOOK_NS: Final = _S // 2
"""Between two looks: two reports of inference, so that one odd report decides nothing."""
_SILENCE_NS: Final = 3 * _S
"""Without a report for so long, nothing is known."""
_SETTLE_NS: Final = 5 * _S
"""What turning down needs to show an effect; also how long predictions are late before an event says so."""
_REMIND_NS: Final = 60 * _S
"""Between two reminders that predictions are late."""
_HOLD_NS: Final = 3 * _S
"""Time with room to spare before a knob goes one step back; it doubles with each try that failed."""
_LONGEST_HOLD_NS: Final = 120 * _S
_PROBE_NS: Final = 15 * _S
"""Late within this time after a step back: the step back was the cause."""
_PROVEN_NS: Final = 60 * _S
"""In time for so long after a step back: the step was right, and the knob's wait is short again."""
_PAUSE_NS: Final = 60 * _S
"""No turning for so long after it was given up; it doubles each time, up to ten times this."""

_MUCH_TOO_LATE: Final = 4.0
"""Times the target: two steps at once."""
_CALM: Final = 0.85
"""Of the target: below it the time with room to spare runs."""
_ROOM: Final = 0.6
"""Of the target: below it that time counts fully, above it a quarter."""
_FALLING: Final = 0.9
"""Of the age at the last look: below it things get better by themselves."""
_HELPED: Final = 0.8
"""Of the age at the beginning of a late spell: below it turning down has helped."""


@dataclass
class _LateSpell:
    """A time in which predictions were late.

    Attributes:
        began_ns: Its first look.
        age_ms: How old they were then.
        knobs: Settings then.
        turned: Steps down that had been made before it.
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
        """Whether there was an event about it."""
        return self.remind_ns - self.began_ns > _SETTLE_NS


class FreshnessControl:
    """The knobs of one stream.

    Args:
        target_ms: Predictions should be no older than this.
        limits: How far the knobs may go down.
        quality: JPEG quality as configured; 0 for another encoding.

    Attributes:
        target_ms: As given.
        knobs: Settings now.
        age_ms: Of the last look; None before the first.
        turns: How often each knob was turned, ``"stride down"``, ``"stride back"`` ...
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
        """The stream starts: from now on reports of inference are expected."""
        if self._reported_ns is None:
            self._reported_ns = now_ns

    def is_silent(self, now_ns: int) -> bool:
        """Whether inference has reported nothing for longer than its reports usually are apart."""
        usual_ns = min(self._gaps_ns)  # one long gap is an outage, two are its pace
        return self._reported_ns is not None and now_ns - self._reported_ns > max(_SILENCE_NS, 2 * usual_ns)

    def observe(self, ages: Feedback | None, now_ns: int) -> None:
        """Takes in a report of inference; the worst since the last look counts.

        Args:
            ages: None where it reported, but its ages can't be believed yet.
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
        """Looks at what was observed, and turns at most one knob; to be called often.

        Args:
            now_ns: On the clock of ``Feedback.since_ns``.
            side_px: Shorter side of the source's pictures.
            fps: Rate of the source.

        Returns:
            What happened, as human-readable events.
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
        return [f"no report on the age of predictions: {self.knobs} until there is one"]

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
            hint = f"now {self.knobs}, less follows" if trying else _advice(ages)
            events = [f"{self._state(ages)} for {seconds:.0f} s: {hint}"]
        return events

    def _in_time(self, now_ns: int, ages: Feedback) -> list[str]:
        events = []
        if self._spell and self._spell.announced:
            events = [f"{self._state(ages)}: in time again"]
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
        """One step down; nothing if no knob has one left. A step back that was too much is undone first."""
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
        """Turns one knob; returns its human-readable setting, or None if it has no step left."""
        value = self._ladder.below(self.knobs, knob, side_px=side_px, fps=fps)
        if value is None:
            return None
        self._turned.append(knob)
        self._set(now_ns, knob, value, "down")
        return describe(knob, value)

    def _failed_probe(self, now_ns: int) -> Knob | None:
        """The knob whose last step back has made predictions late, if one has; it has to wait longer now."""
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
        return f"{self._state(ages)}: room for {describe(knob, value)} again"

    def _give_up(self, now_ns: int, ages: Feedback, spell: _LateSpell) -> list[str]:
        """Undoes what did not help in this spell, once everything was tried for long enough."""
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
