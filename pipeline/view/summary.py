"""The summary at the end of a run, with the numbers of the report."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.account.ledger import is_outpaced, is_sink_outpaced
from pipeline.base.line_file import STDOUT
from pipeline.base.text import printable
from pipeline.scene.sentence import counts_by_kind, run_in_words
from pipeline.view.number_text import percent, short, stage_name, with_reasons
from pipeline.view.pipeline_view import OUTPACED, SINK_OUTPACED

_MOST_FILES = 20
_FEW_STREAMS = 4
"""With up to this many streams, motion is listed at the end; with more, in the block of each stream."""
_QUEUEING = "for files played without --pace, this is mostly time in queues"
_REASONS = ("dropped", "not_predicted")
_NAMELESS = {"backend", "device", "precision", "why"}


def render_summary(report: Mapping[str, Any], extras: Mapping[str, str] | None = None) -> RenderableType:
    """Shows the fate of every frame by stage and reason, then speed and accuracy, and the files.

    Args:
        report: Result of ``pipeline.account.ledger.build_report``.
        extras: Further lines by name, for example the path of the report.
    """
    streams: Mapping[str, Any] = report.get("streams", {})
    few = len(streams) <= _FEW_STREAMS
    blocks: list[RenderableType] = []
    for stream_id, stream in streams.items():
        blocks += [_stream_table(stream_id, stream, [] if few else _seen(stream)), Text()]
    blocks += [_run_table(report), Text()]
    # The main results come last: a terminal still shows the end of a long summary.
    blocks.append(_result_table(streams) if streams else Text("no frames arrived", "yellow"))
    if streams and not any(stream["rendered"] for stream in streams.values()):
        blocks += [Text(), Text(_none_shown(report), "yellow")]
    things = [(name, line) for name, stream in streams.items() for line in _seen(stream)]
    if few and things:
        blocks += [Text(), *(Text.assemble((printable(name), "bold"), "  ", line) for name, line in things)]
    for name, stream in streams.items():
        slow = is_outpaced(stream["received"], stream["not_predicted"])
        slow_sink = is_sink_outpaced(stream["captured"], stream["dropped"])
        for hint in [OUTPACED] * slow + [SINK_OUTPACED] * slow_sink:
            blocks += [Text(), Text.assemble((printable(name), "bold"), "  ", (hint, "yellow"))]
    files = _files(report, extras or {})
    if any(count for stream in streams.values() for name in _REASONS for count in stream[name].values()):
        files.append(("reasons", "explained in docs/reference/report.md"))
    if files:
        blocks += [Text(), _file_table(files)]
    note, style = _balance(streams.values())
    return Panel(
        Group(*blocks),
        title=Text(" Summary ", "bold default"),
        title_align="left",
        subtitle=Text(f" {note} ", style),
        subtitle_align="right",
        border_style="bright_black",
        box=box.ROUNDED,
        padding=(1, 2, 0, 2),
    )


def _none_shown(report: Mapping[str, Any]) -> str:
    """States that a run showed no frame, and why if that is known."""
    if not report.get("runtime"):
        return "no frame was shown: the run ended before inference was ready"
    return "no frame was shown"


def _balance(streams: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """Whether frames were dropped or are missing, and the style of that line."""
    captured = dropped = missing = shown = 0
    for stream in streams:
        captured += stream["captured"]
        dropped += sum(stream["dropped"].values())
        missing += abs(stream["unaccounted"])
        shown += stream["rendered"]
    if missing:
        return f"{missing} FRAMES UNACCOUNTED FOR", "bold red"
    if not shown:
        return "no frame was shown", "yellow"
    if dropped:
        return f"{dropped} of {captured} frames dropped, each for a known reason", "yellow"
    return "no frame dropped", "green"


def _stream_table(stream_id: str, stream: Mapping[str, Any], things: Iterable[str]) -> Table:
    table = _rows()
    table.add_row(Text(printable(stream_id), "bold cyan"), "")
    if stream["accuracy"] is not None:
        others = stream["predicted"] - stream["labelled"]
        labelled = (
            f" of {stream['labelled']} scored frames; {others} not scored (motion changes, or too few past "
            "frames)"
        )
        table.add_row("accuracy", Text.assemble((percent(stream["accuracy"]), "bold green"), labelled))
    for line in things:
        table.add_row("things", line)
    dropped = printable(with_reasons(stream["dropped"]))
    without = sum(stream.get("rendered_without_prediction", {}).values())
    shown = f"{stream['rendered']} shown" + (f" ({without} without a prediction)" if without else "")
    frames = Text(f"{stream['captured']} captured = {shown} + dropped {dropped}")
    if stream["unaccounted"]:
        frames.append(f"; {stream['unaccounted']} unaccounted for", "bold red")
    table.add_row("frames", frames)
    predicted = f"{stream['predicted']} frames with {stream['backbone_passes']} backbone passes"
    if stream.get("reused"):
        predicted += f", {stream['reused']} reused"
    if any(stream.get("not_predicted", {}).values()):
        predicted += f"; not predicted {with_reasons(stream['not_predicted'])}"
    table.add_row("predictions", Text(printable(predicted)))
    cache = stream["cache"]
    deepest_first = sorted(cache["depth"].items(), reverse=True)
    depths = [f"{count} used {'none' if depth == '0' else depth}" for depth, count in deepest_first if count]
    used = f"predictions: {', '.join(depths)}" if depths else "none used"
    resets = f"; cache reset {with_reasons(cache['resets'])}" if any(cache["resets"].values()) else ""
    table.add_row("past frames", Text(printable(used + resets)))
    capture, prediction, render = (short(stream["fps"][key]) for key in ("capture", "prediction", "render"))
    table.add_row("fps", f"{capture} captured, {prediction} predicted, {render} shown")
    if (freshness := stream.get("freshness")) and freshness["turns"]:
        turns = with_reasons(freshness["turns"])
        table.add_row(
            "freshness", Text(printable(f"target {freshness['max_age_ms']:g} ms; adjustments {turns}"))
        )
    table.add_row("latency", _latency_table(stream["latency_ms"]["stages"]))
    return table


def _seen(stream: Mapping[str, Any]) -> list[str]:
    """Motion seen, its accuracy if the source has ground truth, and events; one line each."""
    things = stream["things"]
    moved = run_in_words(things["seen"], things["moved_s"], things["longest_s"], things["fastest"])
    right = [
        f"{name} {percent(things[name])}" for name in ("precision", "recall") if things[name] is not None
    ]
    if things["direction_error_deg"] is not None:
        degrees = f"{things['direction_error_deg']:.0f}"
        right.append(f"median direction error {degrees} {'degree' if degrees == '1' else 'degrees'}")
    bad = {state: seconds for state, seconds in stream["health"].items() if state != "ok" and seconds}
    picture = ", ".join(f"{state.replace('_', '')} {seconds:g} s" for state, seconds in bad.items())
    return [
        *([f"image: {printable(picture)} (no predictions)"] if bad else []),
        *([printable(moved)] if things["seen"] else []),
        *([f"ground truth: {', '.join(right)}"] if right else []),
        *([f"events: {counts_by_kind(stream['events'])}"] if any(stream["events"].values()) else []),
    ]


def _latency_table(stages: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("ms", no_wrap=True)
    for heading in ("p50", "p95", "p99"):
        table.add_column(heading, justify="right")
    for name, stats in stages.items():
        cells = [short(stats[key]) for key in ("p50", "p95", "p99")]
        table.add_row(Text(printable(stage_name(name))), *cells)
    return table


def _result_table(streams: Mapping[str, Any]) -> Table:
    """One line per stream, narrow enough for 80 columns."""
    scored = any(stream["accuracy"] is not None for stream in streams.values())
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold cyan")
    table.add_column("stream", max_width=24)
    for heading in (
        *(["accuracy"] if scored else []),
        *("frames", "dropped", "predicted/s", "predicted ms", "shown ms"),
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for stream_id, stream in streams.items():
        dropped, latency = sum(stream["dropped"].values()), stream["latency_ms"]
        cells = [
            Text(str(stream["captured"])),
            Text(str(dropped), "yellow" if dropped else ""),
            Text(short(stream["fps"]["prediction"]), "bold"),
            *(Text(_percentiles(latency[name])) for name in ("capture_to_prediction", "capture_to_render")),
        ]
        accuracy = [Text(percent(stream["accuracy"]), "bold green")] if scored else []
        table.add_row(Text(printable(stream_id), "bold"), *accuracy, *cells)
    table.caption = "ms since capture: p50/p95/p99"
    if any((stream.get("source") or {}).get("unpaced") for stream in streams.values()):
        table.caption += f"\n{_QUEUEING}"
    table.caption_justify = "left"
    return table


def _percentiles(stats: Mapping[str, float | None]) -> str:
    return "/".join(short(stats[key]) for key in ("p50", "p95", "p99"))


def _files(report: Mapping[str, Any], extras: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names and paths of the files written by the run."""
    files = []
    folders: dict[str, list[str]] = {}
    for paths in report.get("videos", {}).values():
        for path in paths:
            folder, _, name = str(path).rpartition("/")
            folders.setdefault(folder, []).append(name)
    for folder, names in folders.items():
        more = f" and {len(names) - _MOST_FILES} more" if len(names) > _MOST_FILES else ""
        where = f"{folder}/" if folder else ""
        listed = names[0] if len(names) == 1 else f" {', '.join(names[:_MOST_FILES])}{more}"
        files.append(("video" if len(names) == 1 else "videos", where + listed))
    if written := report.get("predictions"):
        made = written.get("made_folder")
        path = "standard output" if written["path"] == STDOUT else written["path"]
        files.append(("predictions", path_text(path, made)))
    if maps := report.get("motion_maps"):
        files.append(("motion maps", f"{maps['path']}/"))
    if store := report.get("store"):
        files.append(("events", str(store["path"])))
    return [*files, *extras.items()]


