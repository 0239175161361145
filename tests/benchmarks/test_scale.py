import json
from pathlib import Path

import cv2
import pytest

from benchmarks.scale import bench


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
        assert 0 < row["again_ms"] < row["square_ms"], "a step without the backbone costs less"
        assert row["over_plain"] == pytest.approx(row["square_ms"] / row["plain_ms"], abs=0.01)
        assert row["device_ms"] is None
    assert document["memory"]["steps"] == 20
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.split()[0].isdigit()] == ["1", "3"]
    assert cv2.imread(str(curves)).shape[1] > 600
