"""What the sink knows of capture and inference: from the supervisor, their statistics, and its links."""

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

_SILENT_NS = 2_000_000_000
_TIMES_USUAL = 4
_MOST_WORKERS = 64


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
        self._patience_ns = max(_SILENT_NS, int(_TIMES_USUAL * config.wire.stats_interval_s * 1e9))
        self._newest: dict[tuple[str, str], tuple[int, WorkerStats]] = {}
        self._lost_since: dict[str, int] = {}

    def poll(self) -> None:
        """Takes in what has arrived; never waits."""
        for stats in self._receiver.poll(0.0):
            key = stats.worker, stats.host
            _, before = self._newest.pop(key, (0, stats))
            if stats.session >= before.session:  # a restarted worker repeats those of its former processes
                self._newest[key] = now_ns(), stats
            else:
                self._newest[key] = now_ns(), before
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
                has_ended=stream.state == "ended", error=stream.error, retry_ns=stream.retry_ns
            )
            for _, stats in self._newest.values()
            if stats.role == "capture"
            for stream_id, stream in stats.streams.items()
        }

    @property
    def troubles(self) -> list[Trouble]:
        """What is wrong with workers and links now, the worst first."""
        down, time_ns = list(self._down), now_ns()
        found: list[tuple[str, str, int, str, int | None]] = [
            (one.role, f"{one.role} is down", one.since_ns, "starts again", one.again_ns) for one in down
        ]
        roles = {one.role for one in down}
        for (worker, host), (heard_ns, stats) in self._newest.items():
            is_over = stats.state in ("stopping", "stopped")
            if stats.role in roles or is_over or time_ns - heard_ns < self._patience_ns:
                continue
            found.append((stats.role, f"{worker} on {host} does not answer", heard_ns, "", None))
        for name, since_ns in self._lost_since.items():
            role = name.partition(" at ")[0]
            if role not in roles:
                found.append((role, f"the link to {name} is down", since_ns, "trying again", None))
        return [
            Trouble(
                words=words,
                since_ns=since_ns,
                next=following,
                next_ns=next_ns,
                hides_pictures=role == "capture",
                hides_predictions=role == "inference",
            )
            for role, words, since_ns, following, next_ns in sorted(found, key=lambda one: one[0])
        ]

    def close(self) -> None:
        """Disconnects."""
        self._receiver.close()
