"""Generates the page ``docs/reference/events.md`` from the schema of rules and events.

``docs/make_reference.py`` calls ``page``.
"""

# ruff: noqa: E501 - rows of tables

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from pipeline.base.event import Event
from pipeline.base.known_ground import Ground
from pipeline.base.watched import KIND_KEYS, LINE_KINDS, PICTURE_KINDS, Line, Rule, RuleKind, View, Zone

ONCE, LASTS = "once", "start, end"
RULES: Mapping[RuleKind, tuple[str, str]] = {
    "moving": (LASTS, "something moves in the zone; ends after `quiet_s` without motion"),
    "entered": (ONCE, "an object has entered the zone from outside it, or from outside the image"),
    "left": (ONCE, "an object has left the zone; `for_s` is how long it was inside"),
    "crossed": (ONCE, "an object has crossed the line; `why.way` is `forward` or `backward`"),
    "stayed": (LASTS, "an object has been in the zone for `for_s`; ends when it leaves or stops moving"),
    "stopped": (LASTS, "an object has stopped in the zone for `for_s`; ends when it moves on. With "
                '`of = "zone"`: nothing has moved in the zone for `for_s`; ends with the next motion'),
    "wrong_way": (LASTS, "an object has moved against `direction_deg` for `for_s`; ends when it turns or leaves"),
    "label": (LASTS, "a model with classes of your own recognises this class; ends with the next class"),
}  # fmt: skip
"""For each kind of rule: the phases of its events, and when it reports one."""
CAMERA: Mapping[str, tuple[str, str, str]] = {
    "covered": (LASTS, "1.5 s", "most sharp detail is gone, and the view differs from the usual one"),
    "dark": (LASTS, "2 s", "the image is black, without any bright spot; a night scene with lamps is not dark"),
    "over_exposed": (LASTS, "2 s", "the image is almost entirely white and has lost much of its detail"),
    "frozen": (LASTS, "4 s or 4 times this camera's longest period without change, whichever is longer",
               "the image no longer changes, although consecutive images of this camera used to differ"),
    "blurred": (LASTS, "3 s", "most sharp detail is gone, but the view is otherwise the usual one"),
    "smeared": (LASTS, "immediately", "packets were lost, and the decoder fills the gaps until the next key frame"),
    "camera_moved": (LASTS, "3 s", "a corner of the reference view is off by 4 % of the width, or the view is lost"),
    "signal_lost": (LASTS, "5 s or 5 times the usual frame interval, whichever is longer", "no frame of a live stream arrives"),
    "signal_back": (ONCE, "with the first frame", "frames arrive again; `for_s` is how long there were none"),
}  # fmt: skip
"""For each kind of event about a camera: phases, delay of the report, and what has happened."""
PIPELINE: Mapping[str, tuple[str, str, str]] = {
    "worker_down": (LASTS, "2 s after a crash, 5 s without an answer, 7 s for a lost link",
                    "a capture or inference worker is down"),
    "worker_up": (ONCE, "2 s", "the worker works again; `for_s` is how long it was down"),
    "latency": (LASTS, "3 s (the window of the median)",
                "the median age of a live stream's predictions is over `sink.latency_limit_ms`; ends below 80 % of it"),
}  # fmt: skip
WHY = (
    ("`crossed`", "`way`", "`forward` or `backward`"),
    ("`label`", "`label`", "the class"),
    ("`camera_moved`", "`view`, `found`", "name of the reference view; whether it is still in the image"),
    ("`camera_moved`", "`shift`, `scale`, `turn_deg`",
     "shift of the view's centre, in image widths (y down); change of size, as a factor; rotation in degrees"),
    ("camera health", "`level`", "mean grey level, 0 to 255"),
    ("camera health", "`sharp`, `usually_sharp`", "share of image blocks with sharp detail: now, and usually"),
    ("camera health", "`likeness`", "correlation with the usual view, -1 to 1"),
    ("`worker_down`, `worker_up`", "`worker`, `host`", "the worker; a link has no `host`"),
    ("`worker_down`", "`cause`", "the cause, as text"),
    ("`worker_down`, `worker_up`", "`streams`", "all affected streams, if there are several"),
    ("`latency`", "`p50_ms`, `limit_ms`", "median age of the predictions, and the limit"),
    ("any `end`", "`ended`", "why it ended, if not by a change in the scene: `the stream has ended`, `the view was lost` ..."),
)  # fmt: skip
THRESHOLDS = (
    ("Minimum observation time before an object counts", "3 consecutive frames, over at least 100 ms"),
    ("Time until an object counts as inside a zone or past a line", "120 ms"),
    ("Distance past the edge at which it counts as outside again", "1 % of the image"),
    ("Delay if a box jumps across an edge, farther than its object can have moved", "700 ms; the event is backdated"),
    ("Minimum speed of an object that crosses an edge (excludes swaying leaves)", "0.008 image widths/s"),
    ("Minimum speed of motion in place for `moving`", "0.005 image widths/s"),
    ("Lead that a new class needs over the current one", "0.2 in score, for 0.75 s, or longer if the score fluctuates"),
    ("Time with good frames after which a camera fault ends", "1 s"),
    ("Interval between searches for the reference view", "200 ms; in between, the camera's motion is integrated"),
    ("Time without the view after which its zones are suspended", "1.5 s, or as soon as less than half of it is in the image"),
    ("Time at which a camera without a named view takes its reference view", "3 s after the stream has started"),
    ("Maximum offset of every corner for `camera_moved` to end", "2.5 % of the width"),
    ("Time to learn what a camera usually shows", "5 s (`frozen`: 15 s), then continuously"),
)  # fmt: skip


