"""The outlets of the sink: sends events, and counts and reports the results."""

from collections.abc import Callable
from typing import Any

from pipeline.base.config import Config
from pipeline.base.event import Event
from pipeline.events.dispatch import Dispatch
from pipeline.events.open_sender import open_sender


class Sending:
    """Passes events to the configured outlets, if any.

    Args:
        config: The whole configuration.
        details: Details of the worker's statistics, which hold the counts.
        event: Receives human-readable events.
        note_loss: Receives what was not delivered, for the report.

    Raises:
        UserError: An outlet or the outbox can't be used as configured.
    """

    def __init__(
        self,
        config: Config,
        details: dict[str, dict[str, Any]],
        event: Callable[[str], None],
        note_loss: Callable[[str, str], None],
    ) -> None:
        self._details, self._event, self._note_loss = details, event, note_loss
        self._dispatch = (
            Dispatch(config.outlets, config.watched(), config.sink.outbox) if config.outlets else None
        )
        for stream in config.streams:
            self.add_stream(stream.id)
        self.report()

    def add_stream(self, stream_id: str) -> None:
        """Announces a stream to the outlets."""
        if self._dispatch is not None:
            self._dispatch.add_stream(stream_id)

    def hand_over(self, event: Event) -> None:
        """Queues an event; never blocks."""
        if self._dispatch is not None:
            self._dispatch.hand_over(event)

    def report(self) -> None:
        """Passes on reports and counts of the outlets."""
        if self._dispatch is not None:
            for text in self._dispatch.pop_reports():
                self._event(text)
            self._details["outlets"] = dict(self._dispatch.counts())

    def close(self) -> None:
        """Sends what can be sent quickly and reports the rest."""
        if self._dispatch is not None:
            self._dispatch.close()
            self.report()
            for name, text in self._dispatch.lost.items():
                self._note_loss(f"outlets.{name}", text)


def check_outlets(config: Config) -> None:
    """Checks before startup that every outlet can be opened.

    Raises:
        UserError: An address, a secret or a package is missing or wrong.
    """
    for name, outlet in config.outlets.items():
        open_sender(name, outlet, config.watched())
