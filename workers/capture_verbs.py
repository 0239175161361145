"""HTTP operations of capture: list, add and remove streams."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.account.stats import MOST_STREAMS, StreamStats
from pipeline.base.clock import now_ns
from pipeline.base.config import StreamConfig
from pipeline.base.redact import redact
from pipeline.video.source import Source, SourceError, SourceOptions
from pipeline.view.web.verbs import Asked, Done, Verb, VerbError
from workers.capture_stream import CaptureStream
from workers.source_check import check_source

_PATIENCE_NS = 10_000_000_000
"""For what was captured of a stream that is removed; then it is dropped, as nobody takes it."""


class CaptureVerbs:
    """The verbs of a capture worker.

    Args:
        streams: Gives the streams that it has.
        had: Those that it has had in its life, by name.
        add: Begins with a stream.
        end: Ends a stream in order, until a Unix time in ns; False if there was not enough time.
        options: For all sources.
    """

    def __init__(
        self,
        streams: Callable[[], list[CaptureStream]],
        had: Mapping[str, StreamStats],
        add: Callable[[StreamConfig, Source], CaptureStream],
        end: Callable[[CaptureStream, int], bool],
        options: SourceOptions,
    ) -> None:
        self._streams, self._had = streams, had
        self._begin, self._finish, self._options = add, end, options
        self.all = [
            Verb("GET", "/streams", self._list),
            Verb("POST", "/streams", self._add),
            Verb("DELETE", "/streams/{stream_id}", self._remove),
        ]

    def _list(self, asked: Asked) -> Done:
        streams = sorted(self._streams(), key=lambda stream: stream.id)
        return Done({"streams": [self._about(stream) for stream in streams]})

    @staticmethod
    def _about(stream: CaptureStream) -> dict[str, Any]:
        return {
            "stream_id": stream.id,
            "source": redact(stream.entry.source),
            "policy": stream.policy,
            "state": "ended" if stream.ended else stream.reader.state,
            "error": redact(str(stream.reader.error)) if stream.reader.error else None,
        }

    def _add(self, asked: Asked) -> Done:
        entry = asked.read(StreamConfig)
        known = self._find(entry.id)
        if known and not known.ended:
            if known.entry == entry:
                return Done(self._about(known))
            raise VerbError(409, f"{entry.id}: there is another stream of this name: remove it first")
        if entry.id not in self._had and len(self._had) >= MOST_STREAMS:
            raise VerbError(
                409,
                f"this worker has had {MOST_STREAMS} streams, removed ones included, and takes no more: "
                "remove those that you can do without, then end this process; what starts it again, "
                "such as a fleet's agent, brings back the others",
            )
        try:
            source = check_source(entry.source, self._options)
        except SourceError as error:
            raise VerbError(400, f"{entry.id}: {redact(str(error))}") from None
        if known:
            self._end(known)
        return Done(self._about(self._begin(entry, source)), 201)

    def _remove(self, asked: Asked) -> Done:
        stream = self._find(asked.stream_id)
        if stream is None:
            raise VerbError(404, f"{asked.stream_id}: no such stream")
        self._end(stream)
        return Done(self._about(stream))

    def _end(self, stream: CaptureStream) -> None:
        if not self._finish(stream, now_ns() + _PATIENCE_NS):
            raise VerbError(503, f"{stream.id}: it was stopped, but its end finds no room yet: ask again")

    def _find(self, stream_id: str) -> CaptureStream | None:
        return next((stream for stream in self._streams() if stream.id == stream_id), None)
