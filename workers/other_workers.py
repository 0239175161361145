"""The state of capture and inference as seen by the sink."""

import socket
from collections.abc import Callable, Iterable, Mapping

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
from workers.sharing import expected, shares
from workers.worker_watch import DIED_NS, NO_ANSWER_NS, Outage, Who, is_explained

_SILENT_NS = 2_000_000_000
_TIMES_USUAL = 4
_ON_ITS_WAY_NS = 1_000_000_000
"""How long messages sent before a worker was lost may still arrive."""
_MOST_WORKERS = 64
_MOST_SESSIONS = 64
"""Sessions remembered per worker; those silent the longest are forgotten."""
_HOST = socket.gethostname()


class _Heard:
    """Statistics received from one worker, which also repeats those of its dead processes.

    Those never change, so the live process is the one whose statistics change. Time stamps can't decide, as
    its clock may be behind that of an earlier process.

    Attributes:
        at_ns: Unix time of the last message.
        stats: Statistics of the live process.
        lead_ns: How far its clock is ahead of the local one; 0 on this machine.
    """

    def __init__(self, stats: WorkerStats) -> None:
        self.stats, self.at_ns, self.lead_ns = stats, 0, 0
        self._sent_ns: dict[int, int] = {}

    @property
    def is_over(self) -> bool:
        """Whether it has stopped or is stopping."""
        return self.stats.state in ("stopping", "stopped")

    def take(self, stats: WorkerStats) -> None:
        """Takes received statistics."""
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
    """Listens to the statistics of capture and inference; used from the sink's thread.

    Args:
        config: The configuration with their endpoints.
        security: Security policy of the links.
        down: Dead workers last reported by the supervisor; may change at any time.
        links: Returns the sink's own links and their states.
        arrived: Returns the Unix time in ns of the last message, by stream and sending role.
        report: Receives human-readable events.
    """

    def __init__(
        self,
        config: Config,
        security: SecurityPolicy,
        down: list[DownWorker],
        links: Callable[[], Iterable[tuple[str, str]]],
        arrived: Callable[[], Mapping[str, Mapping[str, int]]],
        report: Callable[[str], None],
    ) -> None:
        roles: tuple[Role, ...] = ("capture", "inference")
        self._receiver = StatsReceiver(
            {role: stats_endpoints(role, config.endpoints) for role in roles}, config.wire, security
        )
        self._down, self._links, self._arrived, self._report = down, links, arrived, report
        self._shares, self._is_shared = shares(config), expected(config)["inference"] > 1
        self._patience_ns = max(_SILENT_NS, int(_TIMES_USUAL * config.wire.stats_interval_s * 1e9))
        self._newest: dict[tuple[str, str], _Heard] = {}
        self._lost_since: dict[str, int] = {}

    def poll(self) -> None:
        """Receives statistics; never blocks."""
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
        """State of the sources of all capture workers, by stream."""
        return {
            stream_id: SourceState(
                has_ended=stream.state == "ended",
                error=stream.error,
                is_left_out=stream.is_left_out,
                retry_ns=stream.retry_ns and stream.retry_ns - heard.lead_ns,
            )
            for heard in self._newest.values()
            if heard.stats.role == "capture"
            for stream_id, stream in heard.stats.streams.items()
        }

    @property
    def troubles(self) -> list[Trouble]:
        """Current problems of workers and links, the worst first."""
        down, found = list(self._down), []
        again_ns = {one.name: one.again_ns for one in down}
        for one in self._outages(down):
            worker, host = one.who
            if one.is_link:
                found.append(_trouble(one, f"link to {worker} down", "retrying"))
            elif worker in again_ns:
                found.append(_trouble(one, f"{worker} down", "restarting", again_ns[worker]))
            else:
                found.append(_trouble(one, f"no answer from {worker} on {host}"))
        return [trouble for _, trouble in sorted(found, key=lambda one: one[0])]

    @property
    def outages(self) -> list[Outage]:
        """Current outages: each worker once, and lost links that a death on this machine does not explain."""
        return self._outages(list(self._down))

    def _streams_of(self, stats: WorkerStats) -> list[str] | None:
        """Streams affected by the loss of a worker, without those that it has released; None for all."""
        inference = sum(heard.stats.role == "inference" for heard in self._newest.values())
        if stats.role == "capture":
            return list(stats.streams)
        if not self._is_shared and inference < 2:
            return None
        return [stream_id for stream_id, stream in stats.streams.items() if stream.state != "waiting"]

    def _outages(self, down: list[DownWorker]) -> list[Outage]:
        time_ns = now_ns()
        found = [
            Outage((one.name, _HOST), one.role, "the process died", one.since_ns, DIED_NS, one.streams)
            for one in down
        ]
        died = found = [self._hiding(one, time_ns) for one in found]
        names = {one.name for one in down}
        patience_ns = max(NO_ANSWER_NS, self._patience_ns)
        for who, heard in self._newest.items():
            if who[0] in names or heard.is_over or time_ns - heard.at_ns < self._patience_ns:
                continue
            streams = self._shares.get(who[0], self._streams_of(heard.stats))
            silent = Outage(who, heard.stats.role, "no answer", heard.at_ns, patience_ns, streams)
            found = [*found, self._hiding(silent, time_ns)]
        # reported later than silence, so that a worker lost on another machine is reported only once
        patience_ns += DIED_NS
        for name, since_ns in self._lost_since.items():
            role = name.partition(" at ")[0]
            link = Outage((name, ""), role, "link lost", since_ns, patience_ns)
            link = self._hiding(link, time_ns)
            if not is_explained(link, died, self._arrived()):
                found = [*found, link]
        return found

    def _hiding(self, one: Outage, time_ns: int) -> Outage:
        """Removes streams from an outage that are still served through another link or worker."""
        arrived = self._arrived()
        since_ns = max(one.since_ns + _ON_ITS_WAY_NS, time_ns - NO_ANSWER_NS)
        served = {name for name, by_role in arrived.items() if by_role.get(one.role, 0) > since_ns}
        if not served:
            return one
        streams = arrived if one.streams is None else one.streams
        return one._replace(streams=[name for name in streams if name not in served])

    @property
    def up(self) -> set[Who]:
        """Workers that reported recently and are not known to be down, and working links."""
        names, time_ns = {one.name for one in list(self._down)}, now_ns()
        links: set[Who] = {(name, "") for name, state in self._links() if state == "up"}
        return links.union(
            who
            for who, heard in self._newest.items()
            if who[0] not in names and not heard.is_over and time_ns - heard.at_ns < self._patience_ns
        )

    def close(self) -> None:
        """Disconnects."""
        self._receiver.close()


def _trouble(
    outage: Outage, words: str, following: str = "", next_ns: int | None = None
) -> tuple[str, Trouble]:
    """A sort key, and the problem for the page."""
    return outage.role, Trouble(
        words=words,
        since_ns=outage.since_ns,
        next=following,
        next_ns=next_ns,
        hides_pictures=outage.role == "capture",
        hides_predictions=outage.role == "inference",
        streams=outage.streams,
    )
