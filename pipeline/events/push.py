"""Sends events as text by Apprise: push messages, chat, mail and other services."""

import difflib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from pipeline.base.event import Event
from pipeline.base.outlet import Outlet
from pipeline.base.packages import load_package
from pipeline.events.sender import Message, OutletError, Refused, Sender, Undelivered
from pipeline.events.webhook import judged
from pipeline.scene.sentence import event_in_words

_LOGGER = logging.getLogger("apprise")
_LOGGER.propagate = False  # what it logs may hold secrets
_LOGGER.setLevel(logging.DEBUG)  # why a service was not reached stands there only
_STATUS = re.compile(r"\berror[=: ]+([1-5]\d\d)(?:\d\d)?\b", re.IGNORECASE)
"""ntfy has codes of its own: 40301 is a 403."""
_CAUSE = re.compile(r"\[Errno -?\d+\] ([A-Za-z ]+)|\[SSL: ([A-Z_]+)\]|(timed out)")
"""Of a socket, in words that hold no address."""


class Push(Sender):
    """Addresses of Apprise that all get the message.

    Args:
        outlet: Its settings.
        secret: More addresses, one a line; lines that begin with # are comments.

    Raises:
        OutletError: An address is not an address that Apprise knows.
        MissingPackageError: Apprise is not installed.
    """

    def __init__(self, outlet: Outlet, secret: str) -> None:
        self._apprise = load_package("apprise")
        lines = [line.strip() for line in secret.splitlines()]
        urls = [*([outlet.url] if outlet.url else []), *(one for one in lines if one and one[0] != "#")]
        if not urls:
            raise OutletError("secret_file: holds no address")
        self._services = []
        for number, url in enumerate(urls, 1):
            with _heard(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it loads its services only now
                service = self._apprise.Apprise.instantiate(url, suppress_exceptions=True)
            which = "url" if outlet.url and number == 1 else f"address {number}"
            if service is None:
                raise OutletError(f"{which}: is not an address that Apprise knows{self._meant(url)}")
            if _lacks_topic(url):  # Apprise would take the host for a topic of ntfy.sh, which is public
                raise OutletError(f"{which}: has no topic: ntfy://HOST:PORT/TOPIC")
            # It would sleep 5.5 s between two: a run that ends then leaves a message that is sent twice. Who
            # wants fewer answers 429, which is waited for outside.
            service.request_rate_per_sec = 0.0
            service.socket_connect_timeout = service.socket_read_timeout = outlet.timeout_s
            self._services.append(service)
        names = sorted({str(service.service_name or "push") for service in self._services})
        self.where = f"push by {', '.join(names)}"
        self._sent_id, self._sent_to = "", set[int]()

    def _meant(self, url: str) -> str:
        """For the end of a line about an address that is unknown: what else it could be."""
        scheme = url.partition("://")[0].lower()
        if scheme in ("http", "https"):
            return ': use kind = "webhook" for your own web server; other addresses begin with a service'
        like = difflib.get_close_matches(scheme, self._apprise.plugins.N_MGR.schemas(), n=1)
        hint = f" (did you mean {like[0]}://?)" if like else ""
        return f"{hint}; they are listed at https://github.com/caronc/apprise"

    def send(self, message: Message) -> None:
        """Sends it to each service that does not have it yet.

        Raises:
            Undelivered: A service could not be reached.
            Refused: No service will ever take it.
        """
        if message.id != self._sent_id:
            self._sent_id, self._sent_to = message.id, set()
        title, body = message_in_words(message.body)
        failures: list[Undelivered | Refused] = []
        for number, service in enumerate(self._services):
            if number in self._sent_to:
                continue
            with _heard() as heard:
                done = service.notify(body=body, title=title)
            if done:
                self._sent_to.add(number)
            else:
                failures.append(_failure(str(service.service_name), heard))
        for failure in sorted(failures, key=lambda one: isinstance(one, Refused)):
            raise failure


def message_in_words(body: bytes) -> tuple[str, str]:
    """Title and text of a push message: the stream, then what happened and when, in local time.

    Raises:
        Refused: It is no event.
    """
    try:
        event = msgspec.json.decode(body, type=Event)
        when = datetime.fromisoformat(event.time).astimezone()
    except (msgspec.MsgspecError, ValueError):
        raise Refused("this version does not know such an event") from None
    return event.stream_id, f"{event_in_words(event)} ({when:%Y-%m-%d %H:%M:%S})"


def _failure(name: str, heard: list[str]) -> Undelivered | Refused:
    """What Apprise logged holds the status, and perhaps the address: only the status is taken."""
    found = next((match for text in heard if (match := _STATUS.search(text))), None)
    if found is None:
        causes = (match for text in heard if (match := _CAUSE.search(text)))
        cause = next((next(filter(None, match.groups())).lower() for match in causes), "")
        return Undelivered(f"{name} can't be reached{f': {cause.strip()}' if cause else ''}")
    failure = judged(int(found[1]))
    return type(failure)(f"{name}: {failure}")


def _lacks_topic(url: str) -> bool:
    """Whether an address of ntfy names a port, but no topic of the server that is there."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("?")[0].rpartition("@")[2].partition("/")
    return scheme.lower() in ("ntfy", "ntfys") and ":" in host and not path.strip("/")


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What Apprise logs in this thread meanwhile."""
    heard, me = list[str](), threading.get_ident()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == me:
                heard.append(record.getMessage())

    ear = Ear(logging.DEBUG)
    _LOGGER.addHandler(ear)
    try:
        yield heard
    finally:
        _LOGGER.removeHandler(ear)