def page() -> str:
    """The whole page, as Markdown."""
    return (
        "\n\n".join(
            (
                "# Events and rules",
                "<!-- Written by docs/make_reference.py from docs/reference_events.py and the schema: change those. -->",
                "This page lists all kinds of rules, their keys, and all events with their fields. The guide is\n[events.md](../events.md).",
                "## Kinds of rules",
                table(
                    ("kind", "about", "phases", "reports"),
                    [(f"`{kind}`", _about(kind), *row) for kind, row in RULES.items()],
                ),
                "`forward` is from the line's left to its right, looking from its first point towards its last. The\n"
                "arrow on the overlay shows it. A zone without a rule has the rule `moving`, a line without one `crossed`.",
                "## Keys of a rule",
                _keys(Rule, with_kinds=True),
                "A key that does not apply to a kind is an error. `hours` may name days: `mon-fri 08:00-17:30`. A period\n"
                "that runs past midnight belongs to the day on which it starts.",
                "## Keys of a zone",
                _keys(Zone),
                "## Keys of a line",
                _keys(Line),
                "## Keys of a view",
                _keys(View),
                "## Keys of `[ground.NAME]`",
                _keys(Ground),
                "## Events about a camera",
                "These need no rule. `camera_moved` needs a zone, a line, ground or a view in the stream.",
                _events(CAMERA),
                "## Events about the pipeline",
                "These need no rule and have no evidence.",
                _events(PIPELINE),
                "## Fields of an event",
                "An event is one JSON object. Every `start` has an `end`, even if the stream ends or the sink is stopped.",
                table(
                    ("key", "type", "meaning"),
                    [
                        (
                            f"`{key}`",
                            _allowed(_hints(Event)[key]) if key != "kind" else "text, see above",
                            text,
                        )
                        for key, text in attributes(Event).items()
                    ],
                ),
                "## Keys of `why`",
                table(("events", "key", "meaning"), WHY),
                "## Thresholds",
                "These fixed values keep events stable.",
                table(("what", "value"), THRESHOLDS),
            )
        )
        + "\n"
    )


def table(head: tuple[str, ...], rows: Any) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join((lines[0], "|---" * len(head) + "|", *lines[1:]))


def attributes(schema: type[msgspec.Struct]) -> dict[str, str]:
    """The fields of a struct and their descriptions, in the order of its docstring."""
    text = (schema.__doc__ or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {12,}.*)*)", text, re.MULTILINE)
    return {name: _in_page(meaning) for name, meaning in found}


def _in_page(meaning: str) -> str:
    words = re.sub(r"\s+", " ", meaning).replace("``", "`").rstrip(".")
    return re.sub(r"\b(None|empty):", "unset:", words)


def _about(kind: RuleKind) -> str:
    return "a line" if kind in LINE_KINDS else "the whole image" if kind in PICTURE_KINDS else "a zone"


def _events(kinds: Mapping[str, tuple[str, str, str]]) -> str:
    rows = [(f"`{kind}`", *row) for kind, row in kinds.items()]
    return table(("kind", "phases", "reported after", "what has happened"), rows)


def _keys(schema: type[msgspec.Struct], *, with_kinds: bool = False) -> str:
    defaults = {field.name: field for field in msgspec.structs.fields(schema)}
    rows = []
    for key, meaning in attributes(schema).items():
        kinds = [(_fits(key) or "all")] if with_kinds else []
        rows.append((f"`{key}`", *kinds, _allowed(_hints(schema)[key]), _default(defaults[key]), meaning))
    return table(("key", *(["kinds"] if with_kinds else []), "value", "default", "meaning"), rows)


def _fits(key: str) -> str:
    """The kinds that a key applies to, if it does not apply to all."""
    if key == "zone":
        return "all kinds for zones"
    if key == "line":
        return ", ".join(f"`{kind}`" for kind in sorted(LINE_KINDS))
    kinds = [kind for kind, keys in KIND_KEYS.items() if key in keys]
    without = [f"`{kind}`" for kind in KIND_KEYS if kind not in kinds]
    if not kinds or not without:
        return ""
    return f"all but {', '.join(without)}" if len(without) <= 3 else ", ".join(f"`{kind}`" for kind in kinds)


def _hints(schema: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(schema, include_extras=True)


def _allowed(hint: Any) -> str:
    """The allowed values of a key, such as "0 to 1"."""
    choices = [hint, *get_args(hint)]
    if named := next((get_args(one) for one in choices if get_origin(one) is Literal), None):
        return ", ".join(f"`{value}`" for value in named)
    info = _plain(msgspec.inspect.type_info(hint))
    match info:
        case msgspec.inspect.FloatType(ge=least, le=most) | msgspec.inspect.IntType(ge=least, le=most):
            if least is None:
                return "number" if isinstance(info, msgspec.inspect.FloatType) else "whole number"
            above = f"{most:.12g}" if most is not None else f"under {info.lt:.12g}"
            return f"{least:.12g} to {above}"
        case msgspec.inspect.StrType():
            return "text"
        case msgspec.inspect.DictType():
            return "table"
        case msgspec.inspect.TupleType(item_types=items):
            return f"{len(items)} numbers"
    return "list"


def _plain(info: Any) -> Any:
    if isinstance(info, msgspec.inspect.Metadata):
        return _plain(info.type)
    if isinstance(info, msgspec.inspect.UnionType):
        return _plain(next(one for one in info.types if not isinstance(one, msgspec.inspect.NoneType)))
    return info


def _default(field: Any) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None or value == []:
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f'`"{value}"`'
