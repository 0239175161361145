import subprocess
import sys
import time

from pipeline.clock import now_ns


def test_it_is_unix_time() -> None:
    assert abs(now_ns() - time.time_ns()) < 60_000_000_000


def test_a_jump_of_the_wall_clock_does_not_show(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    before = now_ns()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= now_ns() - before < 60_000_000_000


def test_child_processes_share_the_clock() -> None:
    """A child started after the wall clock was set still agrees with its parent."""
    code = "import time; time.time_ns = lambda: 0\nfrom pipeline.clock import now_ns; print(now_ns())"
    before = now_ns()
    child = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert before <= child <= now_ns()
