"""A run whose inference worker prepares its model for minutes: what it says, restarts and stops meanwhile."""

import os
import signal
from pathlib import Path

import pytest

from tests.support import need_module, until
from tests.workers.pipeline import Pipeline
from tests.workers.program import END_S, RUN_S, START_S
from workers.supervisor import _KILL_AFTER_S


@pytest.mark.slow
def test_a_start_that_takes_minutes_is_watched_and_can_be_stopped(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_module("openvino", "openvino")
    need_module("nncf", "nncf")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    int8 = ("--set", "inference.precision=int8", "--set", "sink.web=false", "--set", "inference.threads=1")
    with Pipeline(place, *int8, "--set", "run.drain_timeout_s=60", quick=False) as run:
        run.wait_for("preparing for openvino in int8, for images of .* once per machine", RUN_S)
        run.wait_for("capture=ready", RUN_S)
        until(lambda: run.stats("capture"), "statistics of capture", START_S, lambda: run.out)
        os.kill(run.pid("capture"), signal.SIGKILL)
        run.wait_for("capture was killed by SIGKILL: restarting in 0.5 s")
        run.wait_for(r"capture is ready again \(pid \d+\)")
        run.wait_for(r"capture=ready\(restarts 1\) inference=starting")
        run.signal(signal.SIGINT)
        outcome = run.finish(60 + _KILL_AFTER_S - END_S)
    assert outcome.code == 0, outcome.told()
    assert "stopped before all workers were ready (still starting: inference)" in outcome.out
    assert "did not stop" not in outcome.out, outcome.told()
    assert "no frame was shown: the run ended before inference was ready" in outcome.out, outcome.told()
    assert "every frame accounted for" not in outcome.out, outcome.told()
