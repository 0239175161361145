"""Evidence in the sink: started with it; failures are reported and frames continue."""

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
"""Kinds of events that have evidence: those that happen in front of a camera, or to it."""
_DATED_BACK = {"stopped", "label"}
"""Kinds of rules whose events are told ``for_s`` after they happened."""
_SELDOM_NS = 200_000_000
"""Where no zone, line or rule is asked for, only faults and labels are told: few pictures show them."""


class EvidenceTaking:
    """Has evidence made of events, if that is configured.

    Args:
        sink: Whose; closed with its resources.

    Raises:
        UserError: The folder can't be used. A sink that was restarted goes on without.
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
        """Takes a frame that is shown; its picture must not be altered any more."""
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
        """Keeps pictures for so long that an event that is told late can be seen."""
        self._config = config
        late_s = (rule.for_s or 0.0 for rule in config.rules.values() if rule.kind in _DATED_BACK)
        if self._writer is not None:
            self._writer.reach_back(max(late_s, default=0.0))

    def take(self, event: Event, told_ns: int) -> Event:
        """Has evidence made of an event.

        Args:
            event: What has happened, or its end.
            told_ns: Unix time at which the picture was captured with which it was clear.

        Returns:
            The event, which says where its evidence is.
        """
        of = event.start if event.phase == "end" else event.id
        if self._writer is None or self._root is None or event.kind not in _KINDS or of is None:
            return event
        event = msgspec.structs.replace(event, evidence=str(evidence_folder(self._root, of)))
        self._writer.tell(event, told_ns)
        return event

    def check(self) -> None:
        """Reports what there is, and what could not be written, as soon as that is known."""
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
