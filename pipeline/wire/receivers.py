"""The receiving ends: lossy streams are drained, lossless ones are read on demand."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Generic, TypeVar

from pipeline.account.footprint import MOST_BYTES, footprint
from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.closing import Closing
from pipeline.base.config import WireConfig
from pipeline.base.errors import WireError
from pipeline.base.frame import Policy
from pipeline.base.role_names import Role
from pipeline.wire import sockets, topics
from pipeline.wire.arrivals import ReceivedPrediction
from pipeline.wire.census import Census
from pipeline.wire.decoding import decode_attention, decode_message
from pipeline.wire.encoding import encode_take_view
from pipeline.wire.links import LinkState
from pipeline.wire.memory import MemoryBudget
from pipeline.wire.messages import (
    MAX_STATS_BYTES,
    BadPicture,
    EndOfStream,
    Message,
    Part,
    Prediction,
    Stats,
    TakeView,
)
from pipeline.wire.motion_maps import unpack_maps
from pipeline.wire.publisher import SMALL_QUEUE
from pipeline.wire.rejects import Rejects
from pipeline.wire.security import SecurityPolicy
from pipeline.wire.subscriber import Subscriber, ready, wait_any

_MOST_AGAIN = 256
_MOST_DRAINED = 256
_MOST_STATS = 64  # per call: each may be large
_SEVERITY: tuple[LinkState, ...] = ("up", "waiting", "lost")
T = TypeVar("T")


class Receiver(Closing, Generic[T]):
    """Base of all receivers: validates messages, rejects and counts invalid ones.

    Used only by the thread that created it.

    Attributes:
        rejects: The rejected messages.
    """

    def __init__(self, wire: WireConfig, subscribers: Sequence[Subscriber]) -> None:
        self.rejects = Rejects()
        self._census = Census()
        self._budget = MemoryBudget(wire.max_memory_mb)
        self._most_bytes = int(wire.max_frame_mb * 2**20)
        self._subscribers = subscribers
        self._lost: set[str] = set()

    @property
    def links(self) -> dict[str, LinkState]:
        """State by TCP peer, such as ``capture at tcp://host:port``; lost if any connection to it is lost."""
        links = [subscriber.links for subscriber in self._subscribers]
        return {
            name: max((states.get(name, "up") for states in links), key=_SEVERITY.index)
            for name in dict.fromkeys(name for states in links for name in states)
        }

    def pop_link_events(self) -> list[str]:
        """Links that broke or recovered since the last call, one line each."""
        links = self.links
        broken = [name for name, state in links.items() if state == "lost" and name not in self._lost]
        gone = self._lost - links.keys()
        mended = [name for name in self._lost - gone if links[name] == "up"]
        self._lost = self._lost.union(broken).difference(mended, gone)
        return [*(f"{name}: link lost" for name in broken), *(f"{name}: link is back" for name in mended)]

    def check_sources(self, sources: Sequence[tuple[Role, str]]) -> None:
        """Checks endpoints before ``replace_sources``.

        Raises:
            TransportError: One of them can't be connected to.
            SecurityError: A server needs keys, and this machine's key or the server's public key is missing.
        """
        for subscriber in self._subscribers:
            subscriber.check_sources(sources)

    def replace_sources(self, sources: Sequence[tuple[Role, str]]) -> None:
        """Connects to new endpoints and disconnects from those that are no longer listed.

        Args:
            sources: All endpoints, each with the role of the worker that listens there; already checked.
        """
        for subscriber in self._subscribers:
            subscriber.replace_sources(sources)

    def close(self) -> None:
        """Disconnects."""
        for subscriber in self._subscribers:
            subscriber.close()

    @abstractmethod
    def _accept(self, message: Message, parts: Sequence[Part]) -> T | None:
        """Converts a validated message into an item; None if the receiver itself has consumed it."""

    def _admitted(self, message: Message) -> None:
        """Called after a message has been accepted and registered in the census."""

    def _report_troubles(self, subscriber: Subscriber) -> None:
        for endpoint, cause in subscriber.pop_troubles().items():
            self.rejects.add(endpoint, WireError("link", cause))

    def _take(self, subscriber: Subscriber, most: int) -> list[T]:
        taken: list[T] = []
        for _ in range(most):
            if subscriber.lane == "every" and self._budget.is_used_up:
                break  # no loss: the publisher waits
            received = subscriber.receive()
            if received is None:
                break
            all_parts, first = received
            for parts in _messages(all_parts):
                try:
                    message = decode_message(parts, self._most_bytes)
                    item = self._accept(message, parts)
                    if item is not None:
                        self._census.admit(message)
                        self._admitted(message)
                except WireError as error:
                    self.rejects.add(sockets.peer(first) or "this machine", error)
                else:
                    taken += [item] if item is not None else []
        return taken


