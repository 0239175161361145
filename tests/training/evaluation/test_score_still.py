from pathlib import Path

import pytest

from pipeline.training.evaluation.score_still import find_pictures, score_still
from tests.support import need_module
from tests.training.evaluation.data_sets import network_of, textured, write_picture


def test_flow_of_nothing_and_false_movers_under_each_disturbance(tmp_path: Path) -> None:
    need_module("av", "av")
    for name in ("a.png", "more/b.jpg"):
        write_picture(tmp_path / name, textured(96, 128))
    pictures = find_pictures(tmp_path)
    quiet = score_still(network_of(), pictures, frames=5)
    assert list(quiet) == ["noise", "light", "codec"]
    for scored in quiet.values():
        assert scored["frames"] == 10, "five of each picture, after two that come before"
        assert scored["things"] == 0
        assert scored["false_share"] == scored["flow_median"] == scored["flow_p99"] == 0
        assert scored["dis_p99"] >= scored["dis_median"]
    assert quiet["noise"]["dis_p99"] > 0, "the pictures do differ"
    wrong = score_still(network_of((0.3, 0.4), moving=True), pictures, frames=5)
    assert wrong["noise"]["things"] == 2, "one in each picture"
    for scored in wrong.values():
        assert scored["false_share"] == 1
        assert scored["flow_median"] == scored["flow_p99"] == pytest.approx(0.5, abs=1e-3)


def test_a_clip_may_be_longer_than_what_goes_through_the_codec_at_once(tmp_path: Path) -> None:
    need_module("av", "av")
    write_picture(tmp_path / "a.png", textured(32, 32))
    scored = score_still(network_of(), find_pictures(tmp_path), frames=103)
    assert {name: each["frames"] for name, each in scored.items()} == {
        "noise": 103,
        "light": 103,
        "codec": 103,
    }


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        find_pictures(tmp_path / "none")
    with pytest.raises(ValueError, match="contains no images"):
        find_pictures(tmp_path)
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(ValueError, match=r"a\.png: not an image"):
        score_still(network_of(), find_pictures(tmp_path), frames=1)
