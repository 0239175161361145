"""Capture's side of freshness: hears the ages of predictions, and sends less while they are too old."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from pipeline.account.stats import Freshness, Rate, StreamStats
from pipeline.base.clock import ClockLead, now_ns
from pipeline.base.config import FreshnessConfig
from pipeline.base.frame import Frame, Policy
from pipeline.flow.freshness.law import Ages, FreshnessControl, Limits
from pipeline.wire.messages import Feedback

_ENOUGH_HEARD = 4
"""Words of inference before its clock is known well enough to believe the ages."""


@dataclass
class _Stream:
    """One live stream."""

    control: FreshnessControl
    lead: ClockLead = field(default_factory=ClockLead)
    heard: int = 0
    rate: Rate = field(default_factory=Rate)
    side_px: int = 0
    waited: int = 0


class FreshnessKeeper:
    """Turns the knobs of capture's live streams; does nothing where no age is asked for.

    Args:
        freshness: ``[freshness]``.
        quality: Of the JPEG pictures that are sent without it; 0 if none are.
        say: Takes events, in words for people.
    """

    def __init__(self, freshness: FreshnessConfig, quality: int, say: Callable[[str], None]) -> None:
        self._freshness, self._quality, self._say = freshness, quality, say
        self._streams: dict[str, _Stream] = {}

    def add(self, stream_id: str, policy: Policy) -> None:
        """Begins to look after a stream; one that may lose nothing is left as it is."""
        wanted = self._freshness
        if not wanted.max_age_ms:
            return
        if policy == "every":
            self._say(
                f"{stream_id}: --max-age (freshness.max_age_ms) is for live streams, "
                "and of this one every frame counts"
            )
            return
        limits = Limits(wanted.min_quality, wanted.min_side_px, wanted.min_fps)
        self._streams[stream_id] = _Stream(FreshnessControl(wanted.max_age_ms, limits, self._quality))

    def turn(self, told: Iterable[Feedback], session: int, stats: Callable[[str], StreamStats]) -> None:
        """Takes in what inference tells, and turns what has to be turned.

        Args:
            told: What has come since the last call.
            session: Of the frames that this capture worker sends.
            stats: Gives the figures of a stream.
        """
        now = now_ns()
        for feedback in told:
            if feedback.session == session and feedback.stream_id in self._streams:
                self._hear(self._streams[feedback.stream_id], feedback, now)
        for stream_id, stream in self._streams.items():
            control = stream.control
            for event in control.decide(now, side_px=stream.side_px, fps=stream.rate.fps(now)):
                self._say(f"{stream_id}: {event}")
            knobs = control.knobs
            stats(stream_id).freshness = Freshness(
                self._freshness.max_age_ms,
                None if control.age_ms is None else round(control.age_ms, 1),
                knobs.quality,
                knobs.size,
                knobs.stride,
                control.turns,
            )

    def leaves_out(self, stream_id: str) -> bool:
        """Whether the stream's next frame is not to be sent; to be asked once for each frame."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        stream.rate.tick(now_ns())
        stream.waited += 1
        if stream.waited < stream.control.knobs.stride:
            return True
        stream.waited = 0
        return False

    def prepare(self, frame: Frame) -> tuple[Frame, int]:
        """The frame as it is to be sent, with its JPEG quality; 0 if it goes as configured."""
        stream = self._streams.get(frame.id.stream_id)
        if stream is None:
            return frame, 0
        height, width = frame.image.shape[:2]
        stream.control.start(now_ns())
        stream.side_px = min(height, width)
        knobs = stream.control.knobs
        if knobs.size > 1:
            smaller = (max(1, width // knobs.size), max(1, height // knobs.size))
            image = np.asarray(cv2.resize(frame.image, smaller, interpolation=cv2.INTER_AREA), np.uint8)
            frame = replace(frame, image=image, full_size=(height, width))
        return frame, 0 if knobs.quality == self._quality else knobs.quality

    def _hear(self, stream: _Stream, feedback: Feedback, heard_ns: int) -> None:
        if stream.control.is_silent(heard_ns):  # perhaps another process by now, with another clock
            stream.lead, stream.heard = ClockLead(), 0
        lead_ms = stream.lead.update(feedback.sent_ns, heard_ns) / 1e6
        stream.heard += 1
        if stream.heard < _ENOUGH_HEARD:
            stream.control.observe(None, heard_ns)
            return
        ages = Ages(
            feedback.age_ms - lead_ms, feedback.transit_ms - lead_ms, feedback.step_ms, feedback.since_ns
        )
        stream.control.observe(ages, heard_ns)
