"""What is known of the ground: what may be given together, and what is said where it is wrong."""

import math
from pathlib import Path

import pytest

from pipeline.base.config import load_config
from pipeline.base.errors import ConfigError
from pipeline.base.known_ground import Ground

SIZE = "size=[1280, 720]"
SEEN = "points=[[0.3, 0.9], [0.7, 0.9], [0.6, 0.4], [0.4, 0.4]]"
METRES = "metres=[[0, 0], [6, 0], [6, 12], [0, 12]]"
LENGTHS = "distances_m=[6, 12, 6, 12, 13.4]"
BAR = "segment=[[0.4, 0.6], [0.6, 0.6]]"
DRIVE = "zones.drive.points=[[0.1, 0.4], [0.5, 0.4], [0.5, 0.9]]"
FAST = "rules.fast={kind='moving', zone='drive', min_speed_m_s=10}"


def yard(*keys: str) -> str:
    return f"ground.yard={{{', '.join(keys)}}}"


def test_four_points_with_places_or_lengths_or_one_thing_are_ground(tmp_path: Path) -> None:
    for known in ([SEEN, METRES], [SEEN, LENGTHS], [SEEN, LENGTHS[:-1] + ", 13.5]"], [BAR, "length_m=4.5"]):
        ground = load_config(None, [yard(SIZE, *known)]).ground["yard"]
        assert ground.aspect == 720 / 1280
        assert ground.click_widths == 3 / 1280
    file = tmp_path / "zones.toml"
    file.write_text(f"[ground.yard]\n{SIZE}\n{SEEN}\n{LENGTHS}\n")
    ground = load_config(None, [f"watch.file={file}"]).watched().ground["yard"]
    assert math.dist(ground.corners_m[0], ground.corners_m[2]) == pytest.approx(13.4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([SEEN, METRES], "object missing required field `size`"),
        ([SIZE], "ground.yard: give either points, with metres or distances_m, or segment with length_m"),
        ([SIZE, SEEN, BAR], "give either points"),
        ([SIZE, SEEN], "points: give either metres or distances_m"),
        ([SIZE, SEEN, METRES, LENGTHS], "points: give either metres or distances_m"),
        ([SIZE, SEEN, METRES, "length_m=3"], "points: give either metres or distances_m"),
        ([SIZE, BAR], "segment: give its length as length_m"),
        ([SIZE, BAR, "length_m=3", METRES], "segment: give its length as length_m, and leave out"),
        ([SIZE, "segment=[[0.4, 0.6], [0.405, 0.6]]", "length_m=3"], "segment: too short"),
        ([SIZE, BAR, "length_m=0"], "ground.yard.length_m: must be a number from 0.01"),
        ([SIZE, SEEN[:-13] + "]", METRES], "ground.yard: points: must be a list of 4 entries"),
        (
            [SIZE, SEEN, "metres=[[0, 0], [6, 12], [6, 0], [0, 12]]"],
            "ground.yard: points: impossible on flat ground",
        ),
        ([SIZE, SEEN, "metres=[[0, 0], [6, 0], [12, 0], [0, 12]]"], "1, 2, 3 lie on one line on the ground"),
        (
            [SIZE, SEEN, "distances_m=[6, 12, 6, 12, 20]"],
            "ground.yard: distances_m: 1-2, 2-3 and",
        ),
        ([SIZE, SEEN, METRES, "view='gate'"], "ground.yard: there is no view 'gate'; available: none"),
        ([SIZE, SEEN, METRES, "anchor='foot'"], "unknown key 'ground.yard.anchor'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(keys: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [yard(*keys)])


@pytest.mark.parametrize(
    ("settings", "is_known"),
    [
        ([], False),
        ([yard(SIZE, SEEN, METRES)], True),
        ([yard(SIZE, SEEN, METRES, "streams=['a']")], False),
        ([yard(SIZE, SEEN, METRES, "streams=['a', 'b']"), "zones.drive.streams=['a']"], True),
        ([yard(SIZE, SEEN, METRES, "streams=['a']"), "zones.drive.streams=['a', 'b']"], False),
        (
            [
                yard(SIZE, SEEN, METRES, "streams=['a']"),
                f"ground.b={{{SIZE}, {SEEN}, {METRES}, streams=['b']}}",
                "zones.drive.streams=['a', 'b']",
            ],
            True,
        ),
        ([yard(SIZE, SEEN, METRES, "view='gate'"), "views.gate.picture='gate.png'"], False),
    ],
)
def test_a_rule_about_metres_needs_ground_wherever_its_zone_is(settings: list[str], is_known: bool) -> None:
    if not is_known:
        with pytest.raises(ConfigError, match=r"rules.fast: min_speed_m_s needs \[ground.NAME\]"):
            load_config(None, [DRIVE, FAST, *settings])
        return
    watch = load_config(None, [DRIVE, FAST, *settings]).watched()
    assert set(watch.seen("a", None).rules) == {"fast"}
    assert len(watch.seen("a", None).ground) == 1


def test_the_error_of_a_click_is_in_pixels_of_the_picture() -> None:
    ground = Ground(size=(640, 480), segment=[(0.2, 0.5), (0.8, 0.5)], length_m=3.0, click_px=6.4)
    assert ground.click_widths == pytest.approx(0.01)
    assert ground.in_widths([(0.5, 0.5)]) == [(0.5, 0.375)]
