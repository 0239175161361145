import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.ablation import main, run_variant
from benchmarks.temporal.budget import Budget
from benchmarks.temporal.markdown_table import markdown
from benchmarks.temporal.spread import over_gpus
from benchmarks.temporal.variants import VARIANTS

TINY = Budget(
    minutes=0, steps=2, batch=4, warmup=1, size=32, d_model=32, heads=4, bank=8, samples=4, repeats=1
)
_FLAGS = "--minutes 0 --steps 2 --batch 4 --size 32 --d-model 32 --heads 4 --bank 8 --samples 4 --repeats 1"


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_is_scored_and_measured(name: str) -> None:
    line = run_variant(name, TINY)
    assert line.get("error") is None
    assert line["accuracy"].keys() == {"0.4x", "1x", "2x", "single_frame", "reversed"}
    assert (line["steps"], line["clips"], line["backbone_passes"]) == (2, 8, 1)
    assert line["gflops"] > 0.02
    assert line["cache_kib"] > 0
    assert line["step_ms"] > 0
    json.dumps(line)


def test_a_variant_that_fails_says_so_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(shape: object) -> torch.nn.Module:
        raise RuntimeError("no such layer\nat all")

    monkeypatch.setitem(VARIANTS, "guide", replace(VARIANTS["guide"], build=broken))
    out = tmp_path / "new" / "lines.jsonl"
    flags = [*_FLAGS.split(), "--out", str(out), "--only", "guide", "mean_logits"]
    assert main(flags) == 1
    lines = [json.loads(text) for text in out.read_text().splitlines()]
    assert [line["name"] for line in lines] == ["guide", "mean_logits"]
    assert lines[0]["error"] == "RuntimeError: no such layer at all"
    assert "accuracy" in lines[1]
    monkeypatch.undo()
    assert main(flags) == 0
    assert [json.loads(text)["name"] for text in out.read_text().splitlines()][2:] == ["guide"]
    assert "already in" in capsys.readouterr().out


def test_a_process_for_each_variant() -> None:
    (line,) = over_gpus(["mean_logits"], TINY, 1, cost_only=True)
    assert line.get("error") is None
    assert line["budget"] == asdict(TINY)
    assert line["gflops"] > 0.02
    assert "accuracy" not in line


def test_a_process_that_dies_is_told_of() -> None:
    (line,) = over_gpus(["ours"], replace(TINY, device="moon"), 1)
    assert line["name"] == "ours"
    assert "moon" in line["error"]


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "lines.jsonl")]
    assert main(["--size", "100", *out]) == 2
    assert main(["--minutes", "0", *out]) == 2
    assert main(["--pictures", str(tmp_path / "none"), *out]) == 2
    assert main(["--table", str(tmp_path / "none.jsonl")]) == 2
    assert main(["--table", __file__]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5
    assert all(error.startswith("ablation: ") for error in errors)


def _line(name: str, **changes: Any) -> dict[str, Any]:
    accuracy = {"0.4x": 0.5, "1x": 0.75, "2x": 0.625, "single_frame": 0.111, "reversed": 0.7}
    facts = {"about": f"about {name}", "parameters": 12_100_000, "accuracy": accuracy, "clips": 64_000}
    cost = {"gflops": 3.64, "cache_kib": 392.0, "step_ms": 2.0, "over_ours": 1.0, "device": "A GPU"}
    return {"name": name, "budget": {"seed": 0, "minutes": 1.0}, **facts, **cost, **changes}


def test_the_table_has_a_row_for_each_variant() -> None:
    better = {**_line("ours")["accuracy"], "1x": 0.85}
    on_cpu = _line("ours", device="A CPU", step_ms=50.0)
    del on_cpu["accuracy"], on_cpu["clips"]
    failed = {"name": "shift", "error": "OutOfMemoryError: too much"}
    lines = [_line("guide"), _line("ours"), _line("ours", accuracy=better), failed, on_cpu]
    head, _, ours, guide, _, failure = markdown(lines).splitlines()
    assert head.endswith("| step on A CPU (relative to ours) | step on A GPU (relative to ours) |")
    assert ours.startswith("| about ours | 12.10 M | 0.500 ± 0.000 | 0.800 ± 0.050 |")
    assert ours.endswith("| 50.00 ms (1.00x) | 2.00 ± 0.00 ms (1.00x) |")
    assert guide.startswith("| about guide | 12.10 M | 0.500 | 0.750 |")
    assert failure == "shift: failed: OutOfMemoryError: too much"
    assert "failed" not in markdown([failed, _line("shift")])


def test_steps_measured_on_their_own_are_preferred() -> None:
    quiet = _line("ours", step_ms=1.5)
    del quiet["accuracy"], quiet["clips"]
    assert markdown([_line("ours"), quiet]).endswith("| 1.50 ms (1.00x) |\n")


def test_results_of_other_budgets_are_not_mixed() -> None:
    other_seed, longer = {"seed": 1, "minutes": 1.0}, {"seed": 0, "minutes": 5.0}
    assert "0.750 ± 0.000" in markdown([_line("ours"), _line("ours", budget=other_seed)])
    with pytest.raises(ValueError, match="results differ in minutes"):
        markdown([_line("ours"), _line("guide", budget=longer)])
