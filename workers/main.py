"""What the commands of ``run_stream.py`` that run workers do."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from pipeline.base.config import Config, StreamConfig
from pipeline.base.errors import ConfigError
from pipeline.base.roles import Role
from pipeline.video.source import default_stream_id
from pipeline.view.jsonl import missing_folder
from pipeline.view.summary import render_summary, told_path
from workers.model_check import check_model
from workers.monitor import Screen, watch
from workers.process import EXIT_FAILED, EXIT_OK, name_process, run_alone
from workers.rundir import RunFolder, place_endpoints, shared_folder
from workers.supervisor import PipelineError, Supervisor


def run_pipeline(config: Config, report_file: Path | None) -> int:
    """Runs all workers on this machine until the streams end.

    Returns:
        The exit code: 0; 1 if a worker failed for good or frames are unaccounted for.

    Raises:
        UserError: The user has to change something.
    """
    config = _with_output_folder(_with_demo(config))
    made_folder = _check_writable(report_file)
    check_model(config)
    console = Console()
    live = config.terminal.live and console.is_terminal
    title = ", ".join(stream.id for stream in config.streams)
    name_process("supervisor")
    with RunFolder() as folder:
        try:
            with Screen(console, live=live, refresh_fps=config.terminal.refresh_fps) as screen:
                report = Supervisor(place_endpoints(config, folder.path), screen, title).run()
        except PipelineError as error:
            _tell([str(error)])
            return EXIT_FAILED
    unwritten = _write_report(report, report_file)
    extras = {"report": told_path(report_file, made_folder)} if report_file and not unwritten else {}
    console.print(render_summary(report, extras))
    failures = [
        *unwritten,
        *(f"{name}: {stream['error']}" for name, stream in report["streams"].items() if stream["error"]),
        *(
            f"{name}: {stream['unaccounted']} frames unaccounted for: please report this as a defect"
            for name, stream in report["streams"].items()
            if stream["unaccounted"]
        ),
    ]
    _tell(failures)
    return EXIT_FAILED if failures else EXIT_OK


def run_worker(role: Role, config: Config) -> int:
    """Runs one worker in this terminal; returns its exit code.

    Raises:
        UserError: The user has to change something.
    """
    if role == "capture":
        config = _with_demo(config)
    if role == "inference":
        check_model(config)
    if role == "sink":
        config = _with_output_folder(config)
    return run_alone(role, place_endpoints(config, shared_folder()), role)


def run_monitor(config: Config, seconds: float, report_file: Path | None) -> int:
    """Shows a running pipeline's figures until Ctrl-C or for ``seconds``; returns the exit code.

    Raises:
        UserError: The user has to change something; also where no worker was heard in ``seconds``.
    """
    _check_writable(report_file)
    console = Console()
    live = config.terminal.live and console.is_terminal
    report = watch(config, console, live=live, seconds=seconds)
    unwritten = _write_report(report, report_file)
    _tell(unwritten)
    return EXIT_FAILED if unwritten else EXIT_OK


def _with_demo(config: Config) -> Config:
    """The demo tour where no stream is configured."""
    if config.streams:
        return config
    return msgspec.structs.replace(
        config, streams=[StreamConfig(id=default_stream_id("demo", ()), source="demo", pace=True)]
    )


def _with_output_folder(config: Config) -> Config:
    """A folder of its own for each run, so that no run overwrites another's videos."""
    if not config.run.output_dir or not config.sink.record:
        return config
    folder = Path(config.run.output_dir) / time.strftime("%Y-%m-%d_%H-%M-%S")
    return msgspec.structs.replace(config, run=msgspec.structs.replace(config.run, output_dir=str(folder)))


def _check_writable(report_file: Path | None) -> Path | None:
    """A report that can't be written is a mistake to hear of before the run, not after it.

    Returns:
        The outermost folder that was made for it, if any.
    """
    if report_file is None:
        return None
    made_folder, is_new = missing_folder(report_file), not report_file.exists()
    try:
        report_file.parent.mkdir(parents=True, exist_ok=True)
        with report_file.open("a"):
            pass
        if is_new:
            report_file.unlink()  # a run that fails leaves no empty one
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"{report_file}: can't write the report there: its folder is a file") from error
    except OSError as error:
        raise ConfigError(f"{report_file}: can't write the report there: {error.strerror}") from error
    return made_folder


def _write_report(report: dict[str, Any], report_file: Path | None) -> list[str]:
    """What went wrong, in words: by now the disk may be full."""
    if report_file is not None:
        try:
            report_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            return [f"{report_file}: the report can't be written: {error.strerror}"]
    return []


def _tell(failures: list[str]) -> None:
    for failure in failures:
        Console(stderr=True).print(f"error: {failure}", markup=False, highlight=False, soft_wrap=True)
