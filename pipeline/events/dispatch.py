"""Passes events to all outlets without blocking the caller."""

import time
from collections import deque
from contextlib import ExitStack

import msgspec

from pipeline.base.closing import Closing
from pipeline.base.event import Event
from pipeline.base.outlet import Outlets
from pipeline.base.watched import Watch
from pipeline.events.delivery import Delivery, events_in_words
from pipeline.events.open_sender import open_sender
from pipeline.events.outbox import Outbox

_MOST_REPORTS = 100
_END_S = 2.0
"""On close: time to send the events that are still queued."""
_ANSWER_S = 0.5
"""On close: additional time to wait for pending answers."""


class Dispatch(Closing):
    """Sends events, in order and at least once, to every outlet that accepts them.

    Args:
        outlets: Outlets by name.
        watch: Zones, lines and rules.
        outbox_file: File that stores undelivered events.

    Attributes:
        lost: By outlet: how many events will never be delivered, and why, as text; set by ``close``.

    Raises:
        OutletError: An outlet is configured incorrectly.
        MissingPackageError: A package is not installed.
        OutboxError: The file cannot be used.
    """

    def __init__(self, outlets: Outlets, watch: Watch, outbox_file: str) -> None:
        self.lost: dict[str, str] = {}
        self._reports: deque[str] = deque(maxlen=_MOST_REPORTS)
        self._outbox_file = outbox_file
        with ExitStack() as opened:
            senders = {name: open_sender(name, outlet, watch) for name, outlet in outlets.items()}
            most = {name: outlet.most_waiting for name, outlet in outlets.items()}
            self._outbox = opened.enter_context(Outbox(outbox_file, most, self._reports.append))
            self._deliveries = [
                Delivery(name, outlets[name], sender, self._outbox, self._reports.append)
                for name, sender in senders.items()
            ]
            opened.pop_all()
        for delivery in self._deliveries:
            if waiting := self._outbox.waiting(delivery.name):
                self._reports.append(
                    f"outlet {delivery.name}: sending {events_in_words(waiting)} from an earlier run"
                )
            delivery.start()

    def add_stream(self, stream_id: str) -> None:
        """Announces a stream to outlets that need to know it before its first event."""
        for delivery in self._deliveries:
            delivery.sender.add_stream(stream_id)

    def hand_over(self, event: Event) -> None:
        """Queues an event; does not block."""
        body = msgspec.json.encode(event)
        for delivery in self._deliveries:
            if delivery.outlet.is_about(event):
                delivery.sender.note(event)
            if delivery.outlet.wants(event):
                self._outbox.add(delivery.name, f"{event.id}-{event.phase}", body)

    def pop_reports(self) -> list[str]:
        """Status messages since the last call, one line each."""
        return [self._reports.popleft() for _ in range(len(self._reports))]

    def counts(self) -> dict[str, int]:
        """``NAME.delivered``, ``NAME.waiting`` and ``NAME.failed`` count events; ``NAME.down`` is 0 or 1."""
        counts = {}
        for delivery in self._deliveries:
            counts[f"{delivery.name}.delivered"] = delivery.delivered
            counts[f"{delivery.name}.waiting"] = self._outbox.waiting(delivery.name)
            counts[f"{delivery.name}.failed"] = sum(self._failed(delivery).values())
            counts[f"{delivery.name}.down"] = int(delivery.is_down)
        return counts

    def close(self) -> None:
        """Sends what it can within two seconds; the rest stays in the outbox. May be called twice."""
        deadline_s = time.monotonic() + _END_S
        self._outbox.wait(_END_S, lambda: not any(map(self._has_hope, self._deliveries)))
        for delivery in self._deliveries:
            delivery.stop()
        for delivery in self._deliveries:
            delivery.join(max(deadline_s - time.monotonic(), 0.0) + _ANSWER_S)
        self._outbox.close()
        for delivery in self._deliveries:
            self._report_rest(delivery)

    def _has_hope(self, delivery: Delivery) -> bool:
        return self._outbox.waiting(delivery.name) > 0 and not delivery.is_down

    def _failed(self, delivery: Delivery) -> dict[str, int]:
        return delivery.failed | {"overflow": self._outbox.overflowed(delivery.name)}

    def _report_rest(self, delivery: Delivery) -> None:
        name = delivery.name
        unsaved = self._outbox.unsaved(name)
        if stored := self._outbox.waiting(name) - unsaved:
            self._reports.append(
                f"outlet {name}: {events_in_words(stored)} undelivered, "
                f"kept in {self._outbox_file} for the next run"
            )
        failed = {
            reason: count
            for reason, count in (self._failed(delivery) | {"unsaved": unsaved}).items()
            if count
        }
        if failed:
            words = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in failed.items())
            self.lost[name] = f"outlet {name}: {events_in_words(sum(failed.values()))} not delivered: {words}"
