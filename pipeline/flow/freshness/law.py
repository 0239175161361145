"""Keeps predictions fresh: from their ages to JPEG quality, picture size and stride.

Pure: figures in, knob settings and words out. The ages come from inference, the knobs are capture's.

- Late for two looks in a row, and not getting better: one knob is turned one step down, or two if much too
  late. If most of the age is on the way to inference, quality goes first, then size, then stride; otherwise
  stride, then size.
- Only frames captured after the last turn count, so what waits in queues and buffers is no reason to turn
  again.
- Room to spare for a while: the knob turned last goes one step back. If that was too much, it is turned down
  again, and its wait before the next try doubles.
- All knobs down, and no better than at the beginning: they go back, as the cause lies elsewhere.
- No figures, no turning. Inference is silent after three seconds without a word since the stream's start or
  the last word; where words usually come further apart, after twice that time.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

Knob: TypeAlias = Literal["quality", "size", "stride"]
Cause: TypeAlias = Literal["link", "machine"]

_ORDER: Final[dict[Cause, tuple[Knob, ...]]] = {
    "link": ("quality", "size", "stride"),
    "machine": ("stride", "size"),
}
_QUALITIES = (90, 75, 60, 45, 30, 20, 10)
_STEPS: Final[dict[Knob, tuple[int, ...]]] = {"size": (1, 2, 4, 8), "stride": (1, 2, 3, 4, 6, 8, 12)}
_LOOK_NS = 500_000_000
_SILENCE_NS = 3_000_000_000
_LONG_NS = 5_000_000_000
_REMIND_NS = 60_000_000_000
_HOLD_NS, _LONGEST_HOLD_NS = 3_000_000_000, 120_000_000_000
_PROBE_NS, _PROVEN_NS = 15_000_000_000, 60_000_000_000
_PAUSE_NS = 60_000_000_000
_MUCH, _ROOM, _CALM, _FALLING, _HELPED = 4.0, 0.6, 0.85, 0.9, 0.8


@dataclass(frozen=True, slots=True)
class Ages:
    """How old the predictions of a stream were lately.

    Attributes:
        age_ms: From capture to prediction; nine in ten were no older.
        transit_ms: From capture to arrival at inference; nine in ten took no longer.
        step_ms: Median time of a step.
        since_ns: Capture time of the oldest of these frames.
    """

    age_ms: float
    transit_ms: float
    step_ms: float
    since_ns: int

    @property
    def cause(self) -> Cause:
        """Where most of the age comes from; a frame that meets a step under way waits for it unread."""
        on_the_way = max(0.0, self.transit_ms - self.step_ms)
        return "link" if on_the_way > self.age_ms - on_the_way else "machine"


@dataclass(frozen=True, slots=True)
class Knobs:
    """What capture sends.

    Attributes:
        quality: Of JPEG pictures, 1 to 100; 0 leaves the encoding as it is configured.
        size: Each side of a picture is divided by this.
        stride: Every so many frames one is sent.
    """

    quality: int = 0
    size: int = 1
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the knobs may go down.

    Attributes:
        quality: Lowest JPEG quality.
        side_px: Shortest side of a picture in pixels.
        fps: Fewest frames a second.
    """

    quality: int
    side_px: int
    fps: float


@dataclass
class _Spell:
    """A time in which predictions were late.

    Attributes:
        began_ns: Its first look.
        age_ms: How old they were then.
        knobs: Settings then.
        turned: Steps down that had been made before it.
    """

    began_ns: int
    age_ms: float
    knobs: Knobs
    turned: int
    remind_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.remind_ns = self.began_ns + _LONG_NS


