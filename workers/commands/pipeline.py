"""The pipeline and its workers: their options fill the configuration directly."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.shared_options import (
    ConfigFile,
    Frames,
    Headless,
    Insecure,
    MaxAge,
    NoWeb,
    Overrides,
    Pace,
    Predictions,
    ReportFile,
    Seconds,
    Sources,
    Window,
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
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
]


def run(
    context: typer.Context,
    config: ConfigFile = None,
    overrides: Overrides = None,
    source: Sources = None,
    frames: Frames = None,
    seconds: Seconds = None,
    report: ReportFile = None,
    predictions: Predictions = None,
    pace: Pace = False,
    max_age: MaxAge = None,
    window: Window = False,
    no_web: NoWeb = False,
    headless: Headless = False,
    insecure: Insecure = False,
    version: Version = False,
) -> None:
    """KVQ Stream: a real-time camera pipeline that understands motion.

    Runs the whole pipeline on this machine: the sources given, else the built-in demo tour, which ends
    by itself with a summary.
    """
    if context.invoked_subcommand is not None:
        return
    from workers.commands.run_pipeline import run_pipeline

    options = {
        "run": {"frames": frames, "seconds": seconds},
        "sink": {"predictions": predictions, **_shown(window, no_web, headless)},
        "freshness": _freshness(max_age),
        "terminal": _terminal(headless),
        "security": _security(insecure),
    }
    loaded = _load(config, overrides, options, source, pace=pace)
    raise typer.Exit(run_pipeline(loaded, report))


def capture(
    config: ConfigFile = None,
    overrides: Overrides = None,
    source: Sources = None,
    pace: Pace = False,
    max_age: MaxAge = None,
    frames: Frames = None,
    insecure: Insecure = False,
) -> None:
    """Run one capture worker: read sources and publish their frames."""
    options = {
        "run": {"frames": frames},
        "freshness": _freshness(max_age),
        "security": _security(insecure),
    }
    _run_worker("capture", _load(config, overrides, options, source, pace=pace))


def inference(config: ConfigFile = None, overrides: Overrides = None, insecure: Insecure = False) -> None:
    """Run one inference worker: take frames, send predictions."""
    _run_worker("inference", _load(config, overrides, {"security": _security(insecure)}))


def sink(
    config: ConfigFile = None,
    overrides: Overrides = None,
    predictions: Predictions = None,
    window: Window = False,
    no_web: NoWeb = False,
    headless: Headless = False,
    insecure: Insecure = False,
) -> None:
    """Run one sink worker: join frames and predictions, show and record them."""
    options = {
        "sink": {"predictions": predictions, **_shown(window, no_web, headless)},
        "terminal": _terminal(headless),
        "security": _security(insecure),
    }
    _run_worker("sink", _load(config, overrides, options))


def monitor(
    config: ConfigFile = None,
    overrides: Overrides = None,
    seconds: Seconds = None,
    report: ReportFile = None,
    headless: Headless = False,
    insecure: Insecure = False,
) -> None:
    """Show the stats of a running pipeline, here or on other machines."""
    from workers.commands.run_pipeline import run_monitor

    options = {"terminal": _terminal(headless), "security": _security(insecure)}
    raise typer.Exit(run_monitor(_load(config, overrides, options), seconds or 0.0, report))


def _shown(window: bool, no_web: bool, headless: bool) -> dict[str, Any]:
    shown = False if headless else True if window else None
    return {"window": shown, "web": False if no_web else None}


def _terminal(headless: bool) -> dict[str, Any]:
    return {"live": False if headless else None}


def _security(insecure: bool) -> dict[str, Any]:
    return {"insecure": True if insecure else None}


def _freshness(max_age: str | None) -> dict[str, Any]:
    from pipeline.base.config import duration_ms

    return {"max_age_ms": None if max_age is None else duration_ms(max_age)}


def _load(
    file: Path | None,
    overrides: list[str] | None,
    options: dict[str, dict[str, Any]],
    sources: list[str] | None = None,
    *,
    pace: bool = False,
) -> "Config":
    """The configuration: defaults, then the file, then ``--set``, then the options that were given."""
    import msgspec

    from pipeline.base.config import load_config
    from pipeline.video.naming import default_stream_id

    given: dict[str, Any] = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in options.items()
    }
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
