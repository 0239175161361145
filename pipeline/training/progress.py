"""Says how the training goes: a panel in a terminal, plain lines elsewhere, JSON lines in a file."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


class Reporter:
    """Context manager around one run.

    Its file is appended to when a run goes on; lines that are newer than the point where it goes on are
    taken out, because they will be written again.
    """

    def __init__(
        self,
        metrics: Path,
        console: Console | None = None,
        every_s: float = 5.0,
        *,
        title: str = "training",
        from_step: int = 0,
        quiet: bool = False,
    ) -> None:
        """Takes what to write and show.

        Args:
            metrics: the JSON-lines file.
            console: where people read; None for standard output.
            every_s: time between two plain lines.
            title: of the panel.
            from_step: step at which the run goes on; 0 starts the file anew.
            quiet: neither write nor show anything, as ranks do that do not lead.
        """
        self._metrics, self._every_s, self._title, self._from_step = metrics, every_s, title, from_step
        self._console = console or Console()
        self._quiet = quiet
        self._started_s, self._first_progress, self._said_s = time.monotonic(), -1.0, 0.0
        self._shown: dict[str, Any] = {}
        self._file: TextIO | None = None
        self._live: Live | None = None

    def __enter__(self) -> "Reporter":
        """Opens the file and, in a terminal, the panel."""
        if self._quiet:
            return self
        kept = _lines_until(self._metrics, self._from_step)
        self._file = self._metrics.open("w", encoding="utf-8")
        self._file.writelines(kept)
        self._file.flush()
        if self._console.is_terminal:
            self._live = Live(self._panel(0.0), console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes both."""
        if self._live is not None:
            self._live.stop()
        if self._file is not None:
            self._file.close()

    def say(self, message: str) -> None:
        """Prints a line for people."""
        if not self._quiet:
            self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def record(self, progress: float, **figures: Any) -> None:
        """Writes figures to the file; shows them, in plain lines only those of training and not all."""
        if self._file is None:
            return
        self._file.write(json.dumps(figures) + "\n")
        self._file.flush()
        self._shown |= figures
        if self._live is not None:
            self._live.update(self._panel(progress))
        elif "loss" in figures and time.monotonic() - self._said_s >= self._every_s:
            self._said_s = time.monotonic()
            self.say(f"{progress:4.0%}  {self._time_left(progress)}  {'  '.join(self._words())}")

    def _words(self) -> list[str]:
        """The figures that people read, newest values."""
        forms = {
            "step": "step {:,d}",
            "loss": "loss {:.4f}",
            "accuracy": "accuracy {:.3f}",
            "validation_accuracy": "validation {:.4f}",
            "best": "best {:.4f}",
            "triplets_per_s": "{:,.0f} clips/s",
        }
        return [form.format(self._shown[key]) for key, form in forms.items() if key in self._shown]

    def _time_left(self, progress: float) -> str:
        """As long as the part of this process took for what it has done; validations count."""
        if self._first_progress < 0:
            self._first_progress, self._started_s = progress, time.monotonic()
        done = progress - self._first_progress
        if done <= 0:
            return "time left: not known yet"
        left_s = round((time.monotonic() - self._started_s) / done * (1 - progress))
        hours, minutes, seconds = left_s // 3600, left_s // 60 % 60, left_s % 60
        return f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left"

    def _panel(self, progress: float) -> RenderableType:
        bar = Table.grid(padding=(0, 2), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right")
        bar.add_column(justify="right")
        bar.add_row(
            ProgressBar(total=1.0, completed=progress, complete_style="cyan", finished_style="green"),
            Text(f"{progress:.0%}", style="bold"),
            Text(self._time_left(progress) if self._shown else "starting"),
        )
        words = Text("   ".join(self._words()) or "the first figures come soon", style="bright_white")
        return Panel(Group(bar, words), title=self._title, title_align="left", border_style="cyan")


def _lines_until(metrics: Path, step: int) -> list[str]:
    """The whole lines of an earlier part of the run, up to and including ``step``."""
    if step == 0 or not metrics.is_file():
        return []
    kept = []
    for line in metrics.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # the line that was being written when the process was killed
    return kept
