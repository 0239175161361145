"""What the sink knows of capture and inference: from the supervisor, their statistics, and its links."""

import socket
from collections.abc import Callable, Iterable

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.closing import Closing
from pipeline.base.config import Config
from pipeline.base.role_names import Role
from pipeline.view.web.troubles import SourceState, Trouble
from pipeline.wire.receivers import StatsReceiver
from pipeline.wire.security import SecurityPolicy
from workers.down_worker import DownWorker
from workers.roles import stats_endpoints
from workers.sharing import expected

_SILENT_NS = 2_000_000_000
_TIMES_USUAL = 4
_MOST_WORKERS = 64
_MOST_SESSIONS = 64
"""Of one worker; those that have been silent for longest are forgotten."""
_HOST = socket.gethostname()


class _Heard:
    """What was heard of one worker, which repeats the last statistics of its processes that have died.

    Those never change, so a process lives whose statistics do: its clock may be behind that of another one.

    Attributes:
        at_ns: When anything of it was heard last, Unix time.
        stats: Of the process that lives.
        lead_ns: How far its clock is ahead of this one; 0 on this machine.
    """

    def __init__(self, stats: WorkerStats) -> None:
        self.stats, self.at_ns, self.lead_ns = stats, 0, 0
        self._sent_ns: dict[int, int] = {}

    def take(self, stats: WorkerStats) -> None:
        """Takes in what has arrived."""
        self.at_ns = now_ns()
        before_ns = self._sent_ns.pop(stats.session, None)
        self._sent_ns[stats.session] = stats.sent_ns
        while len(self._sent_ns) > _MOST_SESSIONS:
            del self._sent_ns[next(iter(self._sent_ns))]
        is_later = stats.session >= self.stats.session if before_ns is None else before_ns != stats.sent_ns
        if is_later:
            self.stats = stats
            self.lead_ns = 0 if stats.host == _HOST else stats.sent_ns - self.at_ns


class OtherWorkers(Closing):
    """Listens to the statistics of capture and inference; used by the sink's thread.

    Args:
        config: Names where they publish.
        security: What the links must have.
        down: What the supervisor has reported last; it may be changed at any time.
        links: The sink's own links and their states.
        report: Takes human-readable events.
    """

    def __init__(
        self,
        config: Config,
        security: SecurityPolicy,
        down: list[DownWorker],
        links: Callable[[], Iterable[tuple[str, str]]],
        report: Callable[[str], None],
    ) -> None:
        roles: tuple[Role, ...] = ("capture", "inference")
        self._receiver = StatsReceiver(
            {role: stats_endpoints(role, config.endpoints) for role in roles}, config.wire, security
        )
        self._down, self._links, self._report = down, links, report
        self._is_shared = expected(config)["inference"] > 1
        self._patience_ns = max(_SILENT_NS, int(_TIMES_USUAL * config.wire.stats_interval_s * 1e9))
        self._newest: dict[tuple[str, str], _Heard] = {}
        self._lost_since: dict[str, int] = {}

    def poll(self) -> None:
        """Takes in what has arrived; never waits."""
        for stats in self._receiver.poll(0.0):
            key = stats.worker, stats.host
            heard = self._newest.pop(key, None) or _Heard(stats)
            heard.take(stats)
            self._newest[key] = heard
        while len(self._newest) > _MOST_WORKERS:
            del self._newest[next(iter(self._newest))]
        for text in self._receiver.rejects.pop_reports():
            self._report(text)
        lost = {name for name, state in self._links() if state == "lost"}
        since = self._lost_since
        self._lost_since = {name: since.get(name, now_ns()) for name in sorted(lost)}

    @property
    def sources(self) -> dict[str, SourceState]:
        """How the sources of all capture workers are, by stream."""
        return {
            stream_id: SourceState(
                has_ended=stream.state == "ended",
                error=stream.error,
                retry_ns=stream.retry_ns and stream.retry_ns - heard.lead_ns,
            )
            for heard in self._newest.values()
            if heard.stats.role == "capture"
            for stream_id, stream in heard.stats.streams.items()
        }

    @property
    def troubles(self) -> list[Trouble]:
        """What is wrong with workers and links now, the worst first."""
        down, time_ns = list(self._down), now_ns()
        found = [
            _trouble(one.role, f"{one.name} is down", one.since_ns, one.streams, "starts again", one.again_ns)
            for one in down
        ]
        names, roles = {one.name for one in down}, {one.role for one in down}
        for (worker, host), heard in self._newest.items():
            stats, heard_ns = heard.stats, heard.at_ns
            is_over = stats.state in ("stopping", "stopped")
            if worker in names or is_over or time_ns - heard_ns < self._patience_ns:
                continue
            streams = list(stats.streams) if self._is_shared else None
            found.append(_trouble(stats.role, f"{worker} on {host} does not answer", heard_ns, streams))
        for name, since_ns in self._lost_since.items():
            role = name.partition(" at ")[0]
            if role not in roles:
                found.append(_trouble(role, f"the link to {name} is down", since_ns, None, "trying again"))
        return [trouble for _, trouble in sorted(found, key=lambda one: one[0])]

    def close(self) -> None:
        """Disconnects."""
        self._receiver.close()


def _trouble(
    role: str,
    words: str,
    since_ns: int,
    streams: list[str] | None,
    following: str = "",
    next_ns: int | None = None,
) -> tuple[str, Trouble]:
    """What a worker's role makes worse or better, and the trouble in words."""
    return role, Trouble(
        words=words,
        since_ns=since_ns,
        next=following,
        next_ns=next_ns,
        hides_pictures=role == "capture",
        hides_predictions=role == "inference",
        streams=streams,
    )
