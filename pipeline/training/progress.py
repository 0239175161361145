"""Says how the training goes: a bar in a terminal, plain lines elsewhere, JSON lines in a file."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Reporter:
    """Context manager around one run; its file is appended to, so that a resumed run goes on in it."""

    def __init__(self, metrics: Path, console: Console | None = None, every_s: float = 5.0) -> None:
        """Takes the path of the JSON-lines file and the time between two plain lines."""
        self._metrics, self._every_s = metrics, every_s
        self._console = console or Console()
        self._said_s = 0.0
        self._file: TextIO | None = None
        self._bar: Progress | None = None

    def __enter__(self) -> "Reporter":
        """Opens the file and, in a terminal, the bar."""
        self._file = self._metrics.open("a", encoding="utf-8")
        if self._console.is_terminal:
            columns = (
                TextColumn("training"),
                BarColumn(),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
            )
            self._bar = Progress(*columns, console=self._console)
            self._bar.start()
            self._bar.add_task("starting", total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes both."""
        if self._bar is not None:
            self._bar.stop()
        if self._file is not None:
            self._file.close()

    def say(self, message: str) -> None:
        """Prints a line for people."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def record(self, progress: float, **figures: Any) -> None:
        """Writes figures to the file; shows them when it is time."""
        assert self._file is not None
        self._file.write(json.dumps(figures) + "\n")
        self._file.flush()
        words = "  ".join(f"{key} {value:.4g}" for key, value in figures.items())
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=progress, description=words)
        elif time.monotonic() - self._said_s >= self._every_s:
            self._said_s = time.monotonic()
            self.say(f"{progress:4.0%}  {words}")
