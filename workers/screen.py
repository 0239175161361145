"""Shows a pipeline: a live table in a terminal, otherwise one line per second."""

from contextlib import ExitStack
from dataclasses import replace

from rich.console import Console
from rich.live import Live

from pipeline.base.clock import now_ns
from pipeline.base.closing import Closing
from pipeline.base.key_echo import without_key_echo
from pipeline.view.pipeline_view import PipelineView
from pipeline.view.plain_line import plain_line
from pipeline.view.recent_events import Events
from pipeline.view.terminal import render
from workers.output import OutputConsole

_EVENTS_SHOWN = 8


class Screen(Closing):
    """Shows a pipeline as a live table in a terminal, otherwise as one line per second."""

    def __init__(self, console: Console, *, live: bool, refresh_fps: float) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if live else None
        self._interval_ns = int(1e9 / refresh_fps) if live else 1_000_000_000
        self._due_ns = 0
        self._terminal = ExitStack()
        self._events = Events()
        if self._live:
            self._terminal.enter_context(without_key_echo())
            self._live.start()

    @property
    def lost(self) -> bool:
        """Whether its output has been closed."""
        return isinstance(self._console, OutputConsole) and self._console.lost

    def print(self, line: str) -> None:
        """Prints a permanent line above the live table."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def event(self, text: str) -> None:
        """Shows an event in the live table if there is one, otherwise as a line."""
        if self._live:
            self._events.add(text)
        else:
            self.print(text)

    def update(self, view: PipelineView) -> None:
        """Shows the current state of the pipeline if an update is due."""
        now = now_ns()
        if now < self._due_ns:
            return
        self._due_ns = now + self._interval_ns
        if self._live:
            view = replace(view, events=self._events.lines()[-_EVENTS_SHOWN:])
            self._live.update(render(view), refresh=True)
        else:
            self.print(plain_line(view))

    def close(self) -> None:
        """Replaces the live table with its events, above the summary."""
        if self._live:
            self._live.stop()
            self._live = None
            for line in self._events.lines():
                self.print(line)
        self._terminal.close()
