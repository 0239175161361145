"""Collects the statistics of all workers, for the supervisor and the monitor."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.account.footprint import MOST_BYTES, footprint, without_distributions
from pipeline.account.ledger import build_report, fold
from pipeline.account.stats import WorkerStats
from pipeline.account.whole_run import of_a_late_monitor
from pipeline.base.clock import now_ns
from pipeline.base.config import Config
from pipeline.base.errors import WireError
from pipeline.base.event import rfc3339
from pipeline.base.role_names import ROLES
from pipeline.view.pipeline_view import ABSENT, PipelineView, Usage
from pipeline.wire.receivers import StatsReceiver
from pipeline.wire.security import SecurityPolicy
from workers.roles import stats_endpoints
from workers.rundir import folder_of_run
from workers.sharing import role_of

_SESSIONS_APART = 8
_MOST_POLLS = 8
_MOST_PROCESSES = 1000


class _WorkerSessions:
    """The processes of one worker over its restarts; the oldest are merged to bound memory.

    Whatever a worker sends, this holds at most twice ``footprint.MOST_BYTES``: once for separate processes
    and once for the sum of older ones.
    """

    def __init__(self) -> None:
        self._sessions: dict[int, WorkerStats] = {}
        self._sizes: dict[int, int] = {}
        self._folded: WorkerStats | None = None
        self.count = 0

    def keep(self, stats: WorkerStats) -> bool:
        """Stores statistics; False if the oldest ones were discarded because their sum is too large."""
        if self._folded is not None and stats.session <= self._folded.session:
            return True  # already in the sum
        self.count += stats.session not in self._sessions
        self._sessions[stats.session], self._sizes[stats.session] = stats, footprint(stats)
        fits = True
        while len(self._sessions) > _SESSIONS_APART or (
            sum(self._sizes.values()) > MOST_BYTES and len(self._sessions) > 1
        ):
            session = min(self._sessions)
            del self._sizes[session]
            fits &= self._add_up(self._sessions.pop(session))
        return fits

    def _add_up(self, oldest: WorkerStats) -> bool:
        folded = oldest if self._folded is None else fold(self._folded, oldest)
        if footprint(folded) > MOST_BYTES:
            folded = without_distributions(folded)
        fits = footprint(folded) <= MOST_BYTES
        if not fits and self._folded is not None:
            folded = msgspec.structs.replace(self._folded, session=oldest.session)
        self._folded = folded
        return fits

    def all(self) -> list[WorkerStats]:
        return [*([] if self._folded is None else [self._folded]), *self.apart()]

    def apart(self) -> list[WorkerStats]:
        return sorted(self._sessions.values(), key=lambda stats: stats.session)


class Collector:
    """Keeps the last stats of each worker's processes.

    Attributes:
        started_ns: Unix time since which it has listened.
        already_running: Names of workers that started earlier and may have had earlier processes; empty if a
            supervisor sends the counts of such processes.
    """

    def __init__(self, config: Config) -> None:
        endpoints = {role: stats_endpoints(role, config.endpoints) for role in ROLES}
        self._receiver = StatsReceiver(endpoints, config.wire, SecurityPolicy(config.security))
        self._workers: dict[tuple[str, str], _WorkerSessions] = {}
        self._has_supervisor = _has_supervisor(config)
        self.started_ns = now_ns()
        self.already_running: list[str] = []
        self._older: dict[tuple[str, str, int], bool] = {}

    def connect(self, config: Config) -> None:
        """Listens to the workers of this configuration from now on; statistics of other workers are kept."""
        self._has_supervisor = _has_supervisor(config)
        self._receiver.replace_sources(
            [(role, endpoint) for role in ROLES for endpoint in stats_endpoints(role, config.endpoints)]
        )

    def poll(self, timeout_s: float) -> list[str]:
        """Receives statistics, waiting at most ``timeout_s`` seconds; returns the new events."""
        events: list[str] = []
        for _ in range(_MOST_POLLS):  # after a long pause, read up to the current state
            batch = self._receiver.poll(timeout_s)
            events += [event for stats in batch for event in self._keep(stats)]
            if not batch:
                break
            timeout_s = 0.0
        own = self._receiver.pop_link_events() + self._receiver.rejects.pop_reports()
        return events + [f"monitor: {event}" for event in own]

    def _keep(self, stats: WorkerStats) -> list[str]:
        """Stores what a worker reports; returns its events."""
        if self._is_older(stats):
            stats = of_a_late_monitor(stats)
            if stats.worker not in self.already_running:
                self.already_running.append(stats.worker)
        sessions = self._workers.setdefault((stats.worker, stats.host), _WorkerSessions())
        if not sessions.keep(stats):
            text = "its statistics are too large in total: those of its oldest process are no longer counted"
            self._receiver.rejects.add(f"{stats.worker} on {stats.host}", WireError("size", text))
        return [f"{stats.worker}: {event}" for event in stats.events]

    def _is_older(self, stats: WorkerStats) -> bool:
        """Whether a worker's process ran before this monitor, unless a supervisor here reports for it.

        Decided with its first statistics, because its clock may be set later.
        """
        process = stats.worker, stats.host, stats.session
        if process not in self._older:
            # Each age is by one clock: the clocks of two machines may differ.
            age_ns = stats.sent_ns - stats.session
            self._older[process] = not self._has_supervisor and age_ns > now_ns() - self.started_ns
            while len(self._older) > _MOST_PROCESSES:
                self._older.pop(next(iter(self._older)))
        return self._older[process]

    @property
    def sessions(self) -> list[WorkerStats]:
        """The last stats of every process that has reported, oldest first; very old ones are summed up."""
        everyone = (stats for sessions in self._workers.values() for stats in sessions.all())
        return sorted(everyone, key=lambda stats: stats.session)

    def newest(self, worker: str) -> WorkerStats | None:
        """The last stats of a worker's current or last process."""
        return next((stats for stats in reversed(self.sessions) if stats.worker == worker), None)

    def former(self, worker: str) -> list[WorkerStats]:
        """The last stats of a worker's recent processes, without events.

        A restarted worker sends them again, so that a monitor that connects later gets them too.
        """
        found = [sessions for (name, _), sessions in self._workers.items() if name == worker]
        return [msgspec.structs.replace(stats, events=[]) for sessions in found for stats in sessions.apart()]

    def report(self, restarts: Mapping[str, int] | None = None, *, final: bool = False) -> dict[str, Any]:
        """The current report; ``final`` means that no frames are in flight any more."""
        newest = {(stats.worker, stats.host): stats for stats in self.sessions}
        running = not final and any(stats.state not in ("stopped", "failed") for stats in newest.values())
        report = build_report(
            self.sessions, restarts if restarts is not None else self._restarts(), running=running
        )
        if self.already_running:
            late = {"since": rfc3339(self.started_ns), "already_running": sorted(self.already_running)}
            report["monitor"] = late
        return report

    def view(
        self,
        title: str,
        restarts: Mapping[str, int] | None = None,
        processes: Mapping[str, int | None] | None = None,
        used: Mapping[str, Usage] | None = None,
    ) -> PipelineView:
        """What the terminal shows.

        Args:
            title: Shown above the statistics.
            restarts: Restarts of each worker; None to derive them from its sessions.
            processes: Process id of each worker; None if it is dead. A worker that has not reported yet is
                starting; without ``processes`` it is absent once another worker has reported.
            used: Process, CPU and memory of each worker that is starting.
        """
        heard = {stats.role for stats in self.sessions}
        if processes is None:
            silent: list[str] = [role for role in ROLES if self._workers and role not in heard]
        else:
            silent = [name for name in processes if self.newest(name) is None]
        states = dict.fromkeys(silent, ABSENT) if processes is None else {}
        for worker, pid in (processes or {}).items():
            stats = self.newest(worker)
            if stats is not None and stats.pid != pid and stats.state not in ("stopped", "failed"):
                states[worker] = "down" if pid is None else "starting"
        return PipelineView(
            title=title,
            sessions=[WorkerStats(name, role_of(name), session=0, host="", pid=0) for name in silent]
            + self.sessions,
            restarts=dict(restarts if restarts is not None else self._restarts()),
            run_s=(now_ns() - self.started_ns) / 1e9,
            states=states,
            used_at_start=dict(used or {}),
        )

    @property
    def turned_away(self) -> str:
        """The last refused connection and its reason; empty if none was refused."""
        return self._receiver.rejects.latest.get("link", "")

    def close(self) -> None:
        """Closes the sockets."""
        self._receiver.close()

    def _restarts(self) -> dict[str, int]:
        """Restarts derived from sessions: each session of a worker after the first is a restart."""
        counts: dict[str, int] = {}
        for (worker, _), sessions in self._workers.items():
            counts[worker] = counts.get(worker, 0) + sessions.count - 1
        return counts


def _has_supervisor(config: Config) -> bool:
    """Whether the workers have a supervisor on this machine: it keeps the counts of ended processes."""
    endpoints = [endpoint for role in ROLES for endpoint in stats_endpoints(role, config.endpoints)]
    return any(folder_of_run(endpoint) for endpoint in endpoints if endpoint.startswith("ipc://"))
