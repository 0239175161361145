"""Limits the number of names that peers can introduce, so that they cannot fill the memory."""

from pipeline.account.stats import MOST_STREAMS
from pipeline.base.errors import WireError
from pipeline.wire.messages import Message, Offer, Stats

MOST_WORKERS = 64
"""Largest number of workers (name and host); the statistics of each are kept, and they are large."""
MOST_SESSIONS = 4096
"""Largest number of sessions (restarts) of each worker or stream."""
_LONGEST_NAME = 64


class Census:
    """The streams and workers that a receiver has seen since its start."""

    def __init__(self) -> None:
        self._streams = _Known("stream", MOST_STREAMS)
        self._workers = _Known("worker", MOST_WORKERS)

    def admit(self, message: Message) -> None:
        """Registers the stream or worker of a validated message.

        Raises:
            WireError: Too many names (``names``) or too many sessions (``sessions``).
        """
        if isinstance(message, Stats):
            stats = message.stats
            self._workers.admit((stats.worker, stats.host), stats.session)
            for stream_id in stats.streams:
                self._streams.admit((stream_id,), 0)
        elif not isinstance(message, Offer):
            self._streams.admit((message.stream_id,), message.session)


class _Known:
    """The known sessions of each stream name, or of each worker name and host."""

    def __init__(self, kind: str, most: int) -> None:
        self._kind, self._most = kind, most
        self._sessions: dict[tuple[str, ...], set[int]] = {}

    def admit(self, names: tuple[str, ...], session: int) -> None:
        kind, sessions = self._kind, self._sessions.get(names)
        if sessions is None:
            if (longest := max(map(len, names))) > _LONGEST_NAME:
                raise WireError(
                    "names", f"a {kind} name of {longest} characters, at most {_LONGEST_NAME} allowed"
                )
            if len(self._sessions) >= self._most:
                raise WireError(
                    "names", f"more than {self._most} {kind}s: restart this worker to make room for new names"
                )
            sessions = self._sessions[names] = set()
        if session not in sessions:
            if len(sessions) >= MOST_SESSIONS:
                raise WireError(
                    "sessions",
                    f"{kind} {' on '.join(names)}: more than {MOST_SESSIONS} sessions: restart this worker",
                )
            sessions.add(session)
