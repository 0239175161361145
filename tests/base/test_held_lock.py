"""A lock that another process holds, and which process that is."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.held_lock import HeldError, check_free, hold

HOLD = """
import sys
from pathlib import Path
from pipeline.base.held_lock import hold
kept = hold(Path(sys.argv[1]))
print("held", flush=True)
input()
"""


def test_the_process_that_holds_a_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    check_free(path)
    assert not path.exists()
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for attempt in (hold, check_free):
            with pytest.raises(HeldError) as caught:
                attempt(path)
            assert caught.value.pid == other.pid
            assert caught.value.by == f" (pid {other.pid})"
        other.communicate("")
    check_free(path)
    hold(path).release()


def test_an_unknown_process_is_left_out() -> None:
    assert HeldError(None).by == ""
