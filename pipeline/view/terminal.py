"""The live terminal: figures in, rich renderable out. It fills whatever room the console has."""

from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pipeline.account.stats import Histogram
from pipeline.base.text import printable
from pipeline.view.stats_text import (
    PipelineView,
    StreamFigures,
    duration,
    merge_losses,
    p50_p95_p99,
    percent,
    short,
    stages,
)

__all__ = ["PipelineView", "plain_line", "render"]

_HEAD = "bold cyan"
_STATE_STYLES = {
    "up": "green",
    "ready": "green",
    "waiting": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
    "down": "bold red",
    "failed": "bold red",
    "silent": "bold red",
}
_WIDE = 116
# Columns as wide as what they will hold: a worker that stops must not move the others.
_STATE_WIDTH, _LATENCY_WIDTH, _PID_WIDTH = len("silent 99s"), len("0.99/0.99/0.99"), len("4194304")


def render(view: PipelineView) -> RenderableType:
    """The whole picture: streams, latencies by stage, workers, events.

    It adapts to the console: 80x24 is enough for eight streams. What has no room is left out from
    the bottom up: events, stages, single reasons; never a stream and never a worker.
    """
    return _Dashboard(view)


def plain_line(view: PipelineView) -> str:
    """One line for logs: rates, latency, losses and accuracy of each stream, and the workers' state."""
    parts = [f"{duration(view.run_s)}"]
    for stream_id, stream in view.streams.items():
        captured, predicted, rendered = (short(rate) for rate in stream.fps)
        latency = p50_p95_p99(stream.total.latency.get("capture_to_render"))
        words = [
            f"{stream_id} {stream.state}",
            f"fps {captured} in {predicted} predicted {rendered} shown",
            f"latency {latency} ms",
            f"shown {stream.total.rendered}",
            *(stream.losses or ["dropped 0"]),
        ]
        if stream.freshness:
            words.append(stream.freshness)
        if stream.accuracy is not None:
            words.append(f"accuracy {percent(stream.accuracy)}")
        parts.append(", ".join(words))
    parts.append("workers " + (" ".join(_worker_words(view)) or "none yet"))
    return printable(" | ".join(parts))


def _worker_words(view: PipelineView) -> Iterator[str]:
    for figures in view.workers:
        restarts = view.restarts.get(figures.worker, 0)
        yield f"{figures.worker}={view.state(figures)}" + (f"(restarts {restarts})" if restarts else "")


class _Dashboard:
    def __init__(self, view: PipelineView) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view, streams = self._view, self._view.streams
        width = options.max_width - 4
        # A line less than the screen, or the terminal scrolls when the cursor goes below the last one.
        room = (options.height or console.height) - 3
        heading: list[RenderableType] = [_streams_table(streams, width)]
        losses = _losses(streams, room - 1 - max(1, len(streams)) - _bottom_rows(view, streams))
        bottom = _bottom(view, streams, width, room - 1 - max(1, len(streams)) - len(losses))
        ready = sum(view.state(figures) == "ready" for figures in view.workers)
        title = Text.assemble(
            (" KVQ Stream ", "bold default"),
            (f" {printable(view.title)} ", "default"),
            (f" {duration(view.run_s)} ", "bold cyan"),
        )
        workers = Text(f" {ready} of {len(view.workers)} workers ready ", "default")
        panel = Panel(
            Group(*heading, *losses, *bottom),
            title=title,
            title_align="left",
            subtitle=workers,
            subtitle_align="right",
            border_style="bright_black",
            box=box.ROUNDED,
            width=options.max_width,
        )
        for segment in console.render(panel, options):
            # rich knows how to draw boxes in ASCII, but shortens words with a letter that is not.
            yield Segment(segment.text.replace("…", "~"), *segment[1:]) if options.ascii_only else segment


