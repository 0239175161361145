"""Bounds the names that peers may bring: whoever made up new ones for ever would fill the memory."""

from pipeline.base.errors import WireError
from pipeline.wire.messages import Message, Offer, Stats

MOST_NAMES = 256
"""Streams, and workers, that one receiver gets to know in its life."""
MOST_SESSIONS = 4096
"""Sessions (restarts) of each of them."""
_LONGEST_NAME = 64


class Census:
    """The streams and workers that a receiver has heard of."""

    def __init__(self) -> None:
        self._streams: dict[str, set[int]] = {}
        self._workers: dict[str, set[int]] = {}

    def admit(self, message: Message) -> None:
        """Notes who a checked message is about.

        Raises:
            WireError: A name too many (``names``) or a session too many (``sessions``).
        """
        if isinstance(message, Stats):
            stats = message.stats
            _admit(self._workers, "worker", stats.worker, stats.session)
            for stream_id in stats.streams:
                _admit(self._streams, "stream", stream_id, 0)
        elif not isinstance(message, Offer):
            _admit(self._streams, "stream", message.stream_id, message.session)


def _admit(known: dict[str, set[int]], kind: str, name: str, session: int) -> None:
    sessions = known.get(name)
    if sessions is None:
        if len(name) > _LONGEST_NAME:
            raise WireError(
                "names", f"a {kind} with a name of {len(name)} letters, allowed are {_LONGEST_NAME}"
            )
        if len(known) >= MOST_NAMES:
            raise WireError(
                "names", f"more than {MOST_NAMES} {kind}s: restart this worker to make room for new names"
            )
        sessions = known[name] = set()
    if session not in sessions:
        if len(sessions) >= MOST_SESSIONS:
            raise WireError(
                "sessions", f"{kind} {name}: more than {MOST_SESSIONS} sessions: restart this worker"
            )
        sessions.add(session)
