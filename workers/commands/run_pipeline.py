"""Runs the whole pipeline or the monitor and returns the exit code."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from pipeline.base.config import Config
from pipeline.view.summary import path_text, render_summary
from workers import exit_codes
from workers.commands.report import check_writable, write_report
from workers.commands.stdout import reserved_stdout
from workers.commands.worker import with_demo, with_output_folder
from workers.control import check_control
from workers.model_check import check_model
from workers.monitor import watch
from workers.output import OutputConsole
from workers.page_check import check_page
from workers.process import name_process
from workers.rundir import note_endpoints, place_endpoints, run_folder
from workers.screen import Screen
from workers.sending import check_outlets
from workers.sharing import check_sharing, with_endpoints
from workers.source_check import check_sources
from workers.supervisor import PipelineError, Supervisor


def run_pipeline(config: Config, report_file: Path | None) -> int:
    """Runs all workers on this machine until the streams end.

    Returns:
        The exit code: see ``workers.exit_codes``; 1 if a worker failed permanently or frames are unaccounted
        for, 3 if a requested output could not be written.

    Raises:
        UserError: The input is not valid.
    """
    config = with_output_folder(with_demo(config))
    check_control(config)
    check_sharing(config)
    config = with_endpoints(config)
    check_model(config)
    check_sources(config)
    check_outlets(config)
    check_page(config)
    made_folder = check_writable(report_file)
    name_process("supervisor")
    with reserved_stdout(config.sink.predictions, config.sink.events) as stdout:
        console = OutputConsole()
        live = config.terminal.live and console.is_terminal
        title = ", ".join(stream.id for stream in config.streams)
        with run_folder() as folder:
            try:
                with Screen(console, live=live, refresh_fps=config.terminal.refresh_fps) as screen:
                    placed = place_endpoints(config, folder)
                    note_endpoints(placed, folder)
                    supervisor = Supervisor(placed, screen, title, stdout)
                    report = supervisor.run()
            except PipelineError as error:
                _print_errors([str(error)])
                return exit_codes.FAILED
        unwritten = write_report(report, report_file)
        extras = {"report": path_text(report_file, made_folder)} if report_file and not unwritten else {}
        console.print(render_summary(report, extras))
    lost = [*unwritten, *report.get("lost", {}).values()]
    failures = [
        *([supervisor.given_up] if supervisor.given_up else []),
        *(f"{name}: {stream['error']}" for name, stream in report["streams"].items() if stream["error"]),
        *(
            f"{name}: {stream['unaccounted']} frames unaccounted for: please report this bug"
            for name, stream in report["streams"].items()
            if stream["unaccounted"]
        ),
    ]
    _print_errors([*lost, *failures])
    if failures:
        return exit_codes.FAILED
    return exit_codes.OUTPUT_LOST if lost else exit_codes.OK


def run_monitor(
    config: Config, seconds: float, report_file: Path | None, find: Callable[[], Config] | None = None
) -> int:
    """Shows a running pipeline's stats until a signal or for ``seconds``; returns the exit code.

    See ``workers.monitor.watch`` for ``find``.

    Raises:
        UserError: The input is not valid, or no worker reported within ``seconds``.
    """
    check_writable(report_file)
    console = OutputConsole()
    live = config.terminal.live and console.is_terminal
    report = watch(config, console, live=live, seconds=seconds, find=find)
    unwritten = write_report(report, report_file)
    if report_file and not unwritten:
        console.print(f"report {report_file}", markup=False, highlight=False, soft_wrap=True)
    _print_errors(unwritten)
    return exit_codes.OUTPUT_LOST if unwritten else exit_codes.OK


def _print_errors(failures: list[str]) -> None:
    for failure in failures:
        Console(stderr=True).print(f"error: {failure}", markup=False, highlight=False, soft_wrap=True)
