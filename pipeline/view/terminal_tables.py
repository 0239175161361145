"""Tables of the live terminal: streams, losses, latencies by stage, workers."""

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.account.stats import Histogram
from pipeline.base.text import printable
from pipeline.scene.sentence import NOTHING_MOVES
from pipeline.view.number_text import p50_p95_p99, percent, short, stage_name
from pipeline.view.pipeline_view import PipelineView, StreamView, merge_losses

HEADING = "bold cyan"
WIDE = 116
"""Width in columns from which full words are used."""
_ROOMY = 132
"""Width in columns from which no heading is shortened."""

_STATE_STYLES = {
    "up": "green",
    "ready": "green",
    "waiting": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
    "down": "bold red",
    "failed": "bold red",
    "absent": "bold red",
    "silent": "bold red",
    "link": "bold red",
}
# Fixed minimum widths, so that a worker that stops does not shift the columns.
_STATE_WIDTH, _LATENCY_WIDTH, _PID_WIDTH = len("silent 99s"), len("0.99/0.99/0.99"), len("4194304")


def streams_table(streams: dict[str, StreamView], width: int) -> RenderableType:
    """One row per stream; abbreviated below ``WIDE`` columns."""
    if not streams:
        return Text("no stream yet: waiting for the first frame", "yellow")
    wide = width >= WIDE
    table = Table(box=None, padding=(0, 2 if wide else 1, 0, 0), pad_edge=False, header_style=HEADING)
    table.add_column("stream", max_width=24 if wide else 11, no_wrap=True)
    table.add_column("state", max_width=15 if wide else 8, no_wrap=True)
    table.add_column("reopened" if wide else "ep", justify="right")
    for heading in ("fps in/pred/out", "predicted ms" if wide else "predict ms", "shown ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    history = ("past frames", "passes/frame") if width >= _ROOMY else ("past", "passes" if wide else "pass")
    for heading in (*history, "accuracy" if wide else "acc"):
        table.add_column(heading, justify="right", no_wrap=True)
    if wide:
        table.add_column("shown", justify="right")
        table.add_column("dropped", justify="right")
    for stream_id, stream in streams.items():
        total, dropped = stream.total, sum(stream.total.dropped.values())
        word = stream.state.split()[0]
        cells = [
            Text(printable(stream_id), "bold"),
            Text(stream.state if wide else word, _STATE_STYLES.get(word, "dim")),
            Text(str(total.epoch)),
            Text("/".join(short(rate) for rate in stream.fps)),
            *(
                Text("-" if stream.is_still else p50_p95_p99(total.latency.get(name)))
                for name in ("capture_to_prediction", "capture_to_render")
            ),
            Text("-" if stream.cache_depth is None else str(stream.cache_depth)),
            Text("-" if stream.passes_per_frame is None else f"{stream.passes_per_frame:.2f}"),
            Text(percent(stream.accuracy), "bold green" if stream.accuracy is not None else ""),
        ]
        if wide:
            cells += [Text(str(total.rendered)), Text(str(dropped), "yellow" if dropped else "")]
        table.add_row(*cells)
    return table


def moving_lines(streams: dict[str, StreamView], room: int) -> list[RenderableType]:
    """What moves in each stream: one line each if they fit, otherwise one for the streams with motion."""
    known = [(name, stream.moving) for name, stream in streams.items() if stream.moving]
    bad = {name for name, stream in streams.items() if stream.is_bad}
    if len(known) > room:
        moved = [(name, words) for name, words in known if not words.startswith(NOTHING_MOVES)]
        brief = [f"{name} {words.split(':')[0]}" for name, words in moved]
        known = [("all", "; ".join(brief) or NOTHING_MOVES)] if room > 0 else []
    return [
        Text.assemble(
            (f"{printable(name)}  ", "dim bold"),
            (words, "bold red" if name in bad else "dim" if words == NOTHING_MOVES else ""),
            no_wrap=True,
            overflow="ellipsis",
        )
        for name, words in known
    ]


def loss_lines(streams: dict[str, StreamView], room: int) -> list[RenderableType]:
    """Losses: one line per stream and kind if they fit, otherwise one per stream, otherwise one for all."""
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


def _given_up(stream: StreamView) -> list[str]:
    return [*(line for line in (stream.advice, stream.freshness) if line), *stream.losses]


def stages_table(streams: dict[str, StreamView], names: list[str], width: int, gap: int) -> Table:
    """Latency by stage; one column per stream if they fit, otherwise all streams together."""
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style=HEADING)
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
        table.add_row(Text(printable(stage_name(name))), *together)
    return table


def workers_table(view: PipelineView, gap: int) -> RenderableType:
    """One row per worker; columns are ``gap`` apart, and process ids are included if ``gap`` exceeds 1."""
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style=HEADING)
    table.add_column("worker")  # the one that shrinks if space is short
    table.add_column("state", no_wrap=True, min_width=_STATE_WIDTH)
    for heading, least in (("restarts" if gap > 1 else "restart", 7), ("CPU", 4), ("MB", 4)):
        table.add_column(heading, justify="right", no_wrap=True, min_width=least)
    if gap > 1:
        table.add_column("pid", justify="right", no_wrap=True, min_width=_PID_WIDTH)
    for stats in view.workers:
        state = view.state(stats)
        restarts = view.restarts.get(stats.worker, 0)
        usage = view.usage(stats)
        cells: list[Text | str] = [
            Text(printable(stats.worker), "bold", no_wrap=True, overflow="ellipsis"),
            Text(state, _STATE_STYLES.get(state.split()[0], "dim")),
            Text(str(restarts), "yellow" if restarts else ""),
            f"{usage.cpu_percent:.0f}%" if usage else "-",
            f"{usage.rss_mb:.0f}" if usage else "-",
            *([str(usage.pid) if usage else "-"] if gap > 1 else []),
        ]
        table.add_row(*cells)
    return table if view.workers else Text("no worker answers yet: start the workers", "yellow")