class FreshnessControl:
    """The knobs of one stream.

    Args:
        target_ms: Predictions should be no older than this.
        limits: How far the knobs may go down.
        quality: JPEG quality as configured; 0 for another encoding.

    Attributes:
        knobs: Settings now.
        age_ms: Of the last look; None before the first.
        turns: How often each knob was turned, ``"stride down"``, ``"stride back"`` ...
    """

    def __init__(self, target_ms: float, limits: Limits, quality: int = 0) -> None:
        self.knobs = Knobs(quality=quality)
        self.age_ms: float | None = None
        self.turns: dict[str, int] = {}
        self._target_ms, self._limits = target_ms, limits
        lower = tuple(step for step in _QUALITIES if limits.quality < step < (quality or 101))
        floor = (limits.quality,) if limits.quality < (quality or 101) else ()
        self._steps = _STEPS | {"quality": (quality, *lower, *floor)}
        self._turned: list[Knob] = []
        self._worst: Ages | None = None
        self._spoken_ns: int | None = None
        self._told_silent = False
        self._gaps_ns = deque([0, 0], maxlen=2)
        self._look_ns = self._turned_ns = self._paused_until_ns = 0
        self._late_looks = 0
        self._before_ms: float | None = None
        self._spell: _Spell | None = None
        self._calm_since_ns: int | None = None
        self._hold_ns: dict[Knob, int] = {}
        self._probe: tuple[Knob, int] | None = None
        self._pause_ns = _PAUSE_NS

    def start(self, now_ns: int) -> None:
        """The stream starts: from now on inference is expected to speak."""
        if self._spoken_ns is None:
            self._spoken_ns = now_ns

    def is_silent(self, now_ns: int) -> bool:
        """Whether inference has said nothing for longer than its words usually are apart."""
        usual_ns = min(self._gaps_ns)  # one long gap is an outage, two are its pace
        return self._spoken_ns is not None and now_ns - self._spoken_ns > max(_SILENCE_NS, 2 * usual_ns)

    def observe(self, ages: Ages | None, now_ns: int) -> None:
        """Takes in what inference says; the worst since the last look counts.

        Args:
            ages: None where it spoke, but its ages can't be believed yet.
            now_ns: Time of the word.
        """
        if self._spoken_ns is not None:
            self._gaps_ns.append(now_ns - self._spoken_ns)
        self._spoken_ns, self._told_silent = now_ns, False
        if ages is None:
            return
        if self._worst is None and self.age_ms is None:
            self._look_ns = now_ns + _LOOK_NS
        if ages.since_ns > self._turned_ns and (self._worst is None or ages.age_ms > self._worst.age_ms):
            self._worst = ages

    def decide(self, now_ns: int, *, side_px: int, fps: float) -> list[str]:
        """Looks at what was observed, and turns at most one knob; to be called often.

        Args:
            now_ns: On the clock of ``Ages.since_ns``.
            side_px: Shorter side of the source's pictures.
            fps: Rate of the source.

        Returns:
            What happened, in words for people.
        """
        if self.is_silent(now_ns):
            if self._told_silent:
                return []
            self._told_silent = True
            self._worst = self._spell = self._calm_since_ns = None
            self._late_looks, self.age_ms, self._before_ms = 0, None, None
            return [f"no word on the age of predictions: {words(self.knobs)} until there is"]
        if self._worst is None or now_ns < self._look_ns:
            return []
        ages, self._worst, self._look_ns = self._worst, None, now_ns + _LOOK_NS
        falling = self._before_ms is not None and ages.age_ms < _FALLING * self._before_ms
        self.age_ms = self._before_ms = ages.age_ms
        if ages.age_ms > self._target_ms:
            return self._late(now_ns, ages, falling, side_px, fps)
        return self._in_time(now_ns, ages)

    def _late(self, now_ns: int, ages: Ages, falling: bool, side_px: int, fps: float) -> list[str]:
        self._calm_since_ns = None
        spell = self._spell = self._spell or _Spell(now_ns, ages.age_ms, self.knobs, len(self._turned))
        self._late_looks += 1
        said = []
        if self._late_looks > 1 and not falling and now_ns >= self._paused_until_ns:
            said = self._turn_down(now_ns, ages, side_px, fps) or self._give_up(now_ns, ages, spell)
        if not said and now_ns >= spell.remind_ns:
            spell.remind_ns = now_ns + _REMIND_NS
            seconds = (now_ns - spell.began_ns) / 1e9
            left = any(self._next(knob, side_px, fps) for knob in _ORDER[ages.cause])
            trying = left and now_ns >= self._paused_until_ns
            hint = f"now {words(self.knobs)}, less follows" if trying else _advice(ages)
            said = [f"{self._say(ages)} for {seconds:.0f} s: {hint}"]
        return said

    def _in_time(self, now_ns: int, ages: Ages) -> list[str]:
        said = []
        if self._spell and self._spell.remind_ns - self._spell.began_ns > _LONG_NS:
            said = [f"{self._say(ages)}: in time again"]
        self._late_looks, self._spell = 0, None
        if ages.age_ms > _CALM * self._target_ms:
            self._calm_since_ns = None
            return said
        self._calm_since_ns = self._calm_since_ns or now_ns
        calm_ns = now_ns - self._calm_since_ns
        for knob in reversed(self._turned):
            hold_ns = self._hold_ns.get(knob, _HOLD_NS) * (1 if ages.age_ms < _ROOM * self._target_ms else 4)
            if calm_ns >= hold_ns:
                return [*said, self._turn_back(now_ns, ages, knob)]
        return said

    def _turn_down(self, now_ns: int, ages: Ages, side_px: int, fps: float) -> list[str]:
        """One step down; nothing if no knob has one left. A step back that was too much is undone first."""
        probed = self._failed_probe(now_ns)
        if probed and (word := self._step_down(now_ns, probed, side_px, fps)):
            return [f"{self._say(ages)}: back to {word}"]
        for knob in _ORDER[ages.cause]:
            turned = [self._step_down(now_ns, knob, side_px, fps)]
            if turned[0] and ages.age_ms > _MUCH * self._target_ms:
                turned.append(self._step_down(now_ns, knob, side_px, fps))
            if word := next(filter(None, reversed(turned)), None):
                place = "on the way to inference" if ages.cause == "link" else "in inference"
                return [f"{self._say(ages)}, most of it {place}: {word}"]
        return []

    def _step_down(self, now_ns: int, knob: Knob, side_px: int, fps: float) -> str | None:
        """Turns one knob; in words, or None if it has no step left."""
        value = self._next(knob, side_px, fps)
        if value is None:
            return None
        self._turned.append(knob)
        self._set(now_ns, knob, value, "down")
        return _word(knob, value)

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

    def _turn_back(self, now_ns: int, ages: Ages, knob: Knob) -> str:
        steps = self._steps[knob]
        value = steps[steps.index(getattr(self.knobs, knob)) - 1]
        self._turned.reverse()
        self._turned.remove(knob)
        self._turned.reverse()
        self._probe, self._calm_since_ns = (knob, now_ns), None
        self._set(now_ns, knob, value, "back")
        return f"{self._say(ages)}: room for {_word(knob, value)} again"

    def _give_up(self, now_ns: int, ages: Ages, spell: _Spell) -> list[str]:
        """Undoes what did not help in this spell, once everything was tried for long enough."""
        tried = len(self._turned) > spell.turned
        if not tried or now_ns - self._turned_ns < _LONG_NS or ages.age_ms < _HELPED * spell.age_ms:
            return []
        self.knobs = spell.knobs
        del self._turned[spell.turned :]
        self._turned_ns, self._paused_until_ns = now_ns, now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, 10 * _PAUSE_NS)
        spell.remind_ns = now_ns + _REMIND_NS
        self.turns["in vain"] = self.turns.get("in vain", 0) + 1
        return [
            f"{self._say(ages)}, and sending less does not help: {words(self.knobs)} again; {_advice(ages)}"
        ]

    def _next(self, knob: Knob, side_px: int, fps: float) -> int | None:
        """One step down from here, if the limits allow it."""
        steps = self._steps[knob]
        place = steps.index(getattr(self.knobs, knob)) + 1
        if place >= len(steps):
            return None
        value: int = steps[place]
        if knob == "size" and side_px / value < self._limits.side_px:
            return None
        if knob == "stride" and fps / value < self._limits.fps:
            return None
        return value

    def _set(self, now_ns: int, knob: Knob, value: int, way: str) -> None:
        match knob:
            case "quality":
                self.knobs = replace(self.knobs, quality=value)
            case "size":
                self.knobs = replace(self.knobs, size=value)
            case "stride":
                self.knobs = replace(self.knobs, stride=value)
        self.turns[f"{knob} {way}"] = self.turns.get(f"{knob} {way}", 0) + 1
        self._turned_ns, self._late_looks, self._before_ms = now_ns, 0, None

    def _say(self, ages: Ages) -> str:
        return f"predictions are {ages.age_ms:.0f} ms old, target {self._target_ms:g}"


def words(knobs: Knobs) -> str:
    """Settings in words: ``JPEG quality 75, every 2nd frame``."""
    turned = [_word("quality", knobs.quality)] if knobs.quality else []
    turned += [_word("size", knobs.size)] if knobs.size > 1 else []
    turned += [_word("stride", knobs.stride)] if knobs.stride > 1 else []
    return ", ".join(turned) or "everything is sent as configured"


def _word(knob: Knob, value: int) -> str:
    if knob == "quality":
        return f"JPEG quality {value}" if value else "the configured encoding"
    if knob == "size":
        return f"1/{value} of the width and height" if value > 1 else "the whole size"
    ordinal = {2: "2nd", 3: "3rd"}.get(value, f"{value}th")
    return f"every {ordinal} frame" if value > 1 else "every frame"


def _advice(ages: Ages) -> str:
    if ages.cause == "link":
        return (
            "the link is too slow for this stream; allow less with freshness.min_quality, min_side_px and "
            "min_fps, or a higher --max-age"
        )
    return (
        f"a step takes {ages.step_ms:.0f} ms; try a faster device or backend (`bench step --backend all`), "
        "a smaller model, fewer streams or a higher --max-age"
    )
