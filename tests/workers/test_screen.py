"""The live table: what it leaves behind, and how it looks in a real terminal."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.view.pipeline_view import PipelineView
from tests.rigs.terminal import Terminal
from tests.workers.pipeline import QUICK
from tests.workers.program import PROGRAM, RUN_S, START_S, until
from workers.screen import Screen

SHOW = """
import sys, termios
from rich.console import Console
from workers.screen import Screen

def echo():
    return bool(sys.stdin and sys.stdin.isatty() and termios.tcgetattr(sys.stdin)[3] & termios.ECHO)

before = echo()
with Screen(Console(force_terminal=True), live=True, refresh_fps=10):
    within = echo()
print("echo", before, within, echo())
"""
# The first terminal that the leader of a session opens is its own; another process group is its background.
PRESSED = """
import sys
from rich.console import Console
from pipeline.view.pipeline_view import PipelineView
from workers.screen import Screen

with Screen(Console(), live=True, refresh_fps=10) as screen:
    screen.update(PipelineView("pressed"))
    sys.stdin.readline()
print("the end")
"""
SHELL = """
import os, subprocess, sys
os.close(os.open(os.ttyname(0), os.O_RDWR))
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], process_group=0 if sys.argv[2] == "&" else None)
_, status = os.waitpid(child.pid, os.WUNTRACED)
if os.WIFSTOPPED(status):
    os.kill(child.pid, 9)
    sys.exit("stopped")
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(("ampersand", "echo"), [("&", "True True True"), ("", "True False True")])
def test_only_in_the_foreground_the_terminal_is_changed_and_restored(ampersand: str, echo: str) -> None:
    mine, terminal = pty.openpty()
    try:
        shown = subprocess.run(
            [sys.executable, "-c", SHELL, SHOW, ampersand],
            stdin=terminal,
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=START_S,
        )
    finally:
        os.close(mine)
        os.close(terminal)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"echo {echo}" in shown.stdout


def test_a_live_screen_needs_no_standard_input() -> None:
    command = ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, SHOW]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
    assert (shown.returncode, shown.stderr) == (0, "")


def test_keys_that_are_pressed_leave_no_part_of_the_live_table(place: Path) -> None:
    with Terminal(place, 120, 40) as terminal:
        screen = terminal.screen
        terminal.start([sys.executable, "-c", PRESSED])
        until(lambda: "0 of 0 workers ready" in screen(), "the table", START_S, screen)
        terminal.press("q", "Enter")
        until(lambda: "exit=0" in screen(), "the end", START_S, screen)
        left = screen()
    assert left.startswith("the end\nexit=0"), left


def test_the_live_table_shows_stream_rates_latencies_and_workers(place: Path) -> None:
    command = [sys.executable, str(PROGRAM), *QUICK, "--set", f"run.output_dir={place}"]
    with Terminal(place, 120, 40) as terminal:
        screen = terminal.screen
        terminal.start(command)
        until(lambda: "3 of 3 workers ready" in screen() and "demo" in screen(), "the table", START_S, screen)
        until(lambda: "backbone" in screen() or "passes" in screen(), "stats", START_S, screen)
        shown = screen()
        for words in (
            "KVQ Stream",
            "fps in/pred/out",
            "predicted ms",
            "shown ms",
            "capture",
            "inference",
            "sink",
        ):
            assert words in shown, shown
        assert max(map(len, shown.splitlines())) <= 120
        until(lambda: "demo: recording" in screen(), "an event", START_S, screen)
        assert screen().count("demo: recording") == 1, screen()
        terminal.press("C-c")
        until(lambda: "exit=0" in screen(), "the end", RUN_S, screen)
        assert "no frame dropped" in screen() or "frames dropped, each for" in screen()
        everything = terminal.everything()
        assert everything.count("demo: recording") == 1, everything


def test_a_live_screen_shows_an_event_once_and_leaves_it_once() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, height=30, force_terminal=True)
    with Screen(console, live=True, refresh_fps=1000) as screen:
        for _ in range(3):
            screen.event("inference: waiting for sink to connect")
        screen.update(PipelineView("test"))
        shown = out.getvalue()
        assert shown.count("waiting for sink") == 1
        assert "connect (3 times)" in shown
    left = out.getvalue().rpartition("\x1b[2K")[2]  # what was written after the table was wiped out
    assert left == "inference: waiting for sink to connect (3 times)\n"
