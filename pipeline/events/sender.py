"""The interface of outlets: send one event, or report why that failed."""

from abc import ABC, abstractmethod
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from pipeline.base.errors import OutputError
from pipeline.base.event import Event


class OutletError(OutputError):
    """An outlet cannot work as configured; the message is one line without secrets."""


class Undelivered(Exception):  # noqa: N818
    """A message was not delivered; it is retried.

    Attributes:
        wait_s: Retry delay in seconds requested by the receiver; None if it requested none.
    """

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class Refused(Exception):  # noqa: N818
    """A message was permanently rejected; it is not retried."""


class Message(NamedTuple):
    """An event on its way to one outlet.

    Attributes:
        number: Order in the outbox.
        outlet: Name of the outlet.
        id: Identifies the event and phase; the same for every attempt.
        body: The event as JSON.
        time_ns: Unix time at which it was queued.
    """

    number: int
    outlet: str
    id: str
    body: bytes
    time_ns: int


class Sender(ABC):
    """Sends the messages of one outlet in its own thread, except for ``note`` and ``add_stream``.

    Attributes:
        where: The destination, without secrets.
    """

    where: str

    @abstractmethod
    def send(self, message: Message) -> None:
        """Delivers a message; returns once the receiver has accepted it.

        Raises:
            Undelivered: Temporary failure.
            Refused: Permanent failure.
        """

    def keep_up(self) -> None:  # noqa: B027
        """Called about once per second while no message is queued, for example to keep a connection.

        Raises:
            Undelivered: There is no connection.
        """

    def note(self, event: Event) -> None:  # noqa: B027
        """Updates the current state from an event. Runs in the sink's thread and must not block."""

    def add_stream(self, stream_id: str) -> None:  # noqa: B027
        """Announces a stream. Runs in the sink's thread and must not block."""

    def close(self) -> None:  # noqa: B027
        """Releases all resources; may be called twice."""


def split_url(url: str) -> SplitResult:
    """Parses a URL that has a host.

    Raises:
        OutletError: It has no host, or an invalid port; the message does not contain the URL.
    """
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:
        raise OutletError("url: is not a URL: write it as scheme://host:port/path") from None
    return parts


def shown_url(parts: SplitResult) -> str:
    """Scheme, host and port; user, path and query may be secret."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
