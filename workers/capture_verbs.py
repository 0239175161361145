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
"""Time to send the captured frames of a removed stream; after that they are dropped."""


class CaptureVerbs:
    """The HTTP operations of a capture worker.

    Args:
        streams: Returns the current streams.
        had: All streams of this process so far, by name.
        add: Adds a stream.
        end: Ends a stream gracefully, until a Unix time in ns; False if there was not enough time.
        options: Options of all sources.
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
            raise VerbError(409, f"{entry.id}: another stream has this name: remove it first")
        if entry.id not in self._had and len(self._had) >= MOST_STREAMS:
            raise VerbError(
                409,
                f"this process has had {MOST_STREAMS} streams, including removed ones, and accepts no more: "
                "remove the streams that you do not need, then stop the process; whatever restarts it, "
                "such as a fleet's agent, adds the others again",
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
            raise VerbError(503, f"{stream.id}: stopped, but its end could not be sent yet: try again")

    def _find(self, stream_id: str) -> CaptureStream | None:
        return next((stream for stream in self._streams() if stream.id == stream_id), None)