def _streams_table(streams: dict[str, StreamFigures], width: int) -> RenderableType:
    if not streams:
        return Text("no stream yet: waiting for the first frame", "yellow")
    wide = width >= _WIDE
    table = Table(box=None, padding=(0, 2 if wide else 1, 0, 0), pad_edge=False, header_style=_HEAD)
    table.add_column("stream", max_width=24 if wide else 11, no_wrap=True)
    table.add_column("state", max_width=8, no_wrap=True)
    table.add_column("epoch" if wide else "ep", justify="right")
    for heading in ("fps in/pred/out", "predicted ms" if wide else "predict ms", "shown ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("past", "passes" if wide else "pass", "accuracy" if wide else "acc"):
        table.add_column(heading, justify="right", no_wrap=True)
    if wide:
        table.add_column("shown", justify="right")
        table.add_column("dropped", justify="right")
    for stream_id, stream in streams.items():
        total, dropped = stream.total, sum(stream.total.dropped.values())
        cells = [
            Text(printable(stream_id), "bold"),
            Text(stream.state, _STATE_STYLES.get(stream.state, "dim")),
            Text(str(total.epoch)),
            Text("/".join(short(rate) for rate in stream.fps)),
            Text(p50_p95_p99(total.latency.get("capture_to_prediction"))),
            Text(p50_p95_p99(total.latency.get("capture_to_render"))),
            Text("-" if stream.cache_depth is None else str(stream.cache_depth)),
            Text("-" if stream.passes_per_frame is None else f"{stream.passes_per_frame:.2f}"),
            Text(percent(stream.accuracy), "bold green" if stream.accuracy is not None else ""),
        ]
        if wide:
            cells += [Text(str(total.rendered)), Text(str(dropped), "yellow" if dropped else "")]
        table.add_row(*cells)
    return table


def _losses(streams: dict[str, StreamFigures], room: int) -> list[RenderableType]:
    """What each stream lost: a line for each kind if they fit, else one a stream, else one for all."""
    by_kind = [(name, loss) for name, stream in streams.items() for loss in _given_up(stream)]
    by_stream = [
        (name, "; ".join(_given_up(stream))) for name, stream in streams.items() if _given_up(stream)
    ]
    together = [("all", "; ".join(merge_losses(streams.values())))] if by_stream else []
    lines = next((lines for lines in (by_kind, by_stream) if len(lines) <= room), together)
    return [
        Text.assemble(
            (f"{printable(name)}  ", "dim bold"), (loss, "yellow"), no_wrap=True, overflow="ellipsis"
        )
        for name, loss in lines
    ]


def _given_up(stream: StreamFigures) -> list[str]:
    return [*([stream.freshness] if stream.freshness else []), *stream.losses]


def _bottom_rows(view: PipelineView, streams: dict[str, StreamFigures]) -> int:
    """Lines that the lower half would like: all stages, or all workers and three events."""
    return 2 + max(len(stages(streams)), len(view.workers) + 2 + min(3, len(view.events)))


def _bottom(
    view: PipelineView, streams: dict[str, StreamFigures], width: int, room: int
) -> list[RenderableType]:
    """Stages on the left, workers and events on the right."""
    names = stages(streams)
    shown_stages = names[: max(0, room - 2)] if room - 2 >= min(len(names), 3) else []
    events = view.events[-max(0, room - 4 - len(view.workers)) :] if room > 4 + len(view.workers) else []
    gap = 2 if width >= _WIDE else 1
    right = Group(_workers_table(view, gap), *_events(events))
    if not shown_stages:
        return [Text(), right]
    grid = Table.grid(padding=(0, gap + 1, 0, 0), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_row(_stages_table(streams, shown_stages, width, gap), right)
    return [Text(), grid]


def _stages_table(streams: dict[str, StreamFigures], names: list[str], width: int, gap: int) -> Table:
    """Latency by stage; a column for each stream where they fit, otherwise all streams together."""
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style=_HEAD)
    table.add_column("latency p50/95/99", no_wrap=True)
    apart = len(streams) > 1 and 24 + 17 * len(streams) + 46 <= width
    columns = {stream_id: [stream] for stream_id, stream in streams.items()}
    if not apart:
        columns = {"all, ms" if len(streams) > 1 else "ms": list(streams.values())}
    for heading in columns:
        table.add_column(
            Text(printable(heading)), justify="right", no_wrap=True, min_width=_LATENCY_WIDTH, max_width=16
        )
    for name in names:
        together = []
        for group in columns.values():
            total = Histogram()
            for stream in group:
                total.merge(stream.total.latency.get(name, Histogram()))
            together.append(p50_p95_p99(total if total.total else None))
        table.add_row(Text(printable(name.replace("_", " "))), *together)
    return table


def _workers_table(view: PipelineView, gap: int) -> RenderableType:
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style=_HEAD)
    table.add_column("worker")  # the one that gives way where there is too little room
    table.add_column("state", no_wrap=True, min_width=_STATE_WIDTH)
    for heading, least in (("restarts" if gap > 1 else "restart", 7), ("CPU", 4), ("MB", 4)):
        table.add_column(heading, justify="right", no_wrap=True, min_width=least)
    if gap > 1:
        table.add_column("pid", justify="right", no_wrap=True, min_width=_PID_WIDTH)
    for figures in view.workers:
        state = view.state(figures)
        restarts = view.restarts.get(figures.worker, 0)
        measured = figures.worker not in view.states
        cells: list[Text | str] = [
            Text(printable(figures.worker), "bold", no_wrap=True, overflow="ellipsis"),
            Text(state, _STATE_STYLES.get(state.split()[0], "dim")),
            Text(str(restarts), "yellow" if restarts else ""),
            f"{figures.cpu_percent:.0f}%" if measured else "-",
            f"{figures.rss_mb:.0f}" if measured else "-",
            *([str(figures.pid) if measured and figures.pid else "-"] if gap > 1 else []),
        ]
        table.add_row(*cells)
    return table if view.workers else Text("no worker has spoken yet", "yellow")


def _events(events: list[str]) -> Iterator[RenderableType]:
    if events:
        yield Text()
        yield Text("events", _HEAD)
    for number, event in enumerate(events, start=1):
        style = "" if number == len(events) else "dim"
        yield Text(printable(event), style, no_wrap=True, overflow="ellipsis")
