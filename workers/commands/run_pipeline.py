"""Runs the whole pipeline and returns the exit code."""

from pathlib import Path

from pipeline.base.config import Config
from pipeline.view.summary import path_text, render_summary
from workers import exit_codes
from workers.commands.report import check_writable, write_report
from workers.commands.stdout import reserved_stdout
from workers.commands.worker import with_demo, with_output_folder
from workers.control import check_control
from workers.folder_check import check_folders
from workers.model_check import check_model
from workers.output import OutputConsole, print_errors
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
    check_folders(config)
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
                print_errors([str(error)])
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
    print_errors([*lost, *failures])
    if failures:
        return exit_codes.FAILED
    return exit_codes.OUTPUT_LOST if lost else exit_codes.OK
