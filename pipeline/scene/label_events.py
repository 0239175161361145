"""Label events: each starts when a label becomes the stream's steady label, and ends with the next one."""

from collections.abc import Mapping

import msgspec

from pipeline.base.episode import Episode
from pipeline.base.event import Event, Moment
from pipeline.base.watched import Rule
from pipeline.scene.ground import GroundSpeeds
from pipeline.scene.steady_label import Held
from pipeline.scene.teller import Teller

_UNASKED = "label"
"""Name of the default rule, used if no rule is about labels."""


class LabelEvents:
    """Produces the label events of one stream.

    Args:
        stream_id: The stream.
        rules: All rules; if none is about labels, each label gives an event.
        quiet_until_ns: See ``Teller``.
    """

    def __init__(self, stream_id: str, rules: Mapping[str, Rule], quiet_until_ns: dict[str, float]) -> None:
        self._stream_id, self._quiet_until_ns = stream_id, quiet_until_ns
        self._followers: dict[str, _Follower] = {}
        self._follow(rules)

    def replace_rules(self, rules: Mapping[str, Rule], now: Moment, why: str) -> list[Event]:
        """Replaces the rules; unchanged rules keep their state.

        Returns:
            The end events of episodes whose rules changed or were removed.
        """
        before = self._followers
        self._follow(rules)
        gone = [follower for name, follower in before.items() if self._followers.get(name) is not follower]
        return [event for follower in gone for event in follower.end(now, ended=why)]

    def _follow(self, rules: Mapping[str, Rule]) -> None:
        about = {name: rule for name, rule in rules.items() if rule.kind == "label"}
        mine = {
            name: msgspec.structs.replace(rule, streams=[])
            for name, rule in about.items()
            if not rule.streams or self._stream_id in rule.streams
        }
        if not about:
            mine = {_UNASKED: Rule(kind="label")}
        before, self._followers = self._followers, {}
        for name, rule in mine.items():
            teller = Teller(self._stream_id, name, rule, GroundSpeeds(()), self._quiet_until_ns)
            follower = before.get(name)
            self._followers[name] = follower if follower and follower.rule == rule else _Follower(teller)

    def update(self, held: Held | None, now: Moment) -> list[Event]:
        """The events of the next prediction.

        Args:
            held: The steady label; None if there is none.
            now: Time of the prediction.
        """
        return [event for follower in self._followers.values() for event in follower.update(held, now)]

    def end(self, now: Moment, why: str) -> list[Event]:
        """Ends all open episodes: the stream has ended, or nothing can be seen any more."""
        return [event for follower in self._followers.values() for event in follower.end(now, ended=why)]


class _Follower:
    """One rule about labels."""

    def __init__(self, teller: Teller) -> None:
        self._teller, self.rule = teller, teller.rule
        self._held: Held | None = None
        self._episode: Episode | None = None

    def update(self, held: Held | None, now: Moment) -> list[Event]:
        events = []
        if held != self._held:
            events = self.end(held.since if held else now)
            self._held = held
        if held and self._episode is None and self._is_about(held, now):
            why = {"label": held.label}
            for told in self._teller.tell(held.since, now, "start", why=why):
                start = msgspec.structs.replace(told, score=held.score)
                self._episode = Episode(start, held.since)
                events.append(start)
        return events

    def end(self, at: Moment, **why: str) -> list[Event]:
        episode, self._episode, self._held = self._episode, None, None
        return [episode.end(max(at, episode.since), **why)] if episode else []

    def _is_about(self, held: Held, now: Moment) -> bool:
        rule = self.rule
        for_s = (now.time_ns - held.since.time_ns) / 1e9
        return (
            rule.label in (None, held.label) and held.score >= rule.min_score and for_s >= (rule.for_s or 0)
        )
