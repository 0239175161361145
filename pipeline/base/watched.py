"""Zones and lines of the scene, and the rules that determine which events they report."""

import itertools
from typing import Annotated, Literal, TypeAlias

import msgspec

from pipeline.base import quantities
from pipeline.base.known_ground import Ground
from pipeline.base.moving_thing import Point
from pipeline.base.section import Section
from pipeline.base.text import Name, StreamId

RuleKind: TypeAlias = Literal[
    "moving", "entered", "left", "crossed", "stayed", "stopped", "wrong_way", "label"
]
Anchor: TypeAlias = Literal["foot", "middle"]
"""Position of a moving object: the middle of the lower edge of its box, or the centre of the box."""
Degrees: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, lt=360.0)]
HalfTurn: TypeAlias = Annotated[float, msgspec.Meta(ge=1.0, le=180.0)]
Speed: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=100.0)]
"""Image widths per second."""
MetresASecond: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=10_000.0)]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Names of weekdays in ``hours``."""
_DAY = f"(?:{'|'.join(DAYS)})"
_HOUR = "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)"
Hours: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"\A(?:{_DAY}(?:-{_DAY})? )?{_HOUR}-{_HOUR}\Z",
        description="hours as 22:00-06:00, or with days in front: mon-fri 08:00-17:30, sun 00:00-24:00",
    ),
]

_FLAT = 1e-6
"""A triangle is degenerate if twice its area is below this fraction of the image."""
LINE_KINDS = frozenset({"crossed"})
"""Kinds of rules that need a line."""
PICTURE_KINDS = frozenset({"label"})
"""Kinds of rules that apply to the whole image; all others need a zone or a line."""


class _OfStreams(Section, frozen=True, kw_only=True):
    streams: list[StreamId] = []

    def is_in(self, stream_id: str) -> bool:
        """Whether it applies to a stream."""
        return stream_id in self.streams or not self.streams


class _Place(_OfStreams, frozen=True, kw_only=True):
    anchor: Anchor = "foot"
    view: Name | None = None


_SIZES = {"min_size", "max_size", "min_score"}
_GOING = {"direction_deg", "within_deg", "min_speed", "min_speed_m_s"}
KIND_KEYS: dict[RuleKind, set[str]] = {
    "moving": {*_SIZES, *_GOING, "quiet_s"},
    "entered": {*_SIZES, *_GOING},
    "left": {*_SIZES, *_GOING},
    "crossed": {*_SIZES, *_GOING, "way"},
    "stayed": {*_SIZES, "for_s"},
    "stopped": {*_SIZES, "for_s", "of"},
    "wrong_way": {*_SIZES, *_GOING, "for_s"},
    "label": {"label", "streams", "min_score", "for_s"},
}
"""Keys that only some kinds of rules accept; all other keys apply to every kind."""
_SOMETIMES = set().union(*KIND_KEYS.values())


UNNAMED_VIEW = "home"
"""Name of the view taken at the start, if the configuration names none."""


class View(_OfStreams, frozen=True, kw_only=True):
    """An image of the scene as it was when zones and lines were drawn.

    Attributes:
        picture: An image file from the camera itself, without an overlay.
        streams: Only these streams; empty: all streams.
    """

    picture: Annotated[str, msgspec.Meta(min_length=1)]


class Zone(_Place, frozen=True, kw_only=True):
    """A part of the scene.

    Attributes:
        points: Corners, as fractions of the image: x from the left, y from the top.
        view: The reference view in which it was drawn; None: the first view of the stream.
        streams: Only these streams; empty: all streams.
        anchor: The point of an object that must be inside: ``foot``, the middle of the box's lower edge, or
            ``middle``, the centre of the box, for cameras that look straight down.
    """

    points: Annotated[list[Point], msgspec.Meta(min_length=3, max_length=64)]

    def __post_init__(self) -> None:
        """Raises: ValueError: All corners lie on one line."""
        (x, y), *others = self.points
        ways = [(a - x, b - y) for a, b in others]
        if all(abs(a * d - b * c) < _FLAT for a, b in ways for c, d in ways):
            raise ValueError("points: all corners lie on one line, so nothing can be inside")


class Line(_Place, frozen=True, kw_only=True):
    """A line in the image that moving objects cross.

    ``forward`` is from its left to its right, looking from its first point towards its last: downwards for
    a line that is drawn from left to right.

    Attributes:
        points: Ends and bends, as fractions of the image: x from the left, y from the top.
        view: The reference view in which it was drawn; None: the first view of the stream.
        streams: Only these streams; empty: all streams.
        anchor: The point of an object that must cross: ``foot`` or ``middle``, as for a zone.
    """

    points: Annotated[list[Point], msgspec.Meta(min_length=2, max_length=64)]

    def __post_init__(self) -> None:
        """Raises: ValueError: A segment has no length."""
        if any(start == end for start, end in itertools.pairwise(self.points)):
            raise ValueError("points: two consecutive points are equal")


class Rule(Section, frozen=True, kw_only=True):
    """When to report an event.

    Attributes:
        kind: Kind of the rule.
        zone: Name of the zone.
        line: Name of the line.
        label: Only this class; None: all classes.
        streams: Only these streams; empty: all streams.
        way: Direction in which the line is crossed.
        direction_deg: Direction of motion, anticlockwise: 0 is right, 90 is up; None: any. For
            ``wrong_way``: the permitted direction.
        within_deg: Maximum deviation from ``direction_deg``, to either side.
        min_speed: Minimum speed, in image widths per second.
        min_speed_m_s: Minimum speed, in metres per second. Objects without such a speed never match.
        min_size: Minimum share of the image that the object's box fills.
        max_size: Maximum share of the image that the object's box fills.
        min_score: Minimum confidence.
        for_s: How long it must last, in seconds; None: 10 for ``stayed``, 2 for ``stopped``, 0.5 for
            ``wrong_way``, 0 for ``label``.
        of: ``things``: each object that stops; ``zone``: all motion in the zone together.
        quiet_s: The event ends after this long without motion.
        cool_down_s: After an event, this rule is silent in the stream for this long.
        hours: Only at these local times, such as ``08:00-17:30`` or ``sat 22:00-06:00``; empty: always.
    """

    kind: RuleKind
    zone: Name | None = None
    line: Name | None = None
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None
    streams: list[StreamId] = []
    way: Literal["both", "forward", "backward"] = "both"
    direction_deg: Degrees | None = None
    within_deg: HalfTurn = 60.0
    min_speed: Speed = 0.0
    min_speed_m_s: MetresASecond = 0.0
    min_size: quantities.Share = 0.0
    max_size: quantities.Share = 1.0
    min_score: quantities.Share = 0.0
    for_s: quantities.Wait | None = None
    of: Literal["things", "zone"] = "things"
    quiet_s: quantities.Wait = 2.0
    cool_down_s: quantities.Wait = 0.0
    hours: list[Hours] = []


Zones: TypeAlias = dict[Name, Zone]
Lines: TypeAlias = dict[Name, Line]
Rules: TypeAlias = dict[Name, Rule]
Views: TypeAlias = dict[Name, View]
Grounds: TypeAlias = dict[Name, Ground]


class Watch(Section, frozen=True, kw_only=True):
    """All zones, lines, rules, views and ground, by name.

    A zone without a rule reports motion (``moving``), and a line without one reports crossings (``crossed``).
    """

    views: Views = {}
    ground: Grounds = {}
    zones: Zones = {}
    lines: Lines = {}
    rules: Rules = {}

    def __post_init__(self) -> None:
        """Raises: ValueError: Entries conflict, for example a rule names an unknown zone."""
        if both := self.zones.keys() & self.lines.keys():
            raise ValueError(f"zone and line {min(both)!r} have the same name: give each its own")
        if UNNAMED_VIEW in self.views:
            raise ValueError(f"views.{UNNAMED_VIEW}: this name is reserved: give the view another one")
        for kind, places in (
            ("zones", self.zones),
            ("lines", self.lines),
            ("ground", self.ground),
        ):
            for name, place in places.items():
                if place.view is None:
                    continue
                view = self.views.get(place.view)
                if view is None:
                    known = ", ".join(sorted(self.views)) or "none"
                    raise ValueError(f"{kind}.{name}: there is no view {place.view!r}; available: {known}")
                if place.streams and view.streams and not set(place.streams) & set(view.streams):
                    raise ValueError(f"{kind}.{name}: none of its streams has the view {place.view!r}")
        for name, rule in self.rules.items():
            where = self._place_of(name, rule)
            if name in self.zones.keys() | self.lines.keys() and name != where:
                raise ValueError(
                    f"rules.{name}: has the name of a zone or line that it does not use: rename the rule"
                )
            for key in sorted(_SOMETIMES - KIND_KEYS[rule.kind]):
                if getattr(rule, key) != getattr(Rule(kind=rule.kind), key):
                    raise ValueError(f"rules.{name}: {key} does not apply to {rule.kind}: leave it out")
            if rule.kind == "wrong_way" and rule.direction_deg is None:
                raise ValueError(f"rules.{name}: wrong_way needs direction_deg, the permitted direction")
            asked = self.zones.get(where or "") or self.lines.get(where or "")
            if rule.min_speed_m_s and asked and not self._has_ground(asked):
                raise ValueError(
                    f"rules.{name}: min_speed_m_s needs [ground.NAME] in the view of {where!r}, "
                    "for all of its streams"
                )

    def _place_of(self, name: str, rule: Rule) -> str | None:
        """The zone or line of a rule; None for the whole image.

        Raises:
            ValueError: It names none, an unknown one, or one of the wrong kind.
        """
        if rule.kind in PICTURE_KINDS:
            if rule.zone or rule.line:
                raise ValueError(
                    f"rules.{name}: {rule.kind} applies to the whole image: leave out zone and line"
                )
            return None
        wanted, other = ("line", "zone") if rule.kind in LINE_KINDS else ("zone", "line")
        where, known = getattr(rule, wanted), getattr(self, f"{wanted}s")
        if getattr(rule, other) is not None:
            raise ValueError(f"rules.{name}: {rule.kind} applies to a {wanted}, not to a {other}")
        if where is None:
            raise ValueError(f"rules.{name}: {rule.kind} needs a {wanted}: set {wanted} = NAME")
        if where not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ValueError(f"rules.{name}: there is no {wanted} {where!r}; available: {names}")
        return str(where)

    def views_of(self, stream_id: str) -> dict[str, View]:
        """The views of a stream."""
        return {name: view for name, view in self.views.items() if view.is_in(stream_id)}

    def ground_of(self, stream_id: str) -> list[Ground]:
        """The ground calibrations of a stream."""
        return [ground for ground in self.ground.values() if ground.is_in(stream_id)]

    def seen(self, stream_id: str, view: str | None) -> "Watch":
        """The entries that apply to one view of a stream; ``None`` or an unknown view selects its first."""
        views = self.views_of(stream_id)
        first = next(iter(views), None)
        view = view if view in views else first

        def is_in(place: Zone | Line | Ground) -> bool:
            return place.is_in(stream_id) and (place.view or first) == view

        replace = msgspec.structs.replace
        zones = {name: replace(zone, streams=[]) for name, zone in self.zones.items() if is_in(zone)}
        lines = {name: replace(line, streams=[]) for name, line in self.lines.items() if is_in(line)}
        rules = {
            name: rule for name, rule in self.all_rules().items() if rule.zone in zones or rule.line in lines
        }
        ground = {name: replace(ground, streams=[]) for name, ground in self.ground.items() if is_in(ground)}
        return Watch(zones=zones, lines=lines, rules=rules, views=self.views, ground=ground)

    def place_in(self, stream_id: str, name: str) -> Zone | Line | None:
        """A zone or line as it applies to a stream; None if it does not apply."""
        place = self.zones.get(name) or self.lines.get(name)
        return msgspec.structs.replace(place, streams=[]) if place and place.is_in(stream_id) else None

    def all_rules(self) -> dict[str, Rule]:
        """The rules, and a default rule for each zone or line without one, under the name of its place."""
        told = {rule.zone or rule.line for rule in self.rules.values()}
        zones = {name: Rule(kind="moving", zone=name) for name in self.zones if name not in told}
        lines = {name: Rule(kind="crossed", line=name) for name in self.lines if name not in told}
        return {**zones, **lines, **self.rules}

    def _has_ground(self, place: Zone | Line) -> bool:
        """Whether the ground is calibrated in all streams of a zone or line."""
        there = [ground for ground in self.ground.values() if ground.view == place.view]
        streams = {stream_id for ground in there for stream_id in ground.streams}
        is_everywhere = any(not ground.streams for ground in there)
        return is_everywhere or (bool(place.streams) and streams.issuperset(place.streams))