def _messages(parts: list[memoryview]) -> list[list[memoryview]]:
    """Splits a multipart message into messages: frames that are sent again arrive in one."""
    if not topics.is_again(parts[0]) or len(parts) > 1 + 2 * _MOST_AGAIN or len(parts) % 2 == 0:
        return [parts]
    return [[parts[0], *parts[place : place + 2]] for place in range(1, len(parts), 2)]


class LanedReceiver(Receiver[T | EndOfStream]):
    """A receiver with two connections to each publisher: for ``newest`` and for ``every`` messages.

    Args:
        sources: Endpoints to connect to, each with the role of the worker that listens there.
        topics_of: Topic prefixes for a lane and a stream; for ``""`` those of all streams.
        role: Role to announce.
        wire: The ``[wire]`` section.
        security: Security policy of the links.
        queue: Largest number of queued ``every`` messages.
        newest_queue: Largest number of queued ``newest`` messages.
        streams: Initial streams; None for all, present and future.
    """

    def __init__(
        self,
        sources: Sequence[tuple[Role, str]],
        topics_of: Callable[[Policy, str], list[bytes]],
        role: Role,
        wire: WireConfig,
        security: SecurityPolicy,
        queue: int,
        newest_queue: int,
        streams: Collection[str] | None = None,
    ) -> None:
        whole, self._topics_of = streams is None, topics_of
        self._streams: set[str] | None = None if streams is None else set()
        newest, every = (topics_of("newest", ""), topics_of("every", "")) if whole else ([], [])
        self._newest = Subscriber(
            sources, "newest", newest, wire, security, newest_queue, whole=whole, role=role
        )
        self._every = Subscriber(sources, "every", every, wire, security, queue, whole=whole, role=role)
        super().__init__(wire, (self._newest, self._every))
        for stream_id in streams or ():
            self.begin(stream_id)
        # Announced last: a publisher that sees the role can already reach this receiver on that lane.
        for subscriber in self._subscribers:
            subscriber.socket.subscribe(topics.role(subscriber.lane, role))

    def begin(self, stream_id: str) -> None:
        """Subscribes to a stream; does nothing if it is received already."""
        if self._streams is None or stream_id in self._streams:
            return
        self._streams.add(stream_id)
        for subscriber in self._subscribers:
            subscriber.begin(stream_id, self._topics_of(subscriber.lane, stream_id))

    def leave(self, stream_id: str) -> None:
        """Unsubscribes from a stream.

        Raises:
            KeyError: It was not subscribed to by name.
        """
        if self._streams is None:
            raise KeyError(stream_id)
        self._streams.remove(stream_id)
        for subscriber in self._subscribers:
            subscriber.leave(stream_id, self._topics_of(subscriber.lane, stream_id))

    def takes(self, stream_id: str) -> bool:
        """Whether messages of a stream are received."""
        return self._streams is None or stream_id in self._streams

    def lanes(self, every: bool = True) -> tuple[Subscriber, ...]:
        """Subscribers for ``wait_any``; only ``newest`` if ``every`` is False or the memory is used up."""
        return (self._newest, self._every) if every and not self._budget.is_used_up else (self._newest,)

    def poll(self, timeout_s: float = 0.0, max_every: int = 64) -> list[T | EndOfStream]:
        """Receives pending messages, in order within each stream.

        Drains all ``newest`` messages, but at most ``max_every`` ``every`` messages: the others wait, which
        eventually blocks the publisher and the source.

        Call it often, ideally from a thread that fills a ring. Between two calls, ``wire.queue_frames``
        ``newest`` frames of each of 16 streams can be queued, at most 64 in total, plus those in the
        publisher's queue; further frames are lost. Frames get older in the queue, so keep only the newest.

        Args:
            timeout_s: How long to wait for the first message.
            max_every: Largest number of ``every`` messages; with 0, the call does not wait for them either.
        """
        found = ready(timeout_s, self.lanes(max_every > 0))
        taken = []
        for subscriber, most in ((self._newest, _MOST_DRAINED), (self._every, max_every)):
            self._report_troubles(subscriber)
            if subscriber in found:
                taken += self._take(subscriber, most)
        return taken


