"""Evidence in the sink; failures are reported and do not stop the sink."""

from typing import get_args

import msgspec

from pipeline.base.config import Config
from pipeline.base.errors import UserError
from pipeline.base.event import Event
from pipeline.base.evidence import evidence_folder
from pipeline.base.frame import Image
from pipeline.base.picture_state import FAULTS
from pipeline.base.watched import RuleKind
from pipeline.events.evidence_shelf import EvidenceShelf
from pipeline.view.overlay import Shown
from workers.base import Worker
from workers.evidence_writer import EvidenceWriter

_KINDS = {*get_args(RuleKind), "camera_moved", *FAULTS}
"""Kinds of events with evidence: those in front of a camera, or of the camera itself."""
_DATED_BACK = {"stopped", "label"}
"""Kinds of rules whose events are reported ``for_s`` after they happened."""
_SELDOM_NS = 200_000_000
"""Interval between stored frames if there are no zones, lines or rules: faults and labels need few frames."""


class EvidenceTaking:
    """Saves evidence of events, if configured.

    Args:
        sink: The sink; the writer is closed with its resources.

    Raises:
        UserError: The folder can't be used. A restarted sink continues without it instead.
    """

    def __init__(self, sink: Worker) -> None:
        self._sink, self._writer = sink, None
        self._lost = ""
        self._last_ns: dict[str, int] = {}
        config = sink.config
        self._root = config.evidence_folder()
        if self._root is None:
            return
        try:
            shelf = EvidenceShelf(self._root, config.evidence.keep_days, config.evidence.max_mb)
        except UserError as error:
            if not sink.restarts:
                raise
            self._lose(str(error))
            return
        self._writer = EvidenceWriter(shelf, config.evidence)
        self._follow(config)
        sink.resources.callback(self._close)
        self.check()

    def see(self, image: Image, shown: Shown) -> None:
        """Takes a shown frame; its image must not be modified afterwards."""
        if self._writer is None:
            return
        frame = shown.frame
        since_ns = frame.capture_ns - self._last_ns.get(frame.id.stream_id, 0)
        config = self._sink.config
        if config is not self._config:  # its rules were replaced
            self._follow(config)
        if not any((config.zones, config.lines, config.rules)) and 0 <= since_ns < _SELDOM_NS:
            return
        self._last_ns[frame.id.stream_id] = frame.capture_ns
        self._writer.see(image, shown)

    def _follow(self, config: Config) -> None:
        """Keeps frames long enough for events that are reported late."""
        self._config = config
        late_s = (rule.for_s or 0.0 for rule in config.rules.values() if rule.kind in _DATED_BACK)
        if self._writer is not None:
            self._writer.reach_back(max(late_s, default=0.0))

    def take(self, event: Event, told_ns: int) -> Event:
        """Starts saving evidence of an event.

        Args:
            event: An event or its end.
            told_ns: Capture time (Unix) of the frame that confirmed it.

        Returns:
            The event with the path of its evidence.
        """
        of = event.start if event.phase == "end" else event.id
        if self._writer is None or self._root is None or event.kind not in _KINDS or of is None:
            return event
        event = msgspec.structs.replace(event, evidence=str(evidence_folder(self._root, of)))
        self._writer.tell(event, told_ns)
        return event

    def check(self) -> None:
        """Updates the counts and reports evidence that could not be written."""
        writer = self._writer
        if writer is None:
            return
        self._sink.stats.details["evidence"] = {
            "path": str(self._root),
            "written": writer.written,
            "lost": writer.lost,
            "without_clip": writer.without_clip,
            "without_any": writer.without_any,
            "missed_pictures": writer.missed,
        }
        if writer.loss:
            self._lose(writer.loss)

    def _close(self) -> None:
        if self._writer:
            self._writer.close()
            self.check()

    def _lose(self, loss: str) -> None:
        if not self._lost:
            self._sink.event(f"evidence is lost: {loss}")
        if loss != self._lost:
            self._sink.note_loss("evidence", loss)
        self._lost = loss
