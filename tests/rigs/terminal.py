"""A real terminal in tmux: tests press keys and read the screen."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.support import need_command


class Terminal:
    """A terminal that runs a shell, as a context manager.

    Args:
        place: A short path to an empty folder.
        columns: Width in characters.
        rows: Height in characters.
    """

    def __init__(self, place: Path, columns: int, rows: int) -> None:
        self._tmux = [need_command("tmux", "tmux"), "-L", "kvq", "-f", "/dev/null"]
        self._environment = os.environ | {
            "TMUX_TMPDIR": str(place),
            "XDG_RUNTIME_DIR": str(place),
            "TERM": "xterm",
        }
        self._script = place / "run.sh"
        self._size = ("-x", str(columns), "-y", str(rows))

    def __enter__(self) -> Self:
        """Opens the terminal."""
        self._call("new-session", "-d", "-s", "run", *self._size, "bash", "--norc")
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the terminal and ends all programs in it."""
        self._call("kill-server")

    def start(self, command: Sequence[str]) -> None:
        """Starts a command; ``exit=`` and its exit code are printed after its output."""
        self._script.write_text(f"clear; {shlex.join(command)}; echo exit=$?\n")
        self.press(f". {self._script}", "Enter")

    def press(self, *keys: str) -> None:
        """Presses keys, given by their tmux names."""
        self._call("send-keys", "-t", "run", *keys)

    def screen(self) -> str:
        """The visible text."""
        return self._call("capture-pane", "-p", "-t", "run")

    def everything(self) -> str:
        """The visible text and up to 500 lines of scrollback."""
        return self._call("capture-pane", "-p", "-S", "-500", "-t", "run")

    def _call(self, *arguments: str) -> str:
        return subprocess.run(
            [*self._tmux, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout
