"""The live terminal: statistics in, rich renderable out, fitted to the console."""

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pipeline.base.text import printable
from pipeline.view.number_text import duration
from pipeline.view.pipeline_view import PipelineView, stages
from pipeline.view.terminal_tables import (
    HEADING,
    WIDE,
    loss_lines,
    moving_lines,
    stages_table,
    streams_table,
    workers_table,
)

_BULLET = "- "
_FEWEST_STAGES = 3


def render(view: PipelineView) -> RenderableType:
    """The whole display: streams, latencies by stage, workers, events.

    It adapts to the console: 80x24 is enough for eight streams. If space is short, older events, stages and
    individual reasons are omitted; never a stream, a worker or part of the newest event.
    """
    return _Dashboard(view)


class _Dashboard:
    def __init__(self, view: PipelineView) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view, streams = self._view, self._view.streams
        width = options.max_width - 4
        # One line less than the screen, because the terminal scrolls if the cursor moves below the last line.
        room = (options.height or console.height) - 3 - 1 - max(1, len(streams))
        moving = moving_lines(streams, room - self._wanted_rows())
        losses = loss_lines(streams, room - len(moving) - self._wanted_rows())
        bottom = self._bottom(console, width, room - len(moving) - len(losses))
        ready = sum(view.state(stats) == "ready" for stats in view.workers)
        title = Text.assemble(
            (" KVQ Stream ", "bold default"),
            (f" {printable(view.title)} ", "default"),
            (f" {duration(view.run_s)} ", "bold cyan"),
        )
        panel = Panel(
            Group(streams_table(streams, width), *moving, *losses, Text(), *bottom),
            title=title,
            title_align="left",
            subtitle=Text(f" {ready} of {len(view.workers)} workers ready ", "default"),
            subtitle_align="right",
            border_style="bright_black",
            box=box.ROUNDED,
            width=options.max_width,
        )
        for segment in console.render(panel, options):
            # In ASCII mode rich draws boxes in ASCII, but still truncates with a non-ASCII ellipsis.
            yield Segment(segment.text.replace("…", "~"), *segment[1:]) if options.ascii_only else segment

    def _wanted_rows(self) -> int:
        """Rows the lower half needs: all stages, or all workers and three events."""
        view = self._view
        return 2 + max(len(stages(view.streams)), len(view.workers) + 2 + min(3, len(view.events)))

    def _bottom(self, console: Console, width: int, room: int) -> list[RenderableType]:
        """Stages on the left, workers and events on the right; no stages if the newest event needs space."""
        view, gap = self._view, 2 if width >= WIDE else 1
        all_stages = stages(view.streams)
        names = all_stages[: max(0, room - 2)]
        events_room = room - len(view.workers) - 4  # without empty rows and headings
        if names and len(names) >= min(len(all_stages), _FEWEST_STAGES):
            left = stages_table(view.streams, names, width, gap)
            lines = _event_lines(console, view.events, width - console.measure(left).maximum - gap - 1)
            if not lines or len(lines[-1]) <= events_room:
                grid = Table.grid(padding=(0, gap + 1, 0, 0), expand=True)
                grid.add_column(no_wrap=True)
                grid.add_column(ratio=1)
                grid.add_row(left, Group(workers_table(view, gap), *_newest(lines, events_room)))
                return [grid]
        return [workers_table(view, gap), *_newest(_event_lines(console, view.events, width), events_room)]


def _event_lines(console: Console, events: list[str], width: int) -> list[list[Text]]:
    """Each event as lines of at most ``width`` columns."""
    indent = " " * len(_BULLET)
    wrapped = (Text(printable(event)).wrap(console, width - len(indent), overflow="fold") for event in events)
    return [
        [Text(indent if number else _BULLET) + line for number, line in enumerate(lines)] for lines in wrapped
    ]


def _newest(events: list[list[Text]], room: int) -> list[RenderableType]:
    """The newest events that fit completely, under their heading; only the very newest may be truncated."""
    if not events or room < 1:
        return []
    newest = events[-1][:room]
    if len(newest) < len(events[-1]):
        newest[-1] = Text.assemble(newest[-1].plain[:-1], "…")
    shown = list(newest)
    for event in reversed(events[:-1]):
        if len(event) + len(shown) > room:
            break
        for line in event:
            line.style = "dim"
        shown = event + shown
    return [Text(), Text("events", HEADING), *shown]
