"""Events of image health, with a start and an end."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pipeline.base.episode import Episode
from pipeline.base.event import Event, Moment, event_id, rfc3339
from pipeline.base.picture_state import BadState

Fault: TypeAlias = BadState | Literal["signal_lost"]
"""Kinds of events about the image itself rather than its content."""


class HealthEvents:
    """Health events of one stream.

    Args:
        stream_id: Its name.

    Attributes:
        state: The current fault; None if there is none.
    """

    def __init__(self, stream_id: str) -> None:
        self._stream_id = stream_id
        self.state: Fault | None = None
        self._has_seen_ok = False
        self._episode: Episode | None = None
        self._last = Moment(0, 0)

    def see_bad(
        self, state: Fault, now: Moment, for_s: float, ok_for_s: float = 0.0, why: Mapping[str, float] = {}
    ) -> list[Event]:
        """Processes an image with a fault, for which no prediction was made.

        Args:
            state: Its fault.
            now: When it was captured.
            for_s: Seconds since the fault began.
            ok_for_s: Seconds for which the images have looked good again; recovery is not confirmed yet.
            why: The measurements.
        """
        events = self.end("the stream restarted") if now.time_ns < self._last.time_ns else []
        if self.state not in (None, state):
            events += self._finish(ended=f"now {state}")
        if self.state is None:
            # a fault older than this sink starts now: the event of an earlier sink ended with that sink
            began = _before(now, for_s) if self._has_seen_ok else now
            self.state, self._episode = state, Episode(self._start(state, began, why), began)
            self._last = began
            events.append(self._episode.start)
        self._last = max(self._last, _before(now, ok_for_s))
        return events

    def see_ok(self) -> list[Event]:
        """Processes an image with a prediction."""
        self._has_seen_ok = True
        return self._finish()

    def end(self, why: str) -> list[Event]:
        """Ends the current fault: the stream has ended, or is no longer watched."""
        self._has_seen_ok = False
        return self._finish(ended=why)

    def _finish(self, **why: str) -> list[Event]:
        """Ends the fault at the time it was last seen."""
        episode, self.state, self._episode = self._episode, None, None
        return [episode.end(self._last, **why)] if episode else []

    def _start(self, state: Fault, at: Moment, why: Mapping[str, float]) -> Event:
        return Event(
            id=event_id(self._stream_id, state, "start", at.wall_ns),
            time=rfc3339(at.wall_ns),
            stream_id=self._stream_id,
            kind=state,
            phase="start",
            why=dict(why),
        )


def _before(now: Moment, seconds: float) -> Moment:
    passed_ns = round(seconds * 1e9)
    return Moment(now.time_ns - passed_ns, now.wall_ns - passed_ns)
