"""The subscribers of a publisher, as its XPUB socket reports them."""

from collections import Counter
from collections.abc import Set

from pipeline.account.stats import MOST_STREAMS
from pipeline.base.frame import Policy
from pipeline.base.role_names import LISTENERS
from pipeline.wire import topics
from pipeline.wire.shared.reader_seats import MOST_NOTICES, SegmentReaders, count

_LISTENERS = {role.encode() for role in LISTENERS}
_NOBODY: Counter[bytes] = Counter()


class Audience:
    """Tracks receivers by their subscriptions: see ``topics``.

    Attributes:
        segments: Readers of each shared-memory segment of the publisher, by token in hexadecimal.
    """

    def __init__(self) -> None:
        self._roles: dict[Policy, Counter[str]] = {"newest": Counter(), "every": Counter()}
        self.segments: dict[bytes, SegmentReaders] = {}
        self._readers: dict[Policy, dict[str, Counter[bytes]]] = {"newest": {}, "every": {}}
        self._taken: dict[bytes, set[bytes]] = {}

    def note(self, notice: bytes) -> None:
        """Processes one notice: 1 (subscribed) or 0 (unsubscribed or disconnected), then the topic."""
        came = notice[:1] == b"\x01"
        if not came and notice[:1] != b"\x00":
            return
        match notice[1:].split(b".", 3):
            case [b"role", (b"newest" | b"every") as lane, role] if role in _LISTENERS:
                count(self._roles["newest" if lane == b"newest" else "every"], role.decode(), came)
            case [b"reader", (b"newest" | b"every") as lane, name, stream_id]:
                self._note_reader("newest" if lane == b"newest" else "every", name, stream_id, came)
            case [b"taken", name, token] if came and token in self._taken:
                if len(self._taken[token]) < MOST_NOTICES:
                    self._taken[token].add(name)
            case [b"opened" | b"closed" as what, token, name] if token in self.segments:
                self.segments[token].note(what, came, name)

    @property
    def roles(self) -> Counter[str]:
        """Number of receivers by role; a receiver counts once it is connected on both lanes."""
        return self._roles["newest"] & self._roles["every"]

    def readers(self, lane: Policy, stream_id: str | None = None) -> Set[bytes]:
        """The receivers of a stream, or of any stream, on a lane."""
        of_stream = self._readers[lane]
        if stream_id is None:
            return set[bytes]().union(*of_stream.values())
        return of_stream.get("", _NOBODY).keys() | of_stream.get(stream_id, _NOBODY).keys()

    def takers(self, role: str, lane: Policy, stream_id: str) -> Set[bytes]:
        """The receivers of a stream on a lane that have a role."""
        return {name for name in self.readers(lane, stream_id) if topics.has_role(name, role)}

    def is_left_out(self, stream_id: str) -> bool:
        """Whether inference workers are connected but none receives this stream.

        Receivers of all streams are assumed to be sinks.
        """
        readers = self._readers["every"]  # receivers announce themselves on both lanes
        takes_all = len(readers.get("", _NOBODY))
        return self.roles["inference"] > 0 and stream_id not in readers and takes_all <= self.roles["sink"]

    def ask(self, token: bytes) -> None:
        """Starts to record acknowledgements of a message."""
        self._taken.setdefault(token, set())

    def all_took(self, lane: Policy, token: bytes, stream_id: str | None = None) -> bool:
        """Whether every connected receiver of a stream, or of any stream, has acknowledged a message."""
        return self.readers(lane, stream_id) <= self._taken.get(token, set())

    def forget(self, token: bytes) -> None:
        """Drops the acknowledgements of a message."""
        self._taken.pop(token, None)

    def _note_reader(self, lane: Policy, name: bytes, stream_id: bytes, came: bool) -> None:
        of_stream, stream = self._readers[lane], stream_id.decode(errors="replace")
        is_full = len(of_stream) > MOST_STREAMS and stream  # receivers of all streams are always admitted
        if stream not in of_stream and (not came or is_full):
            return
        readers = of_stream.setdefault(stream, Counter())
        count(readers, name, came)
        if not readers:
            del of_stream[stream]
