import json
from pathlib import Path

import cv2
import pytest

from benchmarks.scale.command import bench
from benchmarks.scale.feed import Feed
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from tests.model.small import SIZE, small


@pytest.mark.slow
def test_the_table_the_file_and_the_curves_hold_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, curves = tmp_path / "scale.json", tmp_path / "scale.png"
    bench(18, (1, 3), "cpu", "auto", repeats=2, steps=20, json_file=file, picture=curves)
    document = json.loads(file.read_text())
    assert (document["depth"], document["runtime"]["device"]) == (18, "cpu")
    assert [row["streams"] for row in document["results"]] == [1, 3]
    for row in document["results"]:
        assert min(row[name] for name in ("step_ms", "square_ms", "again_ms", "plain_ms")) > 0
        assert row["over_plain"] == pytest.approx(row["square_ms"] / row["plain_ms"], abs=0.01)
        assert row["device_ms"] is None
    assert document["memory"]["steps"] == 20
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.split()[0].isdigit()] == ["1", "3"]
    assert cv2.imread(str(curves)).shape[1] > 600


def test_only_new_pictures_go_through_the_backbone() -> None:
    feed = Feed(open_torch(small(), Options(device="cpu")), streams=3, shape=(SIZE, SIZE))
    feed.step()
    assert feed.passes == 3
    feed.step_again()
    assert feed.passes == 0
