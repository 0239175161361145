"""Zones, lines and rules: what may be asked for, and what is said where it is wrong."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.base.config import load_config, load_watch
from pipeline.base.errors import ConfigError
from pipeline.base.watched import Line, Rule, Watch, Zone

CORNERS = [(0.1, 0.4), (0.5, 0.4), (0.5, 0.9)]
DRIVE = "zones.drive.points=[[0.1, 0.4], [0.5, 0.4], [0.5, 0.9]]"


def test_zones_and_lines_without_rules_are_told_of_anyway() -> None:
    watch = Watch(
        zones={"drive": Zone(points=CORNERS), "yard": Zone(points=CORNERS)},
        lines={"gate": Line(points=CORNERS[:2])},
        rules={"visitor": Rule(kind="entered", zone="yard")},
    )
    kinds = {name: (rule.kind, rule.zone, rule.line) for name, rule in watch.all_rules().items()}
    assert kinds == {
        "drive": ("moving", "drive", None),
        "gate": ("crossed", None, "gate"),
        "visitor": ("entered", "yard", None),
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["zones.drive.points=[[0.1, 0.4], [0.5, 0.4]]"], "points: must be a list of 3 to 64 entries"),
        (["zones.drive.points=[[0, 0], [1, 0], [1, 2]]"], r"zones.drive.points\[2\]\[1\]: must be a number"),
        (["zones.drive.anchor=foot"], "zones.drive: object missing required field `points`"),
        ([DRIVE.replace("drive", "dri ve")], "zones: names must be 1 to 64 letters, digits"),
        ([DRIVE, "rules.a.kind=enter"], "a.kind: 'enter' is not allowed; expected one of: crossed, entered"),
        ([DRIVE, "rules.a.kind=entered"], "rules.a: entered needs a zone: set zone = NAME"),
        ([DRIVE, "rules.a.kind=entered", "rules.a.line=drive"], "rules.a: entered applies to a zone, not"),
        ([DRIVE, "rules.a.kind=entered", "rules.a.zone=drif"], "there is no zone 'drif'; available: drive"),
        (["rules.a.kind=crossed", "rules.a.line=gate"], "there is no line 'gate'; available: none"),
        ([DRIVE, "rules.a.kind=wrong_way", "rules.a.zone=drive"], "wrong_way needs direction_deg"),
        ([DRIVE, "rules.a.kind=moving", "rules.a.hours=['9-17']"], r"rules.a.hours\[0\]: expected hours as"),
        ([DRIVE, "lines.drive.points=[[0, 0], [1, 1]]"], "zone and line 'drive' have the same name"),
        (
            [DRIVE, DRIVE.replace("drive", "b"), "rules.b.kind=left", "rules.b.zone=drive"],
            "rules.b: has the name",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, settings)


def test_a_file_of_its_own_adds_to_the_configuration_which_wins(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text(
        "[zones.drive]\npoints = [[0, 0], [1, 0], [1, 1]]\n"
        "[zones.yard]\npoints = [[0, 0], [1, 0], [1, 1]]\n"
        '[rules.visitor]\nkind = "entered"\nzone = "drive"\n'
    )
    config = load_config(None, [f"watch.file={file}", DRIVE])
    assert config.zones["drive"].points == CORNERS
    assert set(config.zones) == {"drive", "yard"}
    assert config.watched().rules == load_watch(file).rules


def test_a_file_with_something_wrong_is_named(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text('[rules.visitor]\nkind = "entered"\nzone = "drive"\n')
    with pytest.raises(ConfigError, match=r"zones\.toml: rules.visitor: there is no zone 'drive'"):
        load_config(None, [f"watch.file={file}"])
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such configuration file"):
        load_config(None, ["watch.file=nowhere.toml"])


def test_a_zone_may_be_for_some_streams_only() -> None:
    assert Zone(points=CORNERS).is_in("any")
    assert Zone(points=CORNERS, streams=["door"]).is_in("door")
    assert not Zone(points=CORNERS, streams=["door"]).is_in("garden")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["zones.a.points=[[0, 0], [0.5, 0.5], [1, 1]]"], "zones.a: points: all corners lie on one line"),
        (["zones.a.points=[[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]"], "all corners lie on one line"),
        (["lines.a.points=[[0.5, 0.5], [0.5, 0.5]]"], "lines.a: points: two consecutive points are equal"),
        (
            ["rules.a.kind=moving", "rules.a.label=open", DRIVE, "rules.a.zone=drive"],
            "label does not apply to",
        ),
        ([DRIVE, "rules.a.kind=label", "rules.a.zone=drive"], "label applies to the whole image"),
        (["rules.a.kind=label", "rules.a.of=zone"], "rules.a: of does not apply to label"),
        (
            [DRIVE, "rules.a.kind=moving", "rules.a.zone=drive", "rules.a.for_s=3"],
            "for_s does not apply to m",
        ),
        (
            [DRIVE, "rules.a.kind=stayed", "rules.a.zone=drive", "rules.a.min_speed=3"],
            "min_speed does not apply",
        ),
        (
            [DRIVE, "rules.a.kind=moving", "rules.a.zone=drive", "rules.a.hours=['29:00-06:00']"],
            "expected hours",
        ),
        (
            [DRIVE, "rules.a.kind=moving", "rules.a.zone=drive", "rules.a.hours=['mom 09:00-17:00']"],
            "expected h",
        ),
    ],
)
def test_what_could_never_tell_anything_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, settings)


@pytest.mark.parametrize(
    ("watch", "message"),
    [
        (
            {"zones": {"a": {"points": CORNERS, "view": "gate"}}},
            "zones.a: there is no view 'gate'; available: none",
        ),
        ({"views": {"home": {"picture": "a.png"}}}, "views.home: this name is reserved"),
        (
            {
                "zones": {"a": {"points": CORNERS, "view": "gate", "streams": ["x"]}},
                "views": {"gate": {"picture": "a.png", "streams": ["y"]}},
            },
            "zones.a: none of its streams has the view 'gate'",
        ),
    ],
)
def test_a_zone_of_a_view_that_none_of_its_streams_has_is_refused(
    watch: dict[str, Any], message: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(watch, Watch)


def test_each_view_shows_its_zones_and_the_first_those_without_one() -> None:
    watch = msgspec.convert(
        {
            "zones": {"a": {"points": CORNERS}, "b": {"points": CORNERS, "view": "yard"}},
            "views": {
                "gate": {"picture": "a.png", "streams": ["x"]},
                "yard": {"picture": "b.png", "streams": ["x"]},
            },
        },
        Watch,
    )
    assert [set(watch.seen("x", view).zones) for view in (None, "gate", "yard", "home")] == [
        {"a"},
        {"a"},
        {"b"},
        {"a"},
    ]
    assert set(watch.seen("y", "home").zones) == {"a"}
    assert set(watch.seen("y", "gate").rules) == {"a"}
