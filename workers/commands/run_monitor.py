"""Runs the monitor and returns the exit code; needs only the packages of a capture-only installation."""

from collections.abc import Callable
from pathlib import Path

from pipeline.base.config import Config
from workers import exit_codes
from workers.commands.report import check_writable, write_report
from workers.monitor import late_note, watch
from workers.output import OutputConsole, print_errors


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
        if late := report.get("monitor"):
            note = late_note(late["already_running"])
            console.print(f"monitor: {note}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"report {report_file}", markup=False, highlight=False, soft_wrap=True)
    print_errors(unwritten)
    return exit_codes.OUTPUT_LOST if unwritten else exit_codes.OK
