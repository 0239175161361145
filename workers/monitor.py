"""Gathers the figures of all workers; the supervisor and ``run_stream.py monitor`` both look through it."""

import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from rich.console import Console
from rich.live import Live

from pipeline.account.ledger import build_report, fold
from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.closing import Closing
from pipeline.base.config import Config
from pipeline.base.errors import UserError
from pipeline.base.roles import ROLES
from pipeline.view.recent_events import Events
from pipeline.view.terminal import PipelineView, plain_line, render
from pipeline.wire.security import SecurityPolicy
from pipeline.wire.transport import StatsReceiver
from workers.roles import stats_endpoints
from workers.rundir import newest_live_folder, place_endpoints

_EVENTS_SHOWN = 8
_SESSIONS_APART = 8
_PATIENCE_S = 3.0


class NobodyError(UserError):
    """No worker could be heard; one line for people, saying what to do."""


class _Lives:
    """The processes that one worker has been; the oldest become one, so that restarts cost no memory."""

    def __init__(self) -> None:
        self._sessions: dict[int, WorkerStats] = {}
        self._folded: WorkerStats | None = None
        self.count = 0

    def keep(self, figures: WorkerStats) -> None:
        if self._folded is not None and figures.session <= self._folded.session:
            return  # it has been added up already
        self.count += figures.session not in self._sessions
        self._sessions[figures.session] = figures
        if len(self._sessions) > _SESSIONS_APART:
            oldest = self._sessions.pop(min(self._sessions))
            self._folded = oldest if self._folded is None else fold(self._folded, oldest)

    def all(self) -> list[WorkerStats]:
        return [*([] if self._folded is None else [self._folded]), *self.apart()]

    def apart(self) -> list[WorkerStats]:
        return sorted(self._sessions.values(), key=lambda figures: figures.session)


class Collector:
    """Keeps the last figures of each worker's processes."""

    def __init__(self, config: Config) -> None:
        self._receiver = StatsReceiver(
            {role: stats_endpoints(role, config.endpoints) for role in ROLES},
            config.wire,
            SecurityPolicy(config.security),
        )
        self._lives: dict[tuple[str, str], _Lives] = {}
        self.started_ns = now_ns()

    def poll(self, timeout_s: float) -> list[str]:
        """Takes in what has arrived, waiting at most ``timeout_s`` seconds; returns the new events."""
        news: list[str] = []
        for figures in self._receiver.poll(timeout_s):
            self._lives.setdefault((figures.worker, figures.host), _Lives()).keep(figures)
            news += [f"{figures.worker}: {event}" for event in figures.events]
        return news + [f"monitor: {report}" for report in self._receiver.rejects.pop_reports()]

    @property
    def sessions(self) -> list[WorkerStats]:
        """The last figures of every process that ever spoke, oldest first; very old ones in sum."""
        everyone = (figures for lives in self._lives.values() for figures in lives.all())
        return sorted(everyone, key=lambda figures: figures.session)

    def newest(self, worker: str) -> WorkerStats | None:
        """The last figures of a worker's present (or last) process."""
        return next((figures for figures in reversed(self.sessions) if figures.worker == worker), None)

    def former(self, worker: str) -> list[WorkerStats]:
        """The last figures of the latest processes that a worker has been, without events.

        A restarted worker tells them on, so that a monitor that comes later knows them too.
        """
        lives = [life for (name, _), life in self._lives.items() if name == worker]
        return [msgspec.structs.replace(figures, events=[]) for life in lives for figures in life.apart()]

    def report(self, restarts: Mapping[str, int] | None = None, *, final: bool = False) -> dict[str, Any]:
        """The report as it stands now; ``final``: nothing is under way any more."""
        newest = {(figures.worker, figures.host): figures for figures in self.sessions}
        running = not final and any(figures.state not in ("stopped", "failed") for figures in newest.values())
        return build_report(
            self.sessions, restarts if restarts is not None else self._restarts(), running=running
        )

    def view(
        self,
        title: str,
        restarts: Mapping[str, int] | None = None,
        processes: Mapping[str, int | None] | None = None,
    ) -> PipelineView:
        """What the terminal shows.

        Args:
            title: Shown above it.
            restarts: How often each worker was restarted; None for what can be seen from outside.
            processes: By worker: id of its process; None if that is dead. One that has not spoken yet is
                starting.
        """
        processes, states = processes or {}, {}
        silent = [role for role in processes if self.newest(role) is None]
        for worker, pid in processes.items():
            figures = self.newest(worker)
            if figures is not None and figures.pid != pid and figures.state not in ("stopped", "failed"):
                states[worker] = "down" if pid is None else "starting"
        return PipelineView(
            title=title,
            sessions=[WorkerStats(role, role, session=0, host="", pid=0) for role in silent] + self.sessions,
            restarts=dict(restarts if restarts is not None else self._restarts()),
            run_s=(now_ns() - self.started_ns) / 1e9,
            states=states,
        )

    @property
    def turned_away(self) -> str:
        """Who broke the connection off last, and why, in words; empty if nobody did."""
        return self._receiver.rejects.latest.get("link", "")

    def close(self) -> None:
        """Gives the sockets back."""
        self._receiver.close()

    def _restarts(self) -> dict[str, int]:
        """Seen from outside: each further session of a worker is a restart."""
        counts: dict[str, int] = {}
        for (worker, _), lives in self._lives.items():
            counts[worker] = counts.get(worker, 0) + lives.count - 1
        return counts


