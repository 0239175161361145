import numpy as np
import pytest

from benchmarks.evidence_cost import measure


@pytest.mark.parametrize("evidence", ["none", "no event", "one clip always"])
def test_each_load_runs_and_misses_nothing(evidence: str) -> None:
    images = [np.full((120, 160, 3), value, np.uint8) for value in (20, 120, 220)]
    row = measure(evidence, images, 1.2)
    assert (row.evidence, row.size, row.missed) == (evidence, "160x120", 0)
    assert 0 < row.draw_p50 <= row.draw_p95
    assert 0 < row.take_p50 <= row.take_p99
    assert row.cpu > 0
