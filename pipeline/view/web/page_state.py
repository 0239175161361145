"""The state that the web page receives twice a second: streams and problems."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.base.clock import now_ns
from pipeline.base.event import Event
from pipeline.view.web.board import Board
from pipeline.view.web.standing import standings
from pipeline.view.web.troubles import SourceState, Trouble, all_troubles
from pipeline.view.web.zones_and_lines import ZonesAndLines

_MOST_SHOWN = 20


class PageState:
    """Collects what the page shows of all streams. Thread-safe.

    Args:
        board: The images.
        watched: Zones and lines.
        takes_token: Whether changes are possible with the token.
        keeps_events: Whether there is a store.
    """

    def __init__(
        self, board: Board, watched: ZonesAndLines, *, takes_token: bool = False, keeps_events: bool = False
    ) -> None:
        self._board, self._watched = board, watched
        self._takes_token, self._keeps_events = takes_token, keeps_events
        self._camera_moved: dict[str, str] = {}
        self._workers: Sequence[Trouble] = ()
        self._sources: Mapping[str, SourceState] = {}

    def take_workers(self, troubles: Sequence[Trouble], sources: Mapping[str, SourceState]) -> None:
        """Updates the state of other workers and of sources; does not block."""
        self._workers, self._sources = troubles, sources
        for stream_id, source in sources.items():
            if source.has_ended:
                self._board.note_ended(stream_id)

    def take(self, event: Event) -> None:
        """Processes any event; does not block."""
        if event.kind != "camera_moved":
            return
        if event.phase == "start":
            self._camera_moved[event.stream_id] = event.time
        else:
            self._camera_moved.pop(event.stream_id, None)

    def now(self) -> dict[str, Any]:
        """Plain JSON data; times in milliseconds, Unix time of this machine.

        ``state`` is ``live`` only if each stream that has not ended has new images with predictions and there
        is no other problem; otherwise ``trouble``, ``waiting`` for the first image, or ``ended``.
        ``camera_moved`` gives, by stream, since when (RFC 3339) its camera has been pointing elsewhere.
        """
        time_ns = now_ns()
        streams = standings(self._board, time_ns)
        troubles = all_troubles(self._board, self._workers, self._sources, time_ns)
        running = [one for one in streams if one.state != "ended"]
        state = "trouble" if troubles else "live" if running else "ended" if streams else "waiting"
        return {
            "now_ms": time_ns // 1_000_000,
            "state": state,
            "streams": [one.id for one in streams],
            "ended": [one.id for one in streams if one.state == "ended"],
            "silent": [one.id for one in streams if one.state == "silent"],
            "troubles": [_in_ms(trouble) for trouble in troubles[:_MOST_SHOWN]],
            "more": max(len(troubles) - _MOST_SHOWN, 0),
            "camera_moved": {one.id: since for one in running if (since := self._camera_moved.get(one.id))},
            "takes_token": self._takes_token,
            "keeps_events": self._keeps_events,
            "watched": {one.id: self._watched.standing(one.id, time_ns) for one in running},
        }


def _in_ms(trouble: Trouble) -> dict[str, Any]:
    return {
        "words": trouble.words,
        "since_ms": None if trouble.since_ns is None else trouble.since_ns // 1_000_000,
        "next": trouble.next,
        "next_ms": None if trouble.next_ns is None else trouble.next_ns // 1_000_000,
    }
