"""Replays the motion log through the rules; the events are the same as in a live run."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.base.errors import UserError
from pipeline.base.event import Event
from pipeline.base.watched import UNNAMED_VIEW, Watch
from pipeline.events.archive import Chunk
from pipeline.events.motion_log import DamagedChunkError, LogPart, unpack
from pipeline.scene.motion_grid import MotionGrid
from pipeline.scene.rule_input import STARTED, Look
from pipeline.scene.stream_rules import StreamRules


@dataclass(slots=True)
class Replay:
    """Replays chunks of any streams; pass those of each stream in the order in which they were written.

    Attributes:
        watch: Zones, lines and rules.
        looks: Number of predictions replayed.
        damaged: Chunks that were skipped because they could not be read, each with the reason.
    """

    watch: Watch
    looks: int = 0
    damaged: list[tuple[Chunk, str]] = field(default_factory=list)
    _rules: dict[str, StreamRules] = field(default_factory=dict)

    def events(self, chunks: Iterable[Chunk]) -> Iterator[Event]:
        """The events, as they are detected; episodes open at the end of the log get no end event.

        Raises:
            UserError: The log refers to a view that the watch does not define.
        """
        for chunk in chunks:
            try:
                parts = unpack(chunk.data)
            except DamagedChunkError as error:
                self.damaged.append((chunk, str(error)))
                continue
            for part in parts:
                yield from self._take(chunk.stream_id, part)

    def _take(self, stream_id: str, part: LogPart) -> list[Event]:
        if stream_id not in self._rules:
            self._rules[stream_id] = StreamRules(stream_id, self.watch)
        rules = self._rules[stream_id]
        if isinstance(part, Look):
            self.looks += 1
            self._check_view(stream_id, part)
            return rules.take(part)
        if isinstance(part, MotionGrid):
            return []
        if part == STARTED:
            del self._rules[stream_id]
        return rules.cut(part)

    def _check_view(self, stream_id: str, look: Look) -> None:
        """Rejects an undefined view, because zones tied to it could not be placed."""
        view = look.sight.view if look.sight else UNNAMED_VIEW
        if view != UNNAMED_VIEW and view not in self.watch.views:
            raise UserError(
                f"{stream_id} was recorded in the view {view!r}, which the rules do not define: "
                f"add [views.{view}], use the --config of that run, or skip that period with --since"
            )
