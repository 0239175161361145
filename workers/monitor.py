"""The monitor: shows the statistics of a pipeline on this or other machines."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.base.config import Config
from pipeline.base.errors import UserError
from pipeline.base.role_names import ROLES
from workers.collector import Collector
from workers.output import OutputConsole
from workers.roles import stats_endpoints
from workers.rundir import base_folder, find_endpoints, newest_live_folder
from workers.screen import Screen
from workers.signals import stop_on_signals

_PATIENCE_S = 5.0  # a refused connection is reported earlier than that
_AGAIN_S = 60.0
_LOOK_S = 0.5


class NobodyError(UserError):
    """No worker reports; the message is one line that states what to do."""


def watch(
    config: Config,
    console: OutputConsole,
    *,
    live: bool,
    seconds: float,
    find: Callable[[], Config] | None = None,
) -> dict[str, Any]:
    """Shows a running pipeline until a signal, or for ``seconds`` seconds if that is not 0.

    Until a worker has reported, it keeps looking for new runs on this machine.

    Args:
        config: ``{run}`` in its endpoints stands for the newest run of this machine.
        console: The output; the monitor ends when it is closed.
        live: Show a live table instead of lines.
        seconds: Duration; 0 = until a signal.
        find: Returns the configuration with the current endpoints; None if they do not change.

    Returns:
        The report at the end.

    Raises:
        NobodyError: The time is up and no worker has reported.
    """
    look = find or (lambda: find_endpoints(config, newest_live_folder()))
    placed, looked_s = look(), time.monotonic()
    collector = Collector(placed)
    screen = Screen(console, live=live, refresh_fps=config.terminal.refresh_fps)
    started_s, stop = time.monotonic(), threading.Event()
    remind_s, heard_s, is_late_noted = started_s + _PATIENCE_S, 0.0, False
    time_is_up = False
    try:
        with stop_on_signals(stop):
            while not (stop.is_set() or screen.lost or time_is_up):
                for event in collector.poll(0.1):
                    screen.event(event)
                if (find or not collector.sessions) and time.monotonic() > looked_s + _LOOK_S:
                    if (newest := look()) != placed:
                        placed = newest
                        collector.connect(placed)
                    looked_s = time.monotonic()
                now_s = time.monotonic()
                if collector.sessions:
                    heard_s = heard_s or now_s
                elif now_s > remind_s:
                    remind_s = now_s + _AGAIN_S
                    if not collector.turned_away:  # has been reported
                        screen.print(f"monitor: {_nobody(placed, collector)}; waiting (Ctrl-C to stop)")
                if collector.already_running and not is_late_noted and now_s > heard_s + _PATIENCE_S:
                    screen.print(f"monitor: {late_note(collector.already_running)}")
                    is_late_noted = True
                if collector.sessions or live:
                    screen.update(collector.view("monitor"))
                time_is_up = 0 < seconds <= time.monotonic() - started_s
    finally:
        screen.close()
        collector.close()
    if time_is_up and not collector.sessions:
        raise NobodyError(f"{_nobody(placed, collector)} (waited {seconds:g} s)")
    return collector.report()


def _elsewhere(asked: Sequence[str]) -> str:
    """A hint for endpoints in the runtime folder, which sudo and cron often change."""
    if not any(text.startswith(f"ipc://{base_folder()}/") for text in asked):
        return ""
    own = os.environ.get("XDG_RUNTIME_DIR")
    state = f"is {own} here" if own else "is not set here"
    return f"; on this machine, XDG_RUNTIME_DIR ({state}) and the user must be the same as for the workers"


def late_note(already_running: Sequence[str]) -> str:
    """States what is missing from the counts of a monitor that started after these workers."""
    workers = ", ".join(sorted(already_running))
    return (
        f"started after {workers}: if one of them was restarted before, the counts of its earlier process "
        "are missing"
    )


def _nobody(config: Config, collector: Collector) -> str:
    if collector.turned_away:
        return f"no worker answers this monitor: {collector.turned_away}"
    asked = [endpoint for role in ROLES for endpoint in stats_endpoints(role, config.endpoints)]
    return (
        f"no worker answers yet at {', '.join(asked)}: start the workers; for those on other machines, give "
        f"--config with their endpoints{_elsewhere(asked)}"
    )
