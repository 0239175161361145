"""Zones, lines and ground that go along where another picture becomes the view."""

import pytest

from pipeline.base.known_ground import Ground
from pipeline.base.sight import Sight
from pipeline.base.watched import Line, View, Watch, Zone
from pipeline.scene.carried_watch import carry

DRIVE = Zone(points=[(0.3, 0.3), (0.5, 0.3), (0.5, 0.7), (0.3, 0.7)])
GATE = Line(points=[(0.2, 0.5), (0.8, 0.5)])
YARD = Ground(size=(1000, 750), segment=[(0.3, 0.6), (0.5, 0.6)], length_m=3.0)


def seen(
    x: float = 0.0, y: float = 0.0, scale: float = 1.0, *, view: str = "home", found: bool = True
) -> Sight:
    """Where a view is: shifted by picture widths, and larger around the upper left corner."""
    return Sight(view=view, found=found, share=0.9, factor=(scale, 0.0), offset=(x, y), aspect=0.75)


def test_all_that_is_drawn_goes_where_the_view_is_found() -> None:
    watch = Watch(zones={"drive": DRIVE}, lines={"gate": GATE}, ground={"yard": YARD})
    carried = carry(watch, "door", seen(0.1, -0.075))
    assert carried.watch.zones["drive"].points == [(0.4, 0.2), (0.6, 0.2), (0.6, 0.6), (0.4, 0.6)]
    assert carried.watch.lines["gate"].points == [(0.3, 0.4), (0.9, 0.4)]
    assert carried.watch.ground["yard"].segment == [(0.4, 0.5), (0.6, 0.5)]
    assert (carried.moved, carried.left) == (["zones.drive", "lines.gate", "ground.yard"], [])
    larger = carry(watch, "door", seen(scale=1.25)).watch.zones["drive"]
    assert larger.points == [(0.375, 0.375), (0.625, 0.375), (0.625, 0.875), (0.375, 0.875)]


def test_what_reaches_out_of_the_picture_is_cut_at_its_edge_and_keeps_its_direction() -> None:
    watch = Watch(
        zones={"drive": DRIVE},
        lines={"gate": GATE, "back": Line(points=GATE.points[::-1])},
        ground={"yard": YARD},
    )
    carried = carry(watch, "door", seen(0.6))
    xs = [x for x, _ in carried.watch.zones["drive"].points]
    assert (min(xs), max(xs)) == (0.9, 1.0)
    assert carried.watch.lines["gate"].points == [(0.8, 0.5), (1.0, 0.5)]
    assert carried.watch.lines["back"].points == [(1.0, 0.5), (0.8, 0.5)]
    assert carried.left == ["ground.yard"], "its length would be another one"
    gone = carry(watch, "door", seen(-0.9))
    assert gone.watch == watch
    assert gone.left == ["zones.drive", "lines.gate", "lines.back", "ground.yard"]


def test_where_the_view_is_not_found_all_stays_where_it_is_in_the_picture() -> None:
    watch = Watch(zones={"drive": DRIVE}, lines={"gate": GATE})
    assert carry(watch, "door", seen(0.2, found=False)) == (watch, [], [])


@pytest.mark.parametrize(("view", "moved"), [("front", ["zones.drive"]), ("side", ["zones.hedge"])])
def test_what_is_drawn_in_another_view_or_stream_stays(view: str, moved: list[str]) -> None:
    views = {"front": View(picture="f.png"), "side": View(picture="s.png")}
    zones = {
        "drive": DRIVE,
        "hedge": Zone(points=DRIVE.points, view="side"),
        "yard": Zone(points=DRIVE.points, streams=["garden"]),
    }
    assert carry(Watch(views=views, zones=zones), "door", seen(0.1, view=view)).moved == moved