def path_text(path: object, made_folder: object = None) -> str:
    """Path of a file, and the folder created for it."""
    return f"{path} (folder {made_folder} was created)" if made_folder else str(path)


def _file_table(files: Iterable[tuple[str, str]]) -> Table:
    table = _rows()
    for name, value in files:
        table.add_row(Text(name), Text(printable(value)))
    return table


def _run_table(report: Mapping[str, Any]) -> Table:
    table = _rows()
    workers: Mapping[str, Any] = report.get("workers", {})
    used = [
        Text.assemble(
            f"{name} {stats['rss_mb']:.0f} MB",
            (f", restarted {stats['restarts']}x" if stats["restarts"] else "", "yellow"),
        )
        for name, stats in workers.items()
    ]
    table.add_row("workers", Text("; ").join(used))
    if report.get("outlets"):
        table.add_row("outlets", Text(printable(_outlets(report["outlets"]))))
    if missing := _missing_evidence(report.get("evidence", {})):
        table.add_row("evidence", Text(missing, "yellow"))
    if report.get("runtime"):
        table.add_row("runtime", Text(printable(_runtime(report["runtime"]))))
    return table


def _missing_evidence(counts: Mapping[str, Any]) -> str:
    """What is missing, such as ``2 events without a clip``; empty if nothing is."""
    words = {
        "lost": "lost",
        "without_any": "events without evidence",
        "without_clip": "events without a clip",
        "missed_pictures": "frames left out",
    }
    return ", ".join(f"{counts[name]} {what}" for name, what in words.items() if counts.get(name))


def _outlets(counts: Mapping[str, int]) -> str:
    """What each outlet delivered, such as ``phone 3 delivered, 1 waiting; server 4 delivered``."""
    words: dict[str, list[str]] = {}
    for key, count in counts.items():
        name, _, what = key.rpartition(".")
        words.setdefault(name, [])
        if what == "down":
            words[name] += ["down"] if count else []
        elif count or what == "delivered":
            words[name].append(f"{count} {what}")
    return "; ".join(f"{name} {', '.join(parts)}" for name, parts in words.items())


def _rows() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=11, style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _runtime(about: Mapping[str, Any]) -> str:
    """The runtime, such as ``openvino on cpu, fp32, threads 2 (why it was chosen)``."""
    words = [f"{about.get('backend', '?')} on {about.get('device', '?')}", str(about.get("precision", "?"))]
    words += [f"{key} {value}" for key, value in about.items() if key not in _NAMELESS]
    return ", ".join(words) + (f" ({about['why']})" if about.get("why") else "")
