"""The comparison of transports: its own ends work, and what it lacks it names."""

import dataclasses

import pytest

from benchmarks.transport import bench, measure
from benchmarks.transport_ways import ways


@pytest.mark.slow
def test_our_ways_are_measured_between_processes(capsys: pytest.CaptureFixture[str]) -> None:
    ours = [way for way in ways() if not way.package]
    results = measure(ours, [(64, 48)], rounds=1, seconds=0.5)
    assert [result.way for result in results] == [way.name for way in ours]
    said = capsys.readouterr()
    assert said.out == "", "results alone"
    assert said.err.splitlines() == [f"64x48, round 1 of 1: {way.name}" for way in ours]
    for result in results:
        assert result.frames_per_s > 0
        assert result.cpu_ms_per_frame > 0
        assert result.latency_p50_ms is not None, "nothing is lost"
        assert result.latency_p99_ms is not None
        assert min(result.latency_p50_ms, result.latency_p99_ms) > 0


def test_a_package_that_is_missing_is_named() -> None:
    lacking = dataclasses.replace(ways()[0], package="no_such_package")
    with pytest.raises(ValueError, match=r"pip install no_such_package$"):
        measure([lacking], [(64, 48)], rounds=1, seconds=0.5)


@pytest.mark.parametrize("text", ["big", "64", "8x8", "-64x48"])
def test_what_is_no_size_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="use the form 1920x1080"):
        bench([text], 1, 0.5, None)
