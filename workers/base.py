"""The base of all workers: the loop, readiness, statistics and shutdown."""

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, ClassVar, TypeVar

import msgspec
import psutil

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.config import Config, EndpointsConfig
from pipeline.base.errors import UserError
from pipeline.base.rate import Rate
from pipeline.base.redact import redact
from pipeline.base.role_names import Role
from pipeline.view.web.verbs import Verb
from pipeline.wire import address
from pipeline.wire.encoding import encode_stats
from pipeline.wire.links import LinkState
from pipeline.wire.publisher import SMALL_QUEUE, Publisher
from pipeline.wire.receivers import Receiver
from pipeline.wire.security import SecurityPolicy
from workers.awaited_links import AwaitedLinks
from workers.control import Control
from workers.down_worker import DownWorker
from workers.link_verbs import LinkVerbs, Receivers
from workers.output import print_line
from workers.roles import SYSTEM, connections, stats_endpoints
from workers.sharing import expected
from workers.waiting import Waiting

TICK_S = 0.1
"""Longest time in seconds that a tick may block; also the longest delay before a stop is noticed."""
_ASKED_TICK_S = 0.02
"""The same as ``TICK_S``, for a worker with a control server."""
RETRY_S = 0.002
"""Time between attempts to send to a peer whose queue is full."""
_FORMER_NS = 2_000_000_000
P = TypeVar("P", bound=Publisher)
R = TypeVar("R", bound=Receiver[Any])


class WorkerError(UserError):
    """A worker can't run as configured; the message is one readable line that states what to do."""


