"""Sends events as text through Apprise: push notifications, chat, e-mail and other services."""

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
_LOGGER.propagate = False  # its messages may contain secrets
_LOGGER.setLevel(logging.DEBUG)  # only the log gives the reason for a failure
_STATUS = re.compile(r"\berror[=: ]+([1-5]\d\d)(?:\d\d)?\b", re.IGNORECASE)
"""Matches an HTTP status in the log; ntfy appends two digits, so 40301 means 403."""
_CAUSE = re.compile(r"\[Errno -?\d+\] ([A-Za-z ]+)|\[SSL: ([A-Z_]+)\]|(timed out)")
"""Matches the cause of a socket error in the log; the matched text contains no address."""


class Push(Sender):
    """Sends messages to a list of Apprise URLs.

    Args:
        outlet: Its settings.
        secret: More URLs, one per line; lines that begin with # are comments.

    Raises:
        OutletError: A URL is not supported by Apprise.
        MissingPackageError: Apprise is not installed.
    """

    def __init__(self, outlet: Outlet, secret: str) -> None:
        self._apprise = load_package("apprise")
        lines = [line.strip() for line in secret.splitlines()]
        urls = [*([outlet.url] if outlet.url else []), *(one for one in lines if one and one[0] != "#")]
        if not urls:
            raise OutletError("secret_file: contains no URL")
        self._services = []
        for number, url in enumerate(urls, 1):
            with _heard(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Apprise imports its services here
                service = self._apprise.Apprise.instantiate(url, suppress_exceptions=True)
            which = "url" if outlet.url and number == 1 else f"address {number}"
            if service is None:
                raise OutletError(f"{which}: is not a URL that Apprise supports{self._meant(url)}")
            if _lacks_topic(url):  # Apprise would use the host as a topic of the public server ntfy.sh
                raise OutletError(f"{which}: has no topic: ntfy://HOST:PORT/TOPIC")
            # By default Apprise sleeps 5.5 s between messages; if the run ended during that sleep, a message
            # would be sent twice.
            # A service that limits the rate answers 429, which ``Delivery`` handles.
            service.request_rate_per_sec = 0.0
            service.socket_connect_timeout = service.socket_read_timeout = outlet.timeout_s
            self._services.append(service)
        names = sorted({str(service.service_name or "push") for service in self._services})
        self.where = f"push by {', '.join(names)}"
        self._sent_id, self._sent_to = "", set[int]()

    def _meant(self, url: str) -> str:
        """The end of the error about an unsupported URL: a hint at what the user may have meant."""
        scheme = url.partition("://")[0].lower()
        if scheme in ("http", "https"):
            return ': use kind = "webhook" for your own web server, or the URL scheme of a service'
        like = difflib.get_close_matches(scheme, self._apprise.plugins.N_MGR.schemas(), n=1)
        hint = f" (did you mean {like[0]}://?)" if like else ""
        return f"{hint}; supported URLs are listed at https://github.com/caronc/apprise"

    def send(self, message: Message) -> None:
        """Sends a message to each service that has not received it yet.

        Raises:
            Undelivered: A service could not be reached.
            Refused: The remaining services rejected it permanently.
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
        Refused: The body is not an event.
    """
    try:
        event = msgspec.json.decode(body, type=Event)
        when = datetime.fromisoformat(event.time).astimezone()
    except (msgspec.MsgspecError, ValueError):
        raise Refused("not an event that this version supports") from None
    return event.stream_id, f"{event_in_words(event)} ({when:%Y-%m-%d %H:%M:%S})"


def _failure(name: str, heard: list[str]) -> Undelivered | Refused:
    """Creates an error from Apprise's log. It may contain the URL, so only the status or cause is used."""
    found = next((match for text in heard if (match := _STATUS.search(text))), None)
    if found is None:
        causes = (match for text in heard if (match := _CAUSE.search(text)))
        cause = next((next(filter(None, match.groups())).lower() for match in causes), "")
        return Undelivered(f"{name} can't be reached{f': {cause.strip()}' if cause else ''}")
    failure = judged(int(found[1]))
    return type(failure)(f"{name}: {failure}")


def _lacks_topic(url: str) -> bool:
    """Whether an ntfy URL has a port but no topic."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("?")[0].rpartition("@")[2].partition("/")
    return scheme.lower() in ("ntfy", "ntfys") and ":" in host and not path.strip("/")


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Collects what Apprise logs in this thread."""
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
