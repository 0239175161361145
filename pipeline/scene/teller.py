"""The part common to all rules: which objects they apply to, when, and the events that they create."""

import math
from typing import Any

from pipeline.base.event import Event, Moment, Phase, event_id, rfc3339
from pipeline.base.moving_thing import Thing
from pipeline.base.watched import Rule
from pipeline.scene.ground import GroundSpeeds
from pipeline.scene.hours import OpeningHours


class Teller:
    """Creates the events of one rule in one stream.

    Args:
        stream_id: The stream.
        name: The rule's name.
        rule: The rule.
        speeds: Ground speeds of things, in metres per second.
        quiet_until_ns: End of each rule's cool-down, by rule name; updated here.
    """

    def __init__(
        self, stream_id: str, name: str, rule: Rule, speeds: GroundSpeeds, quiet_until_ns: dict[str, float]
    ) -> None:
        self.rule = rule
        self._speeds = speeds
        self._stream_id, self._name = stream_id, name
        self._hours = OpeningHours(rule.hours)
        self._quiet_until_ns = quiet_until_ns

    def is_about(self, thing: Thing) -> bool:
        """Whether the rule applies to a thing of this size, direction and speed."""
        return self.is_about_size(thing) and self._goes_there(thing) and self._is_fast(thing)

    def is_about_size(self, thing: Thing) -> bool:
        """Whether the rule applies to a thing of this size and score, however it moves."""
        rule = self.rule
        return rule.min_size <= size_of(thing) <= rule.max_size and thing.score >= rule.min_score

    def goes_against(self, thing: Thing) -> bool:
        """Whether a thing moves against the rule's direction, and fast enough."""
        return abs(self._off_deg(thing)) > 180.0 - self.rule.within_deg and self._is_fast(thing)

    def tell(
        self, at: Moment, now: Moment, phase: Phase, thing: Thing | None = None, **more: Any
    ) -> list[Event]:
        """A ``start`` or ``once`` event; none outside the rule's hours or during its cool-down."""
        if now.time_ns < self._quiet_until_ns.get(self._name, -math.inf) or not self._hours.holds(at):
            return []
        self._quiet_until_ns[self._name] = now.time_ns + self.rule.cool_down_s * 1e9
        return [self._event(at, phase, thing, **more)]

    def _event(self, at: Moment, phase: Phase, thing: Thing | None, **more: Any) -> Event:
        rule = self.rule
        number = thing.id if thing else None
        if more.get("for_s") is not None:
            more["for_s"] = round(more["for_s"], 3)
        figure = self._speeds.of(thing) if thing else None
        return Event(
            id=event_id(self._stream_id, self._name, rule.kind, phase, at.wall_ns, number),
            time=rfc3339(at.wall_ns),
            stream_id=self._stream_id,
            kind=rule.kind,
            phase=phase,
            rule=self._name,
            zone=rule.zone,
            line=rule.line,
            thing=number,
            direction_deg=round(thing.direction_deg, 1) if thing else None,
            speed=round(thing.speed, 4) if thing else None,
            speed_m_s=round(figure.m_s, 2) if figure else None,
            speed_m_s_error=round(figure.error, 2) if figure else None,
            size=round(size_of(thing), 5) if thing else None,
            score=round(thing.score, 3) if thing else None,
            **more,
        )

    def _is_fast(self, thing: Thing) -> bool:
        rule = self.rule
        if thing.speed < rule.min_speed or not rule.min_speed_m_s:
            return thing.speed >= rule.min_speed
        figure = self._speeds.of(thing)
        return figure is not None and figure.m_s >= rule.min_speed_m_s

    def _goes_there(self, thing: Thing) -> bool:
        return self.rule.direction_deg is None or abs(self._off_deg(thing)) <= self.rule.within_deg

    def _off_deg(self, thing: Thing) -> float:
        """Difference between a thing's direction and the rule's, -180 to 180."""
        return (thing.direction_deg - (self.rule.direction_deg or 0.0) + 180.0) % 360.0 - 180.0


def size_of(thing: Thing) -> float:
    """Share of the image that its box covers."""
    return thing.box[2] * thing.box[3]
