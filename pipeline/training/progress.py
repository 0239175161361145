"""Training progress: a panel in a terminal, plain lines elsewhere, JSON lines in a file."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from operator import length_hint
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, TypeVar

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from pipeline.base import stage_lines
from pipeline.base.files import write_whole
from pipeline.base.key_echo import without_key_echo
from pipeline.base.stage_lines import print_stage, repeated

T = TypeVar("T")
_FORMS = {
    "step": "step {}",
    "loss": "loss {:.4f}",
    "accuracy": "accuracy {:.3f}",
    "validation": "validation accuracy {:.4f}",
    "best": "best {:.4f}",
    "clips_per_s": "{:,.0f} clips/s",
}
_SPEED_OVER_S = 3600.0  # averaging time of the speed; long, so that validations average out
_SILENCE_S = 30.0  # without a terminal, longest time between two progress lines
_FINEST = 0.001  # share of the budget per update; rich averages the speed over the last thousand updates


class Reporter:
    """Context manager that reports the progress of one run.

    When a run is resumed, its file is appended to; lines newer than the resumed step are removed first,
    because they will be written again.

    Attributes:
        progress: The progress bars; hidden without a terminal.
    """

    def __init__(
        self,
        metrics: Path,
        console: Console | None = None,
        every_s: float = 5.0,
        *,
        title: str = "training",
        from_step: int = 0,
        steps: int = 0,
        quiet: bool = False,
        silence_s: float = _SILENCE_S,
    ) -> None:
        """Sets up the output.

        Args:
            metrics: The JSON-lines file.
            console: Console for messages; None for standard output.
            every_s: Time between two plain lines.
            title: Title of the panel.
            from_step: Step to resume from; 0 starts a new file.
            steps: Steps of the whole run; 0 = limited only by time.
            quiet: Neither write nor show anything, for ranks other than the leader.
            silence_s: Without a terminal, longest time between two lines in `training_lines`.
        """
        self._path, self._every_s, self._from_step = metrics, every_s, from_step
        self._steps, self._silence_s = steps, silence_s
        self._console = console or Console()
        self._quiet = quiet
        self._printed_s = 0.0
        self._shown: dict[str, Any] = {"step": from_step}
        self._validating = False
        self._file: TextIO | None = None
        self.progress = _Panel(self._console, title, disable=quiet or not self._console.is_terminal)
        self._task = self.progress.add_task("training", total=1.0)
        self._terminal = ExitStack()
        self._done = 0.0
        self._started, self._done_s = (0.0, time.monotonic()), time.monotonic()

    def __enter__(self) -> "Reporter":
        """Opens the file and, in a terminal, the panel."""
        if self._quiet:
            return self
        write_whole(self._path, "".join(_lines_until(self._path, self._from_step)))
        self._file = self._path.open("a", encoding="utf-8")
        if not self.progress.disable:
            self._terminal.enter_context(without_key_echo())
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file and the panel."""
        self.progress.stop()
        self._terminal.close()
        if self._file is not None:
            self._file.close()

    def notify(self, message: str) -> None:
        """Prints a message."""
        if not self._quiet:
            self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def training_lines(self, done: float) -> AbstractContextManager[None]:
        """Reports progress during the block; without a terminal, at least every ``silence_s`` seconds.

        Args:
            done: The share of the budget used before the block, 0 to 1.
        """
        self._done = done
        self._done_s = time.monotonic()
        self._started = (done, self._done_s)
        if self._file is None or not self.progress.disable:
            return nullcontext()
        return repeated(self._break_silence, min(self._silence_s / 4, 5.0))

    def _break_silence(self) -> None:
        if time.monotonic() - max(self._printed_s, self._started[1]) >= self._silence_s:
            self._print_progress()

    def _print_progress(self) -> None:
        self._printed_s = time.monotonic()
        self.notify(f"{self._done:4.0%}  {self._time_left()}  {'  '.join(self._words())}")

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Shows in the progress lines of the block that a validation is running."""
        self._validating = True
        try:
            yield
        finally:
            self._validating = False

    def advance(self, done: float, **metrics: Any) -> None:
        """Shows the used share of the budget, 0 to 1, and the newest ``step`` and ``loss``.

        Args:
            done: The share.
            metrics: Numbers or scalar tensors; these are only read when a line is printed.
        """
        self._shown |= metrics
        if done - self._done >= _FINEST:
            self._done, self._done_s = done, time.monotonic()
            self.progress.update(self._task, completed=done)

    def training(self, **metrics: Any) -> None:
        """Writes metrics of training batches and shows them."""
        self._write("train", metrics)
        self._show(metrics)
        if self._file and self.progress.disable and time.monotonic() - self._printed_s >= self._every_s:
            self._print_progress()

    def validation(self, best: float, **metrics: Any) -> None:
        """Writes metrics of a validation and shows them."""
        self._write("validation", metrics)
        self._show({"validation": metrics["accuracy"], "best": best})

    def _write(self, split: str, metrics: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"split": split} | metrics) + "\n")
            self._file.flush()

    def _show(self, metrics: dict[str, Any]) -> None:
        self._shown |= metrics
        self.progress.words = "   ".join(self._words())

    def _words(self) -> list[str]:
        """The newest metrics, formatted."""
        shown = dict(self._shown)
        of_all = f" of {self._steps:,d}" if self._steps else ""
        shown["step"] = f"{shown['step']:,d}{of_all}"
        if "loss" in shown:
            shown["loss"] = float(shown["loss"])
        words = [form.format(shown[key]) for key, form in _FORMS.items() if key in shown]
        return [*words, "validating"] if self._validating else words

    def _time_left(self) -> str:
        done, started_s = self._started
        return _left(self._done - done, 1 - self._done, started_s, self._done_s)


def watched(
    items: Iterable[T], progress: Progress | None, what: str, total: int | None = None
) -> Iterable[T]:
    """Iterates over items with a progress bar; ``total`` is needed if they have no length.

    Without a terminal, a progress line is printed from time to time.
    """
    if progress is None:
        return items
    if progress.disable:
        return _in_lines(items, what, length_hint(items) if total is None else total)
    return progress.track(items, total=total, description=what)


def _in_lines(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    started_s = done_s = time.monotonic()
    number = told = 0
    told_s = started_s

    def report() -> None:
        nonlocal told, told_s
        if number == told and time.monotonic() - told_s < _SILENCE_S:
            return
        told, told_s = number, time.monotonic()
        print_stage(f"{what}: {number} of {total}, {_left(number, total - number, started_s, done_s)}")

    print_stage(f"{what}: 0 of {total}")
    with repeated(report, stage_lines.EVERY_S):
        for number, item in enumerate(items):  # noqa: B007 (read by report)
            done_s = time.monotonic()
            yield item


def _left(done: float, remaining: float, started_s: float, done_s: float) -> str:
    """The time left at the mean speed so far, in words.

    Args:
        done: Amount of work done between ``started_s`` and ``done_s``.
        remaining: Amount of work not yet done at ``done_s``.
        started_s: Start of the work, on the monotonic clock.
        done_s: When ``done`` last changed.
    """
    if done <= 0:
        return "time left: unknown"
    left_s = (done_s - started_s) * remaining / done - (time.monotonic() - done_s)
    minutes, seconds = divmod(max(int(left_s), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left"


def bars(console: Console, *, disable: bool, expand: bool = False) -> Progress:
    """Progress bars with a name, the share done and the time left."""
    return Progress(*_columns(), console=console, disable=disable, transient=True, expand=expand)


def _columns() -> tuple[Any, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )


class _Panel(Progress):
    """Progress bars in a panel, with the newest metrics below them."""

    def __init__(self, console: Console, title: str, *, disable: bool) -> None:
        self.words = "waiting for the first metrics"
        self._title = title
        super().__init__(
            *_columns(),
            console=console,
            disable=disable,
            expand=True,
            refresh_per_second=4,
            speed_estimate_period=_SPEED_OVER_S,
        )

    def get_renderables(self) -> Iterator[RenderableType]:
        table = self.make_tasks_table(self.tasks)
        words = Text(self.words, style="bright_white")
        yield Panel(Group(table, words), title=self._title, title_align="left", border_style="cyan")


def _lines_until(metrics: Path, step: int) -> list[str]:
    """The complete lines of an earlier part of the run, up to and including ``step``."""
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
