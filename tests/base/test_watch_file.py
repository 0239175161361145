"""Zones, lines and rules as TOML: what is written is what is read."""

from pathlib import Path

import pytest

from pipeline.base.config import load_watch
from pipeline.base.errors import UserError
from pipeline.base.watch_file import replaces, watch_text, write_watch
from pipeline.base.watched import Line, Rule, View, Watch, Zone

CORNERS = [(0.1, 0.2), (0.9, 0.2), (0.30000000000000004, 1.0)]
WATCH = Watch(
    views={"preset.1": View(picture='odd "name" \\ ä.png', streams=["door"])},
    zones={
        "drive": Zone(points=CORNERS, view="preset.1", streams=["door", "жест 手 😀"]),
        "b.c-d_e": Zone(points=CORNERS, anchor="middle"),
    },
    lines={"gate": Line(points=CORNERS[:2])},
    rules={
        "in": Rule(kind="entered", zone="drive", direction_deg=0.0, hours=["mon-fri 08:00-17:30"]),
        "stay": Rule(kind="stayed", zone="drive", for_s=0.0),
        "over": Rule(kind="crossed", line="gate", way="forward", cool_down_s=2.5),
    },
)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    for watch in (WATCH, Watch()):
        write_watch(file, watch, Watch())
        assert load_watch(file) == watch


def test_what_is_as_by_default_is_left_out() -> None:
    text = watch_text(Watch(rules={}, lines={"gate": Line(points=CORNERS[:2])}))
    assert text == '[lines."gate"]\npoints = [[0.1, 0.2], [0.9, 0.2]]\n'


def test_a_restarted_sink_knows_what_was_put_in_place_of_its_configuration(tmp_path: Path) -> None:
    file, other = tmp_path / "zones.toml", Watch(lines=WATCH.lines)
    assert not replaces(file, other)
    file.write_text(watch_text(WATCH))
    assert not replaces(file, other), "written by hand"
    write_watch(file, WATCH, other)
    assert replaces(file, other)
    assert not replaces(file, Watch()), "of another run"


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be written"):
        write_watch(tmp_path / "nowhere" / "zones.toml", WATCH, Watch())