class Worker(ABC):
    """A process of the pipeline: runs ``open``, ``tick`` until stopped, ``finish``, and closes its resources.

    Args:
        config: The whole configuration; its endpoints contain no ``{run}`` placeholder.
        name: Name of this worker, unique in its pipeline.
        restarts: How often it was restarted before.
        began_ns: Unix time at which its first process started; 0 to take it from ``former``.
        first_epochs: By stream, the epoch that the next opening of its source gets (capture only).
        former: Last statistics of its processes that died, sent again for monitors that connect later.
        alone: Whether it runs without a supervisor and prints its own events.
        stdout: Standard output, if it is reserved for predictions or events (sink only).
        down: Other workers that are down, as reported by the supervisor; may change at any time.

    Attributes:
        stats: Counts of this process so far.
        began_ns: Unix time at which its first known process of this run started.
        resources: Closed at the end in reverse order, even after a failure; filled by ``open``.
    """

    role: ClassVar[Role]

    def __init__(
        self,
        config: Config,
        name: str,
        *,
        restarts: int = 0,
        began_ns: int = 0,
        first_epochs: dict[str, int] | None = None,
        former: Sequence[WorkerStats] = (),
        alone: bool = False,
        stdout: Connection | None = None,
        down: list[DownWorker] | None = None,
    ) -> None:
        self.config = config
        self.restarts = restarts
        self.first_epochs = first_epochs or {}
        self.alone = alone
        self.stdout = stdout
        self.down: list[DownWorker] = [] if down is None else down
        self.security = SecurityPolicy(config.security)
        self._process = psutil.Process()
        self.stats = WorkerStats(
            worker=name, role=self.role, session=now_ns(), host=socket.gethostname(), pid=self._process.pid
        )
        self.began_ns = began_ns or min((stats.session for stats in former), default=self.stats.session)
        self.resources = contextlib.ExitStack()
        self._rates: dict[str, Rate] = {}
        self._publishers: list[Publisher] = []
        self._receivers: list[Receiver[Any]] = []
        self._stats_publisher: Publisher | None = None
        self._awaited_links = AwaitedLinks(self.role, self.event, self._patience_s)
        self._control: Control | None = None
        self._former = [encode_stats(stats) for stats in former]
        self._former_due_ns = 0
        self._stats_due_ns = 0
        self._finish_by_ns = 0
        self._is_read = True

    @abstractmethod
    def open(self) -> None:
        """Acquires everything that can fail at startup.

        Raises:
            WorkerError: The worker can't run as configured.
        """

    @abstractmethod
    def tick(self, timeout_s: float) -> bool:
        """Runs one turn of the loop, for about ``timeout_s`` seconds at most; False when all work is done."""

    @abstractmethod
    def finish(self, deadline_ns: int) -> None:
        """Processes the frames that it already has, until ``deadline_ns`` (Unix time) at the latest."""

    def verbs(self) -> list[Verb]:
        """HTTP operations (``[control]``), carried out in the worker's thread between ticks."""
        return []

    def receivers(self) -> Receivers:
        """Receivers that listen to other workers, by key of ``[endpoints]``; only those created so far."""
        return {}

    def run(self, stop: threading.Event, on_ready: Callable[[WorkerStats], None]) -> None:
        """Runs until all work is done or ``stop`` is set, then shuts down gracefully.

        Raises:
            WorkerError: The worker can't run as configured.
        """
        try:
            self._work(stop, on_ready)
        except BaseException:
            self.stats.state = "failed"
            raise
        finally:
            try:
                self.resources.close()
            finally:
                if self._stats_publisher is not None:
                    self.publish_stats()
                    self._stats_publisher.close(linger_s=1.0)

    def publishes(self, publisher: P) -> P:
        """Registers a publisher: reports refused keys and closes it after peers have had time to read."""
        self._publishers.append(publisher)
        self.resources.callback(lambda: publisher.close(linger_s=self._linger_s))
        return publisher

    def waits_for(self, publisher: Publisher, roles: Sequence[str], key: str) -> Waiting:
        """Reports roles that are not listening yet; with a supervisor, only after ``run.ready_timeout_s``."""
        return Waiting(publisher, roles, expected(self.config), key, self.event, self._patience_s)

    def receives(self, receiver: R) -> R:
        """Registers a receiver: reports refused messages and broken links, and closes it at the end."""
        self._receivers.append(receiver)
        self.resources.enter_context(receiver)
        return receiver

    def event(self, text: str) -> None:
        """Reports a human-readable event; passwords are redacted."""
        self.stats.events.append(redact(text))
        if self.alone and not print_line(f"{self.stats.worker}: {redact(text)}"):
            self._is_read = False

    def note_loss(self, output: str, reason: str) -> None:
        """Records for the report that a requested output could not be written."""
        self.stats.details.setdefault("lost", {})[output] = redact(reason)

    def mark_output(self, stream_id: str, time_ns: int) -> None:
        """Counts one output frame for the frame rate."""
        self.stats.stream(stream_id).mark(time_ns)
        self._rates.setdefault(stream_id, Rate()).tick(time_ns)

    def publish_stats(self) -> None:
        """Sends the statistics to all listeners; each event is sent only once."""
        stats, now = self.stats, now_ns()
        stats.sent_ns = now
        with contextlib.suppress(OSError, psutil.Error):  # out of file descriptors: keep the last values
            stats.cpu_percent = self._process.cpu_percent()
            stats.rss_mb = self._process.memory_info().rss / 2**20
        for stream_id, stream in stats.streams.items():
            stream.fps = self._rates[stream_id].fps(now) if stream_id in self._rates else 0.0
        if self._stats_publisher is not None:
            if self._former and now >= self._former_due_ns:
                for message in self._former:
                    self._stats_publisher.send(message)
                self._former_due_ns = now + _FORMER_NS
            self._stats_publisher.send(encode_stats(stats))
        stats.events = []
        self._stats_due_ns = now + int(self.config.wire.stats_interval_s * 1e9)

    def publish_stats_if_due(self) -> None:
        """Sends the statistics if they are due, with link events since the last time."""
        if now_ns() < self._stats_due_ns:
            return
        for publisher in self._publishers:
            for refused in publisher.pop_refused():
                self.event(refused)
        for receiver in self._receivers:
            for event in receiver.pop_link_events() + receiver.rejects.pop_reports():
                self.event(event)
        self._awaited_links.look(self.config.endpoints, self.receivers().keys(), dict(self.links()))
        self.stats.lost_links = [name for name, state in self.links() if state == "lost"]
        self.publish_stats()

    def links(self) -> list[tuple[str, LinkState]]:
        """Names and states of links to other workers; two receivers may share a name."""
        return [link for receiver in self._receivers for link in receiver.links.items()]

    def _link(self, endpoints: EndpointsConfig) -> None:
        self.config = msgspec.structs.replace(self.config, endpoints=endpoints)

    @property
    def _patience_s(self) -> float:
        """Seconds before missing workers are reported: longer with a supervisor, as they may be starting."""
        return 0.0 if self.alone else self.config.run.ready_timeout_s

    def _check_endpoints(self) -> None:
        """Checks the keys of all links, before anything slow and before it waits for another worker.

        Raises:
            TransportError: An endpoint is not valid.
            SecurityError: A key is missing.
        """
        endpoints, binds = self.config.endpoints, SYSTEM[self.role].binds
        for text in getattr(endpoints, binds)[:1] if binds else ():
            self.security.check_server(address.parse(text))
        for _, role, text in connections(self.role, endpoints):
            address.check_connect(where := address.parse(text))
            self.security.check_client(where, role)

    @property
    def _linger_s(self) -> float:
        """Seconds left of the shutdown time for peers to read the last messages."""
        return max(self._finish_by_ns - now_ns(), 0) / 1e9

    def _work(self, stop: threading.Event, on_ready: Callable[[WorkerStats], None]) -> None:
        try:
            endpoint = stats_endpoints(self.role, self.config.endpoints)[0]
            self._stats_publisher = Publisher(endpoint, self.config.wire, self.security, queue=SMALL_QUEUE)
            self._publishers.append(self._stats_publisher)
            self._check_endpoints()
            if self.config.control.listen:
                links = LinkVerbs(self.role, lambda: self.config.endpoints, self.receivers, self._link)
                self._control = Control(self.config, self.stats, [*self.verbs(), *links.all])
                self.resources.callback(self._control.close)
            self.open()
        except UserError as error:  # already a readable one-line error
            raise WorkerError(str(error)) from error
        self.stats.state = "ready"
        self.publish_stats()
        on_ready(self.stats)
        control, tick_s = self._control, TICK_S
        if control:
            tick_s = _ASKED_TICK_S
            control.queue.accept()
            self.event(f"control: {control.address}")
        while not stop.is_set() and self._is_read and self.tick(tick_s):
            if control:
                control.queue.do_all()
            self.publish_stats_if_due()
        self.stats.state = "stopping"
        if control:
            control.queue.refuse("the worker is stopping")
        self.publish_stats()
        self._finish_by_ns = now_ns() + int(self.config.run.drain_timeout_s * 1e9)
        self.finish(self._finish_by_ns)
        self.stats.state = "stopped"
