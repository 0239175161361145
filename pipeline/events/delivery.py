"""Delivers the events of one outlet in its own thread: in order, with retries."""

import threading
from collections.abc import Callable, Sequence

from pipeline.base.backoff import Backoff
from pipeline.base.clock import now_ns
from pipeline.base.outlet import Outlet
from pipeline.events.outbox import Outbox
from pipeline.events.sender import Message, Refused, Sender, Undelivered

WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Delays after consecutive failures; the last one repeats. Each varies at random by up to 20 %."""
_IDLE_S = 1.0


class Delivery:
    """Sends the messages of one outlet until it is stopped; undelivered messages stay in the outbox.

    Args:
        name: Name of the outlet.
        outlet: Its settings.
        sender: Delivers messages.
        outbox: Queue of messages.
        say: Receives status messages, one line each.
        waits_s: Delays before retries, see ``WAITS_S``.

    Attributes:
        delivered: Number of messages accepted by the receiver.
        failed: Number of messages dropped, by reason.
        is_down: Whether the last attempt failed.
    """

    def __init__(
        self,
        name: str,
        outlet: Outlet,
        sender: Sender,
        outbox: Outbox,
        say: Callable[[str], None],
        waits_s: Sequence[float] = WAITS_S,
    ) -> None:
        self.name, self.outlet, self.sender = name, outlet, sender
        self.delivered, self.failed, self.is_down = 0, {"refused": 0, "too_old": 0}, False
        self._outbox, self._say = outbox, say
        self._backoff = Backoff(waits_s, jitter=0.2)
        self._said: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"outlet {name}", daemon=True)

    def start(self) -> None:
        """Starts sending."""
        self._thread.start()

    def stop(self) -> None:
        """Requests a stop after the current message."""
        self._stop.set()
        self._outbox.wake()

    def join(self, timeout_s: float) -> bool:
        """Waits until it has stopped; False if a request is still pending after the timeout."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._outbox.first(self.name)
            if message is not None and self._is_too_old(message):
                continue
            try:
                if message is None:
                    self.sender.keep_up()
                else:
                    self.sender.send(message)
            except Refused as error:
                assert message is not None
                self._refuse(message, str(error))
            except Undelivered as error:
                self._wait_after(str(error), error.wait_s)
            except Exception as error:  # from a library: this thread must continue
                self._wait_after(f"unexpected {type(error).__name__} in the client library", None)
            else:
                self._succeed(message)
        self.sender.close()

    def _succeed(self, message: Message | None) -> None:
        self._backoff.reset()
        if self.is_down:
            self.is_down = False
            waiting = self._outbox.waiting(self.name)
            self._say(
                f"outlet {self.name} is back" + (f"; sending {events_in_words(waiting)}" if waiting else "")
            )
        if message is None:
            self._outbox.wait(_IDLE_S, self._has_work)
        elif self._outbox.remove(message):
            self.delivered += 1

    def _has_work(self) -> bool:
        return self._stop.is_set() or bool(self._outbox.first(self.name))

    def _refuse(self, message: Message, why: str) -> None:
        self._backoff.reset()
        self.is_down = False
        if self._outbox.remove(message):
            self.failed["refused"] += 1
        if why not in self._said:
            self._said.add(why)
            self._say(
                f"outlet {self.name} ({self.sender.where}) rejected an event: {why}; it will not be retried"
            )

    def _is_too_old(self, message: Message) -> bool:
        if now_ns() - message.time_ns <= self.outlet.give_up_after_h * 3600e9:
            return False
        if self._outbox.remove(message):
            self.failed["too_old"] += 1
        if "too_old" not in self._said:
            self._said.add("too_old")
            self._say(f"outlet {self.name}: events older than {self.outlet.give_up_after_h:g} h are dropped")
        return True

    def _wait_after(self, why: str, wanted_s: float | None) -> None:
        wait_s = max(self._backoff.next_s(), wanted_s or 0.0)
        if not self.is_down:
            self.is_down = True
            waiting = self._outbox.waiting(self.name)
            rest = f"; {events_in_words(waiting)} waiting" if waiting else ""
            self._say(f"outlet {self.name} ({self.sender.where}) is down: {why}{rest}")
        self._stop.wait(wait_s)


def events_in_words(count: int) -> str:
    """A number of events in words, such as "1 event"."""
    return f"{count} event" if count == 1 else f"{count} events"