class Screen(Closing):
    """Shows a pipeline: a live table where there is a terminal, otherwise a line a second."""

    def __init__(self, console: Console, *, live: bool, refresh_fps: float) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if live else None
        self._interval_ns = int(1e9 / refresh_fps) if live else 1_000_000_000
        self._due_ns = 0
        self._echo = _without_echo_of_keys() if live else None
        self._events = Events()
        if self._live:
            self._live.start()

    def say(self, line: str) -> None:
        """Prints a line that stays, above the live table."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def event(self, text: str) -> None:
        """Shows what happened: in the live table while there is one, a line otherwise."""
        if self._live:
            self._events.add(text)
        else:
            self.say(text)

    def update(self, view: PipelineView) -> None:
        """Shows the pipeline as it is now, if it is time for that."""
        now = now_ns()
        if now < self._due_ns:
            return
        self._due_ns = now + self._interval_ns
        if self._live:
            view = replace(view, events=self._events.lines()[-_EVENTS_SHOWN:])
            self._live.update(render(view), refresh=True)
        else:
            self.say(plain_line(view))

    def close(self) -> None:
        """Removes the live table, so that its events and the summary can stand in its place."""
        if self._live:
            self._live.stop()
            self._live = None
            for line in self._events.lines():
                self.say(line)
        if self._echo is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._echo)
            self._echo = None


def _without_echo_of_keys() -> list[Any] | None:
    """Keeps the terminal from showing ^C, which would shift the table; the settings to restore, if any."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, ValueError):
        return None
    after = [*before[:3], before[3] & ~termios.ECHOCTL, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, after)
    return before


def watch(config: Config, console: Console, *, live: bool, seconds: float) -> dict[str, Any]:
    """Shows a running pipeline until Ctrl-C, or for ``seconds`` seconds if that is not 0.

    Until a worker has spoken it looks for runs of this machine that begin.

    Args:
        config: With ``{run}`` in the endpoints for the newest run of this machine.
        console: Where to show it.
        live: As a table that changes, otherwise as lines.
        seconds: How long; 0 = until Ctrl-C.

    Returns:
        The report as it stood at the end.

    Raises:
        NobodyError: The time is up and no worker has spoken.
    """
    placed = place_endpoints(config, newest_live_folder())
    collector = Collector(placed)
    screen = Screen(console, live=live, refresh_fps=config.terminal.refresh_fps)
    started, told = time.monotonic(), False
    try:
        while not seconds or time.monotonic() < started + seconds:
            for event in collector.poll(0.1):
                screen.event(event)
            if not collector.sessions:
                if (newest := place_endpoints(config, newest_live_folder())) != placed:
                    collector.close()
                    placed, collector = newest, Collector(newest)
                elif not told and time.monotonic() > started + _PATIENCE_S:
                    screen.say(f"monitor: {_nobody(placed, collector)}; still waiting, Ctrl-C ends")
                    told = True
            screen.update(collector.view("monitor"))
    except KeyboardInterrupt:
        seconds = 0.0
    finally:
        screen.close()
        collector.close()
    if seconds and not collector.sessions:
        raise NobodyError(f"{_nobody(placed, collector)} (waited {seconds:g} s)")
    return collector.report()


def _nobody(config: Config, collector: Collector) -> str:
    if collector.turned_away:
        return f"no worker lets this monitor in: {collector.turned_away}"
    asked = [endpoint for role in ROLES for endpoint in stats_endpoints(role, config.endpoints)]
    return (
        f"no worker answers at {', '.join(asked)}: start a pipeline with `python run_stream.py`, "
        "or name the endpoints of one that runs elsewhere with --config"
    )
