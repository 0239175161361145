"""``camera_moved`` events: the camera points elsewhere for longer than a shake lasts."""

from typing import Any

from pipeline.base.episode import Episode
from pipeline.base.event import Event, Moment, event_id, rfc3339
from pipeline.base.sight import Sight, why_another
from pipeline.scene.presence import Presence

_SETTLES_IN_MS = 3000.0
_FAR = 0.04
"""Shift of an image corner, in image widths, above which the camera counts as moved."""
_NEAR = 0.025
"""Shift below which it counts as back."""


class ViewEvents:
    """Detects when the reference view of one stream has moved in the image or is lost, and when it is back.

    Args:
        stream_id: The stream.
    """

    def __init__(self, stream_id: str) -> None:
        self._stream_id = stream_id
        self._away: Presence | None = None
        self._view: tuple[str, int] | None = None
        self._episode: Episode | None = None

    def update(self, sight: Sight, now: Moment) -> list[Event]:
        """The event of the next frame, if there is one.

        Args:
            sight: Position of the view in it.
            now: When it was captured; later than the frame before.
        """
        events: list[Event] = []
        if why := why_another(self._view, sight):
            events, self._view = self.end(now, why), (sight.view, sight.taken_ns)
        if self._away is None:
            self._away = Presence(False, now, _SETTLES_IN_MS)
        limit = _NEAR if self._away.holds else _FAR
        is_away = not sight.found or sight.similarity.largest_shift(sight.aspect) > limit
        if not self._away.see(is_away, now):
            return events
        return events + (self._start(sight, self._away.since) if is_away else self._end(self._away.since))

    def end(self, now: Moment, why: str) -> list[Event]:
        """Ends all open episodes: the stream has ended, or nothing can be seen any more."""
        self._away = None
        return self._end(now, ended=why)

    def _start(self, sight: Sight, at: Moment) -> list[Event]:
        event = Event(
            id=event_id(self._stream_id, "camera_moved", at.wall_ns),
            time=rfc3339(at.wall_ns),
            stream_id=self._stream_id,
            kind="camera_moved",
            phase="start",
            score=round(sight.share, 3),
            why=_why(sight),
        )
        self._episode = Episode(event, at)
        return [event]

    def _end(self, at: Moment, **why: str) -> list[Event]:
        episode, self._episode = self._episode, None
        return [episode.end(at, **why)] if episode else []


def _why(sight: Sight) -> dict[str, Any]:
    """Position of the view: shift of its centre in image widths (y down), scale and rotation."""
    if not sight.found:
        return {"view": sight.view, "found": False}
    middle = complex(0.5, sight.aspect / 2)
    off = sight.similarity(middle) - middle
    return {
        "view": sight.view,
        "found": True,
        "shift": [round(off.real, 3), round(off.imag, 3)],
        "scale": round(abs(sight.similarity.factor), 3),
        "turn_deg": round(-sight.similarity.angle_deg, 1) + 0.0,
    }
