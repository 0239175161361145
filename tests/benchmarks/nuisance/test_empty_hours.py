import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.nuisance import empty_hours
from benchmarks.nuisance.findings import Settings, hourly, most_likely
from pipeline.base.errors import ConfigError


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["results"]
    return found


def test_the_bound_is_that_of_poisson() -> None:
    assert most_likely(0) == pytest.approx(2.9957, abs=1e-3)  # the rule of three
    assert most_likely(1) == pytest.approx(4.7439, abs=1e-3)
    assert most_likely(10) == pytest.approx(16.9622, abs=1e-3)
    assert most_likely(2000) == pytest.approx(2075, abs=2)
    assert hourly(0, 1800) == "0.0 (< 6.0)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"fps": 5.0, "longer_side_px": 0, "results": []}', "has results with fps 5.0, not 10.0"),
        ('{"fps": 10.0, "longer_side_px": 0, "results": [{}]}', "has results of another benchmark"),
        ("[", "can't be read as results"),
        ('{"results": 3}', "can't be read as results"),
    ],
)
def test_results_of_other_runs_are_not_added_to(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "hours.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        empty_hours.bench(["none"], 1.0, Settings(json_file=path))
    assert path.read_text() == content


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_second_run_adds_films_to_those_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(empty_hours, "_PLAIN_S", 9.0)
    path = tmp_path / "hours.json"
    settings = Settings(fps=5.0, json_file=path)
    empty_hours.bench(["headlights at night"], 0.05, settings, film_s=6.0)
    (first,) = rows(path)
    assert (first["seeds"], first["seconds"]) == ([0], 3.0)
    empty_hours.bench(["headlights at night", "none"], 0.1, settings, film_s=6.0)
    again, other = rows(path)
    assert (again["seeds"], again["seconds"]) == ([0, 1], 6.0)
    assert (other["seeds"], other["ours"]["false"]) == ([0, 1], 0)
    empty_hours.bench(["none"], 0.1, settings, film_s=6.0)
    assert rows(path) == [again, other]
