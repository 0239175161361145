import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.nuisance import clips
from benchmarks.nuisance.findings import Settings
from benchmarks.nuisance.known_clips import (
    DISTURBANCES,
    TRUTHS,
    disturbed,
    find_clips,
    load_truths,
    play,
    seen_in,
)
from pipeline.base.errors import ConfigError
from pipeline.base.frame import Image

TRUTH = """
clip = "walk"
fps = 20.0

[watch.zones.middle]
points = [[0.25, 0.1], [0.75, 0.1], [0.75, 0.9], [0.25, 0.9]]

[watch.rules]
entered = { kind = "entered", zone = "middle" }

[[events]]
rule = "entered"
from_s = 4.0
to_s = 4.5
"""


def picture(at_s: float) -> Image:
    """A square enters the middle third of a still picture after 4.1 s."""
    image = np.random.default_rng(0).integers(90, 160, (60, 80, 3), np.uint8)
    image = np.asarray(cv2.resize(image, (320, 240), interpolation=cv2.INTER_CUBIC), np.uint8)
    left = round(320 * (0.1 + 0.06 * (at_s - 2.4))) - 20
    if at_s > 1.0:
        image[120:180, max(left, 0) : left + 40] = np.random.default_rng(1).integers(
            0, 60, (60, 40, 3), np.uint8
        )[:, max(-left, 0) :]
    return image


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    folder = tmp_path / "walk"
    folder.mkdir()
    for n in range(160):
        cv2.imwrite(str(folder / f"{n:03}.png"), picture(n / 20))
    (tmp_path / "truth.toml").write_text(TRUTH)
    return folder


def test_the_truths_of_public_clips_are_sound() -> None:
    truths = load_truths(())
    assert len(truths) == len(list(TRUTHS.glob("*.toml"))) >= 5
    for truth in truths.values():
        told = {event.rule for event in truth.events}
        assert told == set(truth.watch.all_rules()), truth.clip
        assert truth.about


def test_a_film_is_read_at_the_rate_that_is_asked_for(walk: Path) -> None:
    ((path, truth),) = find_clips([walk.parent], load_truths([walk.parent / "truth.toml"]))
    film = list(play(path, truth, 10.0))
    assert path == walk
    assert [time_ns for _, time_ns in film[:3]] == [0, 100_000_000, 200_000_000]
    assert len(film) == 80
    assert np.array_equal(film[1][0], picture(0.1))


@pytest.mark.parametrize("disturbance", [name for name in DISTURBANCES if name != "none"])
def test_a_disturbed_film_is_as_long_and_looks_otherwise(walk: Path, disturbance: str) -> None:
    truth = load_truths([walk.parent / "truth.toml"])["walk"]
    plain = list(play(walk, truth, 10.0))
    spoiled = list(disturbed(play(walk, truth, 10.0), disturbance))
    assert [time_ns for _, time_ns in spoiled] == [time_ns for _, time_ns in plain]
    assert spoiled[0][0].shape == plain[0][0].shape
    assert np.abs(spoiled[5][0].astype(int) - plain[5][0]).mean() > 1


def test_zones_are_where_the_shaking_camera_sees_them(walk: Path) -> None:
    truth = load_truths([walk.parent / "truth.toml"])["walk"]
    board = np.zeros((240, 320, 3), np.uint8)
    board[24:216, 80:240] = 255  # the zone
    shaken = [image for image, _ in disturbed(iter([(board, n * 10**8) for n in range(100)]), "shake")]
    seen = np.mean([image[..., 0] > 128 for image in shaken], axis=0) > 0.5
    rows, columns = np.nonzero(seen)
    points = seen_in(truth.watch, "shake").zones["middle"].points
    assert columns.min() / 320 == pytest.approx(points[0][0], abs=0.01)
    assert columns.max() / 320 == pytest.approx(points[1][0], abs=0.01)
    assert rows.max() / 240 == pytest.approx(points[2][1], abs=0.01)
    assert seen_in(truth.watch, "low light") is truth.watch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("to_s = 4.5", "to_s = 3.5"), "entered from 4 ends before it begins"),
        (('rule = "entered"', 'rule = "left"'), "unknown rule 'left'; expected one of: entered"),
        (("clip =", "film ="), "film"),
    ],
)
def test_what_is_wrong_in_a_truth_file_is_told(walk: Path, change: tuple[str, str], message: str) -> None:
    file = walk.parent / "truth.toml"
    file.write_text(TRUTH.replace(*change))
    with pytest.raises(ConfigError, match=message):
        load_truths([file])


def test_clips_that_are_not_there_or_not_known_are_told(walk: Path) -> None:
    truths = load_truths([walk.parent / "truth.toml"])
    (walk.parent / "empty").mkdir()
    with pytest.raises(ConfigError, match="no such clip or folder"):
        find_clips([walk.parent / "no.mp4"], truths)
    with pytest.raises(ConfigError, match="no ground truth for this clip"):
        find_clips([walk / "000.png"], truths)
    with pytest.raises(ConfigError, match="no clip with ground truth found; expected one of: walk"):
        find_clips([walk.parent / "empty"], truths)
    with pytest.raises(ConfigError, match="unknown nuisance 'hail' for clips"):
        clips.bench([walk], [], ["hail"], Settings())
    broken = walk.parent / "walk.mp4"
    broken.write_text("no film")
    with pytest.raises(ConfigError, match="can't be read as a video"):
        list(play(broken, truths["walk"], 10.0))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_footage_goes_through_all_methods(walk: Path) -> None:
    file = walk.parent / "found.json"
    clips.bench([walk], [walk.parent / "truth.toml"], ["none"], Settings(json_file=file))
    (row,) = json.loads(file.read_text())["results"]
    assert (row["clip"], row["nuisance"], row["seconds"]) == ("walk", "none", pytest.approx(7.9))
    assert (row["ours"]["true"], row["ours"]["found"], row["ours"]["false"]) == (1, 1, 0)
    assert row["mog2"]["found"] == 1