class PredictionReceiver(LanedReceiver[ReceivedPrediction | BadPicture]):
    """Receives predictions, messages that replace them, and ends of streams; announces the role ``sink``.

    A move to another inference worker raises a stream's generation. Messages of the former worker are then
    rejected, and so are the new worker's predictions for frames that the former worker has answered.

    Args:
        endpoints: Endpoints of the inference workers.
        wire: The ``[wire]`` section.
        security: Security policy of the links.

    Raises:
        TransportError: An endpoint can't be connected to.
        SecurityError: The public key of the inference machine is missing.
    """

    def __init__(self, endpoints: Sequence[str], wire: WireConfig, security: SecurityPolicy) -> None:
        sources: list[tuple[Role, str]] = [("inference", endpoint) for endpoint in endpoints]
        super().__init__(
            sources,
            lambda lane, stream_id: [topics.predictions(lane, stream_id)],
            "sink",
            wire,
            security,
            SMALL_QUEUE,
            SMALL_QUEUE,
        )
        self._generations: dict[str, int] = {}
        self._answered: dict[str, tuple[int, int, int]] = {}

    def ask_for_view(self, wanted: TakeView) -> None:
        """Sends a view request to all inference workers; only the one that has the stream acts on it."""
        self._newest.notify(encode_take_view(wanted))

    def _accept(
        self, message: Message, parts: Sequence[Part]
    ) -> ReceivedPrediction | BadPicture | EndOfStream:
        if not isinstance(message, Prediction | BadPicture | EndOfStream):
            raise WireError("topic", f"unexpected {type(message).__name__} among predictions")
        self._check_generation(message)
        if isinstance(message, Prediction):
            attention = maps = None
            layout = message.motion_maps
            size = layout.unpacked_bytes if layout else 0
            size += len(parts[2]) if message.attention else 0
            if size and message.policy == "newest":
                self._budget.check(size)
            if message.attention is not None:
                attention = decode_attention(message.attention, parts[2])
            if layout is not None:
                maps = unpack_maps(layout, parts[-1])
            received = ReceivedPrediction(message, attention, now_ns(), maps)
            if size:
                self._budget.charge(received, size)
            return received
        return message

    @property
    def generations(self) -> dict[str, int]:
        """The highest generation seen of each stream; 0 is omitted."""
        return dict(self._generations)

    def _check_generation(self, message: Prediction | BadPicture | EndOfStream) -> None:
        known = self._generations.get(message.stream_id, 0)
        if message.generation < known:
            raise WireError(
                "generation",
                f"{message.stream_id}: an answer of generation {message.generation} is refused: the stream "
                f"has moved to another inference worker, generation {known}",
            )
        if isinstance(message, EndOfStream):
            return
        generation, session, seq = self._answered.get(message.stream_id, (0, 0, 0))
        if message.generation > generation and message.session == session and message.seq <= seq:
            raise WireError(
                "generation",
                f"{message.stream_id}: a duplicate prediction is rejected: frame {message.seq} was predicted "
                "before the stream moved to another inference worker",
            )

    def _admitted(self, message: Message) -> None:
        # Only after admission: rejected messages must not count, and the census bounds the names.
        if not isinstance(message, Prediction | BadPicture | EndOfStream):
            return
        if message.generation:
            self._generations[message.stream_id] = message.generation
        if not isinstance(message, EndOfStream):
            self._answered[message.stream_id] = (message.generation, message.session, message.seq)


class StatsReceiver(Receiver[WorkerStats]):
    """Receives the statistics of all workers.

    Args:
        endpoints: Endpoints for the statistics of each role's workers.
        wire: The ``[wire]`` section.
        security: Security policy of the links.

    Raises:
        TransportError: An endpoint can't be connected to.
        SecurityError: The public key of a machine is missing.
    """

    def __init__(
        self, endpoints: Mapping[Role, Sequence[str]], wire: WireConfig, security: SecurityPolicy
    ) -> None:
        sources = [(role, endpoint) for role, texts in endpoints.items() for endpoint in texts]
        self._all = Subscriber(
            sources, "newest", [topics.STATS], wire, security, SMALL_QUEUE, MAX_STATS_BYTES
        )
        super().__init__(wire, self.lanes())

    def lanes(self) -> tuple[Subscriber, ...]:
        """Subscribers for ``wait_any``."""
        return (self._all,)

    def poll(self, timeout_s: float = 0.0) -> list[WorkerStats]:
        """Receives pending statistics; waits at most ``timeout_s`` seconds for the first ones."""
        wait_any(timeout_s, self.lanes())
        self._report_troubles(self._all)
        return self._take(self._all, _MOST_STATS)

    def _accept(self, message: Message, parts: Sequence[Part]) -> WorkerStats:
        if isinstance(message, Stats):
            if (size := footprint(message.stats)) > MOST_BYTES:
                raise WireError("size", f"statistics of {size} bytes in memory, at most {MOST_BYTES} allowed")
            return message.stats
        raise WireError("topic", f"unexpected {type(message).__name__} among statistics")
