"""The rules of one stream, look by look: live in the sink, and again over the motion log."""

from pipeline.base.event import Event, Moment
from pipeline.base.watched import Watch
from pipeline.scene.rule_book import RuleBook
from pipeline.scene.rule_input import Cut, Look


class StreamRules:
    """Judges the looks of one stream, in order.

    Args:
        stream_id: The stream.
        watch: Zones, lines and rules.

    Attributes:
        last: When the newest look was; None before the first.
        is_new: Whether the stream began anew with it.
    """

    def __init__(self, stream_id: str, watch: Watch) -> None:
        self._stream_id, self._watch = stream_id, watch
        self._book = RuleBook(stream_id, watch)
        self._session = 0
        self.last: Moment | None = None
        self.is_new = False

    def take(self, look: Look) -> list[Event]:
        """The events of the next look, which is in steps (``in_steps``)."""
        now, events = look.now, []
        self.is_new = self.last is not None and (
            look.session != self._session or now.time_ns <= self.last.time_ns
        )
        if self.is_new:
            events = self.cut(Cut("the stream began anew"))
            self._book = RuleBook(self._stream_id, self._watch)
        self.last, self._session = now, look.session
        if look.depth:
            events += self._book.update(look.things, now)
        else:  # nothing is known of motion, and the things to come may have ids of others
            self._book.forget()
        return events

    def cut(self, cut: Cut) -> list[Event]:
        """The ends of all that has begun."""
        return self._book.end(self.last, cut.why) if self.last else []
