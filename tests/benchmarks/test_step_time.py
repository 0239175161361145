"""A step beside its floor, the guide and a classical flow: what is measured, not how fast it is."""

import json
from pathlib import Path

import pytest

from benchmarks.step_time import bench


@pytest.mark.slow
def test_steps_of_random_and_of_trained_networks_stand_beside_their_peers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "steps.json"
    bench([18], ["motion_resnet18"], [1], ["torch"], "cpu", ["fp32"], 64, 4, out)
    random, trained = json.loads(out.read_text())["results"]
    assert (random["network"], random["size_px"], random["dis_ms"]) == ("ResNet-18", [64, 64], None)
    assert (trained["network"], trained["size_px"]) == ("motion_resnet18", [64, 64])
    assert trained["dis_ms"] > 0, "dense motion stands beside a classical flow"
    for result in (random, trained):
        assert result["backend"] == "torch"
        assert result["guide_over_step"] == pytest.approx(result["guide_ms"] / result["step_ms"], abs=0.01)
        floor_ms = result["plain_resnet_ms"]
        assert result["step_over_plain"] == pytest.approx(result["step_ms"] / floor_ms, abs=0.01)
    table = capsys.readouterr().out
    assert "motion_resnet18 64x64 x1" in table


def test_a_backend_that_there_is_not_is_named() -> None:
    with pytest.raises(ValueError, match="backend 'fast': choose torch, openvino, onnxruntime or all"):
        bench([], [], [1], ["fast"], "cpu", ["fp32"], 0, 4, None)
