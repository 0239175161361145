"""The interface of outlets: send one event, or report why that failed."""

from abc import ABC, abstractmethod
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from pipeline.base.errors import OutputError
from pipeline.base.event import Event


class OutletError(OutputError):
    """An outlet can't work as configured; one readable line, without secrets."""


class Undelivered(Exception):  # noqa: N818
    """A message did not get through; it is tried again.

    Attributes:
        wait_s: For how long the other side wants to be left alone; None if it did not say.
    """

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class Refused(Exception):  # noqa: N818
    """A message is not wanted, and would not be the next time; it is not tried again."""


class Message(NamedTuple):
    """An event on its way to one outlet.

    Attributes:
        number: Order in the outbox.
        outlet: Name of the outlet.
        id: The same for the same event and phase, however often it is sent.
        body: The event as JSON.
        time_ns: When it was handed over, Unix time.
    """

    number: int
    outlet: str
    id: str
    body: bytes
    time_ns: int


class Sender(ABC):
    """Sends the messages of one outlet, in a thread of its own, except for ``note`` and ``add_stream``.

    Attributes:
        where: Where to, as it may be shown: without secrets.
    """

    where: str

    @abstractmethod
    def send(self, message: Message) -> None:
        """Delivers a message: once this returns, the other side has it.

        Raises:
            Undelivered: Not now.
            Refused: Never.
        """

    def keep_up(self) -> None:  # noqa: B027
        """Called about once a second while no message waits: keeps a connection, for example.

        Raises:
            Undelivered: There is no connection.
        """

    def note(self, event: Event) -> None:  # noqa: B027
        """Takes in what is true from now on, in the sink's thread; must not wait for anything."""

    def add_stream(self, stream_id: str) -> None:  # noqa: B027
        """Takes in that there is such a stream, in the sink's thread; must not wait for anything."""

    def close(self) -> None:  # noqa: B027
        """Gives everything back; may be called twice."""


def split_url(url: str) -> SplitResult:
    """The parts of an address with a host.

    Raises:
        OutletError: It has none, or a port that is no port; its text is not shown.
    """
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:
        raise OutletError("url: is not an address: write it as scheme://host:port/path") from None
    return parts


def shown_url(parts: SplitResult) -> str:
    """Scheme, host and port: users, paths and queries may be secrets."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
