"""The commands of ``events``: list, show and export stored events, and replay rules on the motion log."""

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.commands.shared_options import OUTPUT, ConfigFile, Overrides, example

if TYPE_CHECKING:
    from pipeline.base.event import Event
    from pipeline.events.archive import Archive, Wanted

app = typer.Typer(invoke_without_command=True)
FILTERS = "Filters"
"""Title of a group of options in the help."""

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Only events since this time: 90s, 30m, 24h or 7d ago, or 2026-11-29T12:00.",
        rich_help_panel=FILTERS,
    ),
]
Stream = Annotated[
    str | None,
    typer.Option(
        "--stream", metavar="STREAM_ID", help="Only events of this stream.", rich_help_panel=FILTERS
    ),
]
Kind = Annotated[
    str | None,
    typer.Option(
        "--kind", metavar="KIND", help="Only events of this kind, such as entered.", rich_help_panel=FILTERS
    ),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--zone", metavar="NAME", help="Only events in this zone or on this line.", rich_help_panel=FILTERS
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object per line, as --events does.", rich_help_panel=OUTPUT),
]


@app.callback(epilog=example("events --rules zones.toml --since 24h"))
def rules(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(
            "--rules",
            metavar="FILE",
            help="TOML file with zones, lines and rules, as for watch.file.",
            rich_help_panel="Replay",
        ),
    ] = None,
    since: Since = None,
    stream: Stream = None,
    as_json: Json = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """List, show and export events of earlier runs, or replay other rules (--rules).

    --rules runs the rules of a file over the stored motion log and prints the events that they would have
    reported.
    """
    if context.invoked_subcommand is not None:
        return
    if file is None:
        print(context.get_help())
        return
    from pipeline.base.config import load_config, load_watch
    from pipeline.base.event import unix_ns
    from pipeline.events.archive import Wanted
    from pipeline.events.replay import Replay

    wanted = Wanted(since_ns=_since_ns(since), stream_id=stream)
    views = load_config(config, overrides or ()).views
    replay = Replay(load_watch(file, views))
    with _open(config, overrides, wanted) as archive:
        told = replay.events(archive.chunks(wanted))
        lately = (event for event in told if unix_ns(event.time) >= (wanted.since_ns or 0))
        found = sorted(lately, key=lambda event: event.time)
    _print_lines(found, as_json)
    for chunk, reason in replay.damaged:
        print(f"{chunk.stream_id}: part of the motion log was skipped: {reason}", file=sys.stderr)
    if not found:
        print(f"no events: the rules were run over {replay.looks} predictions", file=sys.stderr)


@app.command("list", epilog=example("events list --since 24h --kind entered"))
def list_events(
    since: Since = None,
    stream: Stream = None,
    kind: Kind = None,
    zone: Zone = None,
    as_json: Json = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """List stored events, oldest first; works while a pipeline runs."""
    wanted = _wanted(since, stream, kind, zone)
    with _open(config, overrides, wanted) as archive:
        found = archive.events(wanted)
    _print_lines(found, as_json)
    if not found:
        print("no events", file=sys.stderr)


@app.command("show", epilog=example("events show 5f3a9c0d1e2b4a67"))
def show(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="An id from events list.")],
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Show all details of an event and where its evidence is."""
    import msgspec

    from pipeline.base.errors import UserError
    from pipeline.base.text import printable
    from pipeline.events.archive import Wanted

    with _open(config, overrides, Wanted()) as archive:
        found = archive.event(event_id)
    if not found:
        raise UserError(f"{event_id}: no such event; `events list` shows all ids")
    for event in found:
        print(msgspec.json.format(msgspec.json.encode(event), indent=2).decode())
    for folder in dict.fromkeys(event.evidence for event in found if event.evidence):
        print(f"evidence: {printable(_evidence_in(Path(folder)))}", file=sys.stderr)


@app.command("export", epilog=example("events export events.csv --since 7d"))
def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="FILE.csv, FILE.json, or FILE.coco.json for COCO boxes.")
    ],
    since: Since = None,
    stream: Stream = None,
    kind: Kind = None,
    zone: Zone = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="WIDTHxHEIGHT",
            help="Frame size in pixels, for COCO boxes.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Export stored events to a CSV, JSON or COCO file."""
    from pipeline.base.errors import as_user_error
    from pipeline.base.files import write_whole
    from pipeline.events.exporting import as_text, format_of

    kind_of_file, pixels = format_of(file, size)
    wanted = _wanted(since, stream, kind, zone)
    with _open(config, overrides, wanted) as archive, as_user_error():
        found = archive.events(wanted)
        write_whole(file, as_text(kind_of_file, found, archive, pixels))
    print(f"{file}: {len(found)} events")


def _evidence_in(folder: Path) -> str:
    """The evidence folder and its files, as text."""
    from pipeline.base.evidence import FILES

    there = [name for name in FILES if (folder / name).is_file()]
    return f"{folder}: {', '.join(there)}" if there else f"{folder} does not exist; it may have been deleted"


def _wanted(since: str | None, stream: str | None, kind: str | None, zone: str | None) -> "Wanted":
    from typing import get_args

    from pipeline.base.errors import UserError
    from pipeline.base.event import EventKind
    from pipeline.events.archive import Wanted

    if kind is not None and kind not in get_args(EventKind):
        raise UserError(f"--kind {kind}: unknown kind; expected one of: {', '.join(get_args(EventKind))}")
    return Wanted(since_ns=_since_ns(since), stream_id=stream, kind=kind, place=zone)


def _since_ns(text: str | None) -> int | None:
    """Parses ``--since`` into Unix time in ns."""
    from pipeline.base.errors import UserError
    from pipeline.base.since import since_ns

    if text is None:
        return None
    try:
        return since_ns(text)
    except UserError as error:
        raise UserError(f"--since {error}") from None


def _open(config: Path | None, overrides: list[str] | None, wanted: "Wanted") -> "Archive":
    """Opens the configured store; refuses a stream that it does not contain."""
    from pipeline.base.config import load_config
    from pipeline.base.errors import UserError
    from pipeline.events.archive import Archive

    path = load_config(config, overrides or ()).store_file()
    if path is None:
        raise UserError("no events are stored: store.file is empty")
    archive = Archive(path)
    if wanted.stream_id is not None and wanted.stream_id not in (known := archive.stream_ids()):
        archive.close()
        names = ", ".join(known) or "none"
        raise UserError(f"--stream {wanted.stream_id}: unknown stream; available: {names}")
    return archive


def _print_lines(events: Iterable["Event"], as_json: bool) -> None:
    from workers.output import print_line

    for line in _lines(events, as_json):
        if not print_line(line):
            return


def _lines(events: Iterable["Event"], as_json: bool) -> Iterator[str]:
    import msgspec

    from pipeline.base.text import printable
    from pipeline.scene.sentence import event_in_words

    for event in events:
        if as_json:
            yield msgspec.json.encode(event).decode()
        else:
            local = datetime.fromisoformat(event.time).astimezone()
            time = local.isoformat(" ", "milliseconds")[:-6]
            yield printable(f"{time}  {event.id}  {event.stream_id}: {event_in_words(event)}")
