"""Commands that run the pipeline, its workers and the monitor; options fill the configuration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.shared_options import (
    ConfigFile,
    Events,
    Frames,
    Headless,
    Insecure,
    Line,
    MaxAge,
    NoWeb,
    NoWindow,
    Overrides,
    Pace,
    PlainLines,
    Predictions,
    ReportFile,
    Seconds,
    Sources,
    Window,
    Zone,
)

if TYPE_CHECKING:
    from pipeline.base.config import Config
    from pipeline.base.role_names import Role


def _print_version(wanted: bool) -> None:
    if wanted:
        from pipeline import __version__

        print(f"kvq-stream {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
]


def run(
    context: typer.Context,
    source: Sources = None,
    frames: Frames = None,
    seconds: Seconds = None,
    pace: Pace = False,
    max_age: MaxAge = None,
    zone: Zone = None,
    line: Line = None,
    predictions: Predictions = None,
    events: Events = None,
    report: ReportFile = None,
    window: Window = False,
    no_web: NoWeb = False,
    headless: Headless = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    insecure: Insecure = False,
    version: Version = False,
) -> None:
    """KVQ Stream: a real-time camera pipeline that understands motion.

    Without a command, runs the whole pipeline on this machine. Without a source, plays the built-in
    demo, which ends with a summary.
    """
    if context.invoked_subcommand is not None:
        return
    loaded = _load(
        config,
        overrides,
        source,
        pace=pace,
        frames=frames,
        seconds=seconds,
        predictions=predictions,
        zone=zone,
        line=line,
        events=events,
        max_age=max_age,
        window=window,
        no_web=no_web,
        headless=headless,
        insecure=insecure,
    )
    from workers.commands.run_pipeline import run_pipeline  # slow import: only after the input was checked

    raise typer.Exit(run_pipeline(loaded, report))


def capture(
    source: Sources = None,
    frames: Frames = None,
    pace: Pace = False,
    max_age: MaxAge = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    insecure: Insecure = False,
) -> None:
    """Run one capture worker: read sources and publish their frames.

    Without a source, plays the built-in demo.
    """
    loaded = _load(config, overrides, source, pace=pace, max_age=max_age, frames=frames, insecure=insecure)
    _run_worker("capture", loaded)


def inference(config: ConfigFile = None, overrides: Overrides = None, insecure: Insecure = False) -> None:
    """Run one inference worker: receive frames and publish predictions."""
    _run_worker("inference", _load(config, overrides, insecure=insecure))


def sink(
    zone: Zone = None,
    line: Line = None,
    predictions: Predictions = None,
    events: Events = None,
    window: Window = False,
    no_web: NoWeb = False,
    headless: NoWindow = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    insecure: Insecure = False,
) -> None:
    """Run one sink worker: join frames with predictions, then display, record and report them."""
    loaded = _load(
        config,
        overrides,
        predictions=predictions,
        zone=zone,
        line=line,
        events=events,
        window=window,
        no_web=no_web,
        headless=headless,
        insecure=insecure,
    )
    _run_worker("sink", loaded)


def monitor(
    seconds: Seconds = None,
    report: ReportFile = None,
    headless: PlainLines = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    insecure: Insecure = False,
) -> None:
    """Show the statistics of a running pipeline on this or other machines."""
    from workers.commands.run_monitor import run_monitor

    loaded = _load(config, overrides, headless=headless, insecure=insecure)
    raise typer.Exit(run_monitor(loaded, seconds or 0.0, report))


def _settings(option: str, value: Any) -> dict[str, dict[str, Any]]:
    """The configuration keys that an option sets, by section."""
    from pipeline.base.config import duration_ms

    match option:
        case "frames" | "seconds":
            return {"run": {option: value}}
        case "predictions" | "events":
            return {"sink": {option: value}}
        case "zone" | "line":
            return {f"{option}s": dict(_drawn(option, text) for text in value)}
        case "max_age":
            return {"freshness": {"max_age_ms": duration_ms(value)}}
        case "window":
            return {"sink": {"window": True}}
        case "no_web":
            return {"sink": {"web": False}}
        case "headless":
            return {"sink": {"window": False}, "terminal": {"live": False}}
        case "insecure":
            return {"security": {"insecure": True}}
    raise AssertionError(option)


def _drawn(option: str, text: str) -> tuple[str, dict[str, Any]]:
    """Parses ``NAME=X,Y,X,Y...`` into a name and its points."""
    from pipeline.base.errors import UserError

    name, _, numbers = text.partition("=")
    try:
        shares = [float(number) for number in numbers.split(",")]
    except ValueError:
        shares = []
    if len(shares) < 4 or len(shares) % 2:
        example = "door=0.1,0.4,0.5,0.4,0.5,0.9" if option == "zone" else "gate=0.2,0.5,0.8,0.5"
        raise UserError(f"--{option} {text}: give a name and pairs of numbers from 0 to 1, such as {example}")
    return name, {"points": list(zip(shares[::2], shares[1::2], strict=True))}


def _load(
    file: Path | None,
    overrides: list[str] | None,
    sources: list[str] | None = None,
    *,
    pace: bool = False,
    **options: Any,
) -> "Config":
    """The configuration: defaults, then the file, then ``--set``, then the given options."""
    import msgspec

    from pipeline.base.config import load_config
    from pipeline.video.naming import default_stream_id

    given: dict[str, Any] = {}
    for option, value in options.items():
        if value is not None and value is not False:
            for section, keys in _settings(option, value).items():
                given.setdefault(section, {}).update(keys)
    if sources:
        given["streams"] = []
        for source in sources:
            taken = [stream["id"] for stream in given["streams"]]
            given["streams"].append({"id": default_stream_id(source, taken), "source": source})
    config = load_config(file, overrides or (), given)
    if not pace:
        return config
    paced = [msgspec.structs.replace(stream, pace=True) for stream in config.streams]
    return msgspec.structs.replace(config, streams=paced)


def _run_worker(role: "Role", config: "Config") -> None:
    from workers.commands.worker import run_worker

    raise typer.Exit(run_worker(role, config))
