"""Freshness in capture: receives ages and decides how to send the next frame."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from pipeline.base.clock import ClockLead
from pipeline.base.config import FreshnessConfig
from pipeline.base.frame import Policy
from pipeline.base.rate import Rate
from pipeline.flow.freshness.ages import Feedback
from pipeline.flow.freshness.knobs import Knobs, Limits
from pipeline.flow.freshness.law import FreshnessControl

_ENOUGH_REPORTS = 4
"""Reports needed before the offset of inference's clock is accurate enough to use the ages."""


@dataclass
class _KeptStream:
    """One live stream: its control, the offset of inference's clock, and its frame rate, size and stride."""

    control: FreshnessControl
    lead: ClockLead = field(default_factory=ClockLead)
    reports: int = 0
    rate: Rate = field(default_factory=Rate)
    side_px: int = 0
    since_sent: int = 0

    def take(self, feedback: Feedback, now_ns: int) -> None:
        if self.control.is_silent(now_ns):  # may be another process with another clock
            self.lead, self.reports = ClockLead(), 0
        lead_ms = self.lead.update(feedback.sent_ns, now_ns) / 1e6
        self.reports += 1
        believed = msgspec.structs.replace(
            feedback, age_ms=feedback.age_ms - lead_ms, transit_ms=feedback.transit_ms - lead_ms
        )
        self.control.observe(believed if self.reports >= _ENOUGH_REPORTS else None, now_ns)


class FreshnessKeeper:
    """Adjusts the knobs of capture's live streams; does nothing without a maximum age.

    Args:
        freshness: The ``[freshness]`` section.
        quality: Configured JPEG quality; 0 if frames are not sent as JPEG.
        notify: Receives human-readable events.
    """

    def __init__(self, freshness: FreshnessConfig, quality: int, notify: Callable[[str], None]) -> None:
        self._freshness, self._quality, self._notify = freshness, quality, notify
        self._streams: dict[str, _KeptStream] = {}

    def add(self, stream_id: str, policy: Policy) -> None:
        """Starts to control a stream; every-frame streams are left unchanged."""
        wanted = self._freshness
        if not wanted.max_age_ms:
            return
        if policy == "every":
            self._notify(
                f"{stream_id}: --max-age (freshness.max_age_ms) applies only to live streams; "
                "this stream must not drop frames"
            )
            return
        limits = Limits(wanted.min_quality, wanted.min_side_px, wanted.min_fps)
        self._streams[stream_id] = _KeptStream(FreshnessControl(wanted.max_age_ms, limits, self._quality))

    def remove(self, stream_id: str) -> None:
        """Stops controlling a stream."""
        self._streams.pop(stream_id, None)

    def update(self, reports: Iterable[Feedback], session: int, now_ns: int) -> None:
        """Processes reports from inference and adjusts the knobs.

        Args:
            reports: Reports received since the last call.
            session: Session of the frames that this capture worker sends.
            now_ns: Unix time in ns.
        """
        for report in reports:
            if report.session == session and report.stream_id in self._streams:
                self._streams[report.stream_id].take(report, now_ns)
        for stream_id, stream in self._streams.items():
            for event in stream.control.decide(now_ns, side_px=stream.side_px, fps=stream.rate.fps(now_ns)):
                self._notify(f"{stream_id}: {event}")

    @property
    def controls(self) -> Mapping[str, FreshnessControl]:
        """The control of each stream, for statistics."""
        return {stream_id: stream.control for stream_id, stream in self._streams.items()}

    def leaves_out(self, stream_id: str, now_ns: int) -> bool:
        """Whether to skip the stream's next frame; call it once per frame."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        stream.rate.tick(now_ns)
        stream.since_sent += 1
        if stream.since_sent < stream.control.knobs.stride:
            return True
        stream.since_sent = 0
        return False

    def knobs(self, stream_id: str, side_px: int, now_ns: int) -> Knobs:
        """How to send the stream's next frame; quality 0 keeps the configured encoding.

        Args:
            stream_id: The stream.
            side_px: Shorter side of the frame.
            now_ns: Unix time in ns.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            return Knobs()
        stream.control.start(now_ns)
        stream.side_px = side_px
        knobs = stream.control.knobs
        return knobs.turned("quality", 0) if knobs.quality == self._quality else knobs
