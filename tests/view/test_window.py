import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support import need_command

SHOW = """
import subprocess, sys, time
from pipeline.view.window import open_window, WindowError
from tests.view.samples import picture
try:
    window = open_window("KVQ test")
except WindowError as error:
    sys.exit(f"WindowError {error}")
deadline = time.monotonic() + 30
shown = 0
keys = None
while not window.closed and time.monotonic() < deadline:
    window.show("door", picture(320, 240, shown % 200))
    shown += 1
    if shown == 5:
        keys = subprocess.Popen(sys.argv[1:]) if sys.argv[1:] else window.close()
    time.sleep(0.02)
if keys:
    keys.wait()
window.show("door", picture(320, 240))
window.close()
print("closed" if shown >= 5 and time.monotonic() < deadline else "still open")
"""


def show(*press: str, display: str = "") -> "subprocess.CompletedProcess[str]":
    """Shows pictures in a process of its own; ``press`` is a command run after the fifth one."""
    env = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env |= {"DISPLAY": display} if display else {}
    command = [sys.executable, "-c", SHOW, *press]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=90)


@pytest.fixture
def screen() -> Iterator[str]:
    """Name of an X server of this test's own, which finds a free number itself and says when it is up."""
    command = [need_command("Xvfb", "xvfb"), "-displayfd", "1", "-ac", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout
            yield f":{server.stdout.readline().strip()}"
        finally:
            server.terminate()


@pytest.mark.parametrize("key", ["q", "Escape"])
def test_key_closes_the_window(key, screen):
    xdotool = need_command("xdotool", "xdotool")
    press = [xdotool, "search", "--sync", "--name", "KVQ test - door", "windowfocus", "--sync", "key", key]
    child = show(*press, display=screen)
    assert child.stdout.splitlines()[-1:] == ["closed"], child.stderr


def test_program_closes_the_window(screen):
    child = show(display=screen)
    assert child.stdout.splitlines()[-1:] == ["closed"], child.stderr


@pytest.mark.parametrize("display", ["", ":4711"])
def test_no_display_is_an_error_not_a_crash(display):
    child = show(display=display)
    assert child.returncode == 1
    assert child.stderr.splitlines()[-1].startswith("WindowError no display: ")
