"""Reports streams that no inference worker takes."""

from collections.abc import Callable, Iterable

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.wire.publisher import Publisher

_PATIENCE_NS = 5_000_000_000
_EVERY_NS = 500_000_000


class TakerWatch:
    """Checks that each stream has a subscriber.

    Workers that share streams choose theirs from their own configurations, which may differ.

    Args:
        publisher: The publisher of frames.
        worker: Statistics in which streams without a taker are marked.
        event: Receives human-readable events.
    """

    def __init__(self, publisher: Publisher, worker: WorkerStats, event: Callable[[str], None]) -> None:
        self._publisher, self._worker, self._event = publisher, worker, event
        self._since_ns: dict[str, int] = {}
        self._due_ns = 0

    def look(self, stream_ids: Iterable[str]) -> None:
        """Checks at most twice a second, however often it is called.

        Args:
            stream_ids: Streams that have not ended.
        """
        if (time_ns := now_ns()) < self._due_ns:
            return
        self._due_ns = time_ns + _EVERY_NS
        self._publisher.listeners()  # updates the subscriptions
        left_out = set(filter(self._publisher.audience.is_left_out, stream_ids))
        self._since_ns = {name: self._since_ns.get(name, time_ns) for name in sorted(left_out)}
        told = {name for name, since_ns in self._since_ns.items() if time_ns - since_ns >= _PATIENCE_NS}
        for name, stream in self._worker.streams.items():
            if stream.is_left_out != (name in told):
                stream.is_left_out = name in told
                words = "no inference worker has taken it: check their [[streams]], or assign it"
                self._event(f"{name}: {words if stream.is_left_out else 'an inference worker has taken it'}")
