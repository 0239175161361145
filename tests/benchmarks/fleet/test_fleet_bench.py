import json
from pathlib import Path

import pytest

from benchmarks.fleet.fleet_bench import DECIDERS, OURS, bench, simulate
from benchmarks.fleet.fleet_scenarios import SCENARIOS
from pipeline.base.errors import ConfigError


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_table_never_moves_a_stream_twice_and_leaves_none_in_the_dark(scenario: str) -> None:
    summary, curves = simulate(scenario, OURS, 120, 12, 6.0, seed=3)
    assert summary["planned_again_within_a_minute"] == 0
    assert summary["two_owners"] == 0
    # A worker may just have failed; nobody waits for long.
    assert max(gaps.get("worst_s", 0.0) for gaps in summary["without_predictions"].values()) <= 15.0
    assert len(curves["second"]) == len(curves["moves"]) == 36


def test_the_same_seed_has_the_same_results() -> None:
    first, again, other = (simulate("failures", OURS, 100, 10, 5.0, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_after_a_node_is_back_the_table_is_even_with_one_move_a_stream() -> None:
    summary, _ = simulate("node", OURS, 400, 40, 6.0, seed=1)
    assert summary["imbalance_at_the_end"] <= 1.3
    assert summary["dark_at_the_end"] == 0


def test_a_run_prints_a_table_and_stores_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored, picture = tmp_path / "fleet.json", tmp_path / "fleet.png"
    bench(60, 6, 3.0, 1, ["node", "crowd"], stored, picture)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 2 * len(DECIDERS)
    document = json.loads(stored.read_text())
    assert [one["scenario"] for one in document["results"]] == ["node"] * 3 + ["crowd"] * 3
    assert document["costs"]["detect_s"] == 1.0
    assert picture.stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_a_scenario_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="unknown scenario 'war'; expected one of: failures, node"):
        bench(60, 6, 3.0, 1, ["war"], None, None)
