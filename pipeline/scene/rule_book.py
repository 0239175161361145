"""Derives events from the objects of each frame: one for each start, and one for its end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from pipeline.base.episode import Episode
from pipeline.base.event import Event, Moment
from pipeline.base.moving_thing import Thing
from pipeline.base.sight import Sight
from pipeline.base.watched import Line, Rule, Watch, Zone
from pipeline.scene.crossings import Crossing, Crossings
from pipeline.scene.ground import GroundSpeeds
from pipeline.scene.presence import Presence
from pipeline.scene.sentence import IN_PLACE
from pipeline.scene.stops import Stop, Stops
from pipeline.scene.teller import Teller
from pipeline.scene.visits import Visits
from pipeline.scene.zones import Area, Border

_FOR_S = {"stayed": 10.0, "stopped": 2.0, "wrong_way": 0.5}


class _Follower(Protocol):
    """One rule, applied over time."""

    def update(self, now: Moment) -> Iterator[Event]:
        """The events of a frame."""

    def end(self, now: Moment, why: str) -> Iterator[Event]:
        """Ends all open episodes."""


class RuleBook:
    """All rules of one stream; ``update`` is called with the things of each frame, in order.

    Args:
        stream_id: The stream.
        watch: Zones, lines and rules; those of other streams are ignored.
        quiet_until_ns: Cool-downs that outlive this object, see ``Teller``.

    Attributes:
        speeds: Ground speeds of things, in metres per second.
    """

    def __init__(self, stream_id: str, watch: Watch, quiet_until_ns: dict[str, float] | None = None) -> None:
        self._stream_id = stream_id
        self._quiet_until_ns = {} if quiet_until_ns is None else quiet_until_ns
        self._places: dict[str, Zone | Line] = {}
        self._rules: dict[str, Rule] = {}
        self._visits: dict[str, Visits] = {}
        self._crossings: dict[str, Crossings] = {}
        self._crossed: dict[str, list[Crossing]] = {}
        self._stops: dict[str, Stops] = {}
        self._followers: dict[str, _Follower] = {}
        self.speeds = GroundSpeeds(())
        self._follow(watch)

    def replace_watch(self, watch: Watch, now: Moment, why: str) -> list[Event]:
        """Replaces zones, lines and rules.

        An unchanged rule about an unchanged zone or line keeps its open episodes and the things inside.

        Returns:
            The end events of episodes whose rule, zone or line changed or was removed.
        """
        before = self._followers
        self._follow(watch)
        gone = [follower for name, follower in before.items() if self._followers.get(name) is not follower]
        return [event for follower in gone for event in follower.end(now, why)]

    def _follow(self, watch: Watch) -> None:
        zones = {name: zone for name, zone in watch.zones.items() if zone.is_in(self._stream_id)}
        lines = {name: line for name, line in watch.lines.items() if line.is_in(self._stream_id)}
        places: dict[str, Zone | Line] = {**zones, **lines}
        same = {name for name, place in places.items() if self._places.get(name) == place}
        visits, crossings, crossed = self._visits, self._crossings, self._crossed
        self._visits = {
            name: visits[name] if name in same else Visits(Area(zone)) for name, zone in zones.items()
        }
        self._crossings = {
            name: crossings[name] if name in same else Crossings(Border(line)) for name, line in lines.items()
        }
        self._crossed = {name: crossed[name] if name in same else [] for name in lines}
        stops = {name: one for name, one in self._stops.items() if name in same}
        before, followed, self._followers, self._stops = self._followers, self._rules, {}, {}
        self._places, self._rules = places, watch.all_rules()
        self.speeds.know(watch.ground_of(self._stream_id))
        for name, rule in self._rules.items():
            teller = Teller(self._stream_id, name, rule, self.speeds, self._quiet_until_ns)
            if rule.zone in zones and rule.kind == "stopped" and rule.of == "things":
                if rule.zone not in self._stops:
                    self._stops[rule.zone] = stops.get(rule.zone) or Stops(Area(zones[rule.zone]))
                self._followers[name] = _Stopped(teller, self._stops[rule.zone])
            elif rule.zone in zones:
                self._followers[name] = _FOLLOWERS[rule.kind](teller, self._visits[rule.zone])
            elif rule.line in lines:
                self._followers[name] = _Crossed(teller, self._crossed[rule.line])
            if name in before and (rule.zone or rule.line) in same and followed[name] == rule:
                self._followers[name] = before[name]

    def forget(self) -> None:
        """Discards all things, because their ids are no longer valid; open episodes of zones continue."""
        for visits in self._visits.values():
            visits.forget()
        for crossings in self._crossings.values():
            crossings.forget()
        for stops in self._stops.values():
            stops.forget()

    def update(self, things: Sequence[Thing], now: Moment, sight: Sight | None = None) -> list[Event]:
        """The events of the next frame.

        Args:
            things: Those seen in it; things out of sight are left out.
            now: When it was captured; later than the frame before.
            sight: Position of the reference view in it; None if none is tracked.
        """
        for visits in self._visits.values():
            visits.update(things, now)
        for name, crossings in self._crossings.items():
            self._crossed[name][:] = crossings.update(things, now)
        for stops in self._stops.values():
            stops.update(things, now, sight)
        return [event for follower in self._followers.values() for event in follower.update(now)]

    def end(self, now: Moment, why: str) -> list[Event]:
        """Ends all open episodes: the stream has ended, or nothing can be seen any more."""
        for stops in self._stops.values():
            stops.clear()
        return [event for follower in self._followers.values() for event in follower.end(now, why)]


class _Passing:
    """``entered`` and ``left``."""

    def __init__(self, teller: Teller, visits: Visits) -> None:
        self._teller, self._visits = teller, visits

    def update(self, now: Moment) -> Iterator[Event]:
        is_in = self._teller.rule.kind == "entered"
        for passage in self._visits.entered if is_in else self._visits.left:
            if self._teller.is_about(passage.thing):
                yield from self._teller.tell(passage.at, now, "once", passage.thing, for_s=passage.for_s)

    def end(self, now: Moment, why: str) -> Iterator[Event]:
        yield from ()


class _Crossed:
    """``crossed``; the list is refilled with the crossings of each frame."""

    def __init__(self, teller: Teller, crossed: list[Crossing]) -> None:
        self._teller, self._crossed = teller, crossed

    def update(self, now: Moment) -> Iterator[Event]:
        wanted = self._teller.rule.way
        for crossing in self._crossed:
            way = "forward" if crossing.forward else "backward"
            if wanted in ("both", way) and self._teller.is_about(crossing.thing):
                yield from self._teller.tell(crossing.at, now, "once", crossing.thing, why={"way": way})

    def end(self, now: Moment, why: str) -> Iterator[Event]:
        yield from ()


class _OfZone:
    """Rules about a zone as a whole, with at most one open episode.

    Args:
        teller: Creates the events.
        visits: Visits to the zone.
    """

    def __init__(self, teller: Teller, visits: Visits) -> None:
        self._teller, self._visits = teller, visits
        self._episode: Episode | None = None
        self._last: Moment | None = None  # last motion in the zone

    def _goes(self, thing: Thing) -> bool:
        return self._teller.is_about(thing) and thing.speed >= IN_PLACE

    def _stop(self, at: Moment, **why: str) -> Iterator[Event]:
        if self._episode:
            yield self._episode.end(at, **why)
        self._episode = None


class _Moving(_OfZone):
    """``moving``: from the first thing that moves in a zone until nothing has moved there for a while."""

    def __init__(self, teller: Teller, visits: Visits) -> None:
        super().__init__(teller, visits)
        self._inside = set(visits.inside)  # not empty if the zone was watched before this rule

    def update(self, now: Moment) -> Iterator[Event]:
        inside, before = self._visits.inside, self._inside
        self._inside = set(inside)
        moving = [visit for visit in inside.values() if visit.last == now and self._goes(visit.thing)]
        if moving:
            self._last = now
        if moving and self._episode is None:
            strongest = max(moving, key=lambda visit: visit.thing.score)
            has_come = strongest.thing.id not in before
            at = strongest.entered if has_come and strongest.entered else now
            for event in self._teller.tell(at, now, "start", strongest.thing):
                self._episode = Episode(event, at)
                yield event
        elif self._last and not moving and _seconds(self._last, now) >= self._teller.rule.quiet_s:
            yield from self._stop(self._last)

    def end(self, now: Moment, why: str) -> Iterator[Event]:
        yield from self._stop(self._last or now, ended=why)


class _Ceased(_OfZone):
    """``stopped`` of a zone: motion has ceased for a while, until it resumes."""

    def __init__(self, teller: Teller, visits: Visits) -> None:
        super().__init__(teller, visits)
        self._for_s = _for_s(teller)

    def update(self, now: Moment) -> Iterator[Event]:
        if any(visit.last == now and self._goes(visit.thing) for visit in self._visits.inside.values()):
            self._last = now
            yield from self._stop(now)
        elif self._episode is None and self._last and _seconds(self._last, now) >= self._for_s:
            for event in self._teller.tell(self._last, now, "start"):
                self._episode = Episode(event, self._last)
                yield event

    def end(self, now: Moment, why: str) -> Iterator[Event]:
        self._last = None  # motion while nothing can be seen is unknown
        yield from self._stop(now, ended=why)


class _Stopped:
    """``stopped`` of things."""

    def __init__(self, teller: Teller, stops: Stops) -> None:
        self._teller, self._stops = teller, stops
        self._for_s = _for_s(teller)
        self._told: list[tuple[Stop, Episode]] = []

    def update(self, now: Moment) -> Iterator[Event]:
        for stop, episode in self._told:
            if stop.ended:
                yield episode.end(stop.ended)
        self._told = [(stop, episode) for stop, episode in self._told if not stop.ended]
        known = [stop for stop, _ in self._told]
        for stop in self._stops.standing:
            is_due = _seconds(stop.since, now) >= self._for_s and self._teller.is_about_size(stop.thing)
            if not is_due or any(stop is one for one in known):
                continue
            for event in self._teller.tell(stop.since, now, "start", stop.thing):
                stop.is_told = True
                self._told.append((stop, Episode(event, stop.since)))
                yield event

    def end(self, now: Moment, why: str) -> Iterator[Event]:
        for _, episode in self._told:
            yield episode.end(now, ended=why)
        self._told = []


class _Lasting:
    """``stayed`` and ``wrong_way``: what a thing does in a zone for a while.

    Args:
        teller: Creates the events.
        visits: Visits to the zone.
        doing: Returns the time since which each thing has been doing it, by id.
    """

    def __init__(
        self, teller: Teller, visits: Visits, doing: Callable[[Moment], Mapping[int, Moment]]
    ) -> None:
        self._teller, self._visits, self._doing = teller, visits, doing
        self._for_s = _for_s(teller)
        self._told: dict[int, Episode] = {}
        self._seen: dict[int, Moment] = {}

    def update(self, now: Moment) -> Iterator[Event]:
        doing = self._doing(now)
        for number in sorted(self._told.keys() - doing.keys()):
            yield from self._end(number)
        for number in sorted(doing):
            visit = self._visits.inside[number]
            if visit.last != now:  # out of sight
                continue
            self._seen[number] = now
            for_s = _seconds(doing[number], now)
            if number in self._told or for_s < self._for_s or not self._teller.is_about_size(visit.thing):
                continue
            for event in self._teller.tell(now, now, "start", visit.thing, for_s=for_s):
                self._told[number] = Episode(event, doing[number])
                yield event
        self._seen = {number: self._seen[number] for number in self._told}

    def end(self, now: Moment, why: str) -> Iterator[Event]:
        for number in sorted(self._told):
            yield from self._end(number, ended=why)

    def _end(self, number: int, **why: str) -> Iterator[Event]:
        """Ends the episode at the time it was last observed."""
        yield self._told.pop(number).end(self._seen[number], **why)


class _Staying(_Lasting):
    def __init__(self, teller: Teller, visits: Visits) -> None:
        super().__init__(teller, visits, self._since_entered)

    def _since_entered(self, now: Moment) -> Mapping[int, Moment]:
        inside = self._visits.inside
        return {number: visit.entered for number, visit in inside.items() if visit.entered}


class _Against(_Lasting):
    def __init__(self, teller: Teller, visits: Visits) -> None:
        super().__init__(teller, visits, self._since_turned)
        self._against: dict[int, Presence] = {}

    def _since_turned(self, now: Moment) -> Mapping[int, Moment]:
        inside = self._visits.inside
        self._against = {number: self._against.get(number) or Presence(False, now) for number in inside}
        for number, visit in inside.items():
            if visit.last == now:
                self._against[number].see(self._goes_against(visit.thing), now)
        return {number: one.since for number, one in self._against.items() if one.holds}

    def _goes_against(self, thing: Thing) -> bool:
        return thing.speed >= max(self._teller.rule.min_speed, IN_PLACE) and self._teller.goes_against(thing)


def _for_s(teller: Teller) -> float:
    rule = teller.rule
    return _FOR_S[rule.kind] if rule.for_s is None else rule.for_s


def _seconds(since: Moment, now: Moment) -> float:
    return (now.time_ns - since.time_ns) / 1e9


_FOLLOWERS: dict[str, Callable[[Teller, Visits], _Follower]] = {
    "entered": _Passing,
    "left": _Passing,
    "moving": _Moving,
    "stayed": _Staying,
    "stopped": _Ceased,
    "wrong_way": _Against,
}
