"""Statistics of a worker: frames by fate, latencies by stage, cache states.

All counts are cumulative since the worker's start, so that a lost message loses no information, and the
statistics of several workers can be added (``merge``). The structs are sent over the wire, so every number
and every collection is bounded.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

import msgspec

from pipeline.base.frame import StreamState
from pipeline.base.picture_state import PictureState
from pipeline.base.ranges import MOST_COUNT, Count, Difference, Duration, FrameCount, TimeNs
from pipeline.base.text import StreamId

_LARGEST_BUCKET = 1023
_BUCKETS_PER_OCTAVE = 16  # adjacent buckets differ by 4.4 %, so a percentile is off by at most 2.2 %
_SMALLEST = 0.01

MOST_STREAMS = 256
"""Largest number of streams per worker and per receiver."""
MOST_LINKS = 64
MOST_EVENTS = 256
"""Limit per message; a worker sends several messages per second."""

Bucket: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_BUCKET)]
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=256)]
Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=65536)]
Counts: TypeAlias = Annotated[dict[Name, Count], msgspec.Meta(max_length=64)]
"""Counts by reason, depth or setting."""
Detail: TypeAlias = Text | bool | Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)] | Difference


class Histogram(msgspec.Struct):
    """Distribution in logarithmic buckets: bounded, mergeable, accurate to 2.2 %.

    Durations are in ms, angles in degrees.

    Attributes:
        counts: Number of values by bucket; bucket ``b`` is centred on ``0.01 * 2 ** (b / 16)``.
        largest: The largest value seen.
    """

    counts: dict[Bucket, Count] = {}
    largest: Duration = 0.0

    def record(self, value: float) -> None:
        """Adds one value; everything under 0.01 counts as 0.01."""
        octaves = math.log2(max(value, _SMALLEST) / _SMALLEST)
        bucket = min(round(_BUCKETS_PER_OCTAVE * octaves), _LARGEST_BUCKET)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.largest = max(self.largest, value)

    def merge(self, other: "Histogram") -> None:
        """Adds the values of another histogram."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.largest = max(self.largest, other.largest)

    @property
    def total(self) -> int:
        """Number of recorded values."""
        return sum(self.counts.values())

    def centres(self) -> Iterator[tuple[float, int]]:
        """The centre of each bucket and its number of values, in ascending order."""
        for bucket in sorted(self.counts):
            yield _SMALLEST * math.exp2(bucket / _BUCKETS_PER_OCTAVE), self.counts[bucket]

    def percentile(self, percent: float) -> float | None:
        """The value that ``percent`` % of the values do not exceed; None if nothing was recorded."""
        rank = math.ceil(self.total * percent / 100)
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return min(_SMALLEST * math.exp2(bucket / _BUCKETS_PER_OCTAVE), self.largest)
        return None


def add_counts(into: dict[str, int], counts: dict[str, int]) -> None:
    """Adds each of ``counts`` to the count of the same name in ``into``.

    Sums are clamped to the range of a count: forged counts can't make a worker's own messages invalid.
    """
    for name, count in counts.items():
        into[name] = min(max(into.get(name, 0) + count, 0), MOST_COUNT)


class Freshness(msgspec.Struct):
    """State of the cap on the age of predictions: see ``pipeline.flow.freshness``.

    Attributes:
        max_age_ms: The target.
        age_ms: Recent 90th percentile of the time from capture to prediction; None without reports.
        quality: JPEG quality; 0 keeps the configured encoding.
        size: Divisor of both sides of a frame.
        stride: Every ``stride``-th frame is sent.
        turns: How often each setting was changed, by setting and direction.
    """

    max_age_ms: Duration
    age_ms: Difference | None = None
    quality: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    size: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 1
    stride: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 1
    turns: Counts = {}


class SourceFormat(msgspec.Struct):
    """What a source delivers.

    Attributes:
        width_px: Width of its newest frame.
        height_px: Height of its newest frame.
        fps: Its nominal frame rate; None if it does not provide one.
        unpaced: Whether a file or folder is played as fast as inference accepts its frames.
    """

    width_px: Annotated[int, msgspec.Meta(ge=1, le=2**20)]
    height_px: Annotated[int, msgspec.Meta(ge=1, le=2**20)]
    fps: Duration | None = None
    unpaced: bool = False


class ThingStats(msgspec.Struct, omit_defaults=True):
    """Moving objects found in one stream, and their accuracy if the source has ground truth (inference).

    Attributes:
        now: Human-readable summary of current motion; empty without dense motion or a past frame.
        seen: Number of distinct moving objects.
        moved_ms: Time of motion by direction; times of simultaneous objects add up.
        longest_ms: Longest time for which an object was tracked.
        fastest: Highest speed, in image widths per second.
        judged: Detections, one per object and frame, that were compared with ground truth.
        movers: Ground-truth objects, one per object and frame, that had to be found.
        found: Those of them that were found.
        direction_errors: Direction errors of these, in degrees.
    """

    now: Text = ""
    seen: Count = 0
    moved_ms: Counts = {}
    longest_ms: Duration = 0.0
    fastest: Duration = 0.0
    judged: Count = 0
    movers: Count = 0
    found: Count = 0
    direction_errors: Histogram = msgspec.field(default_factory=Histogram)

    def merge(self, other: "ThingStats") -> None:
        """Adds the counts of another process."""
        for name in ("seen", "judged", "movers", "found"):
            setattr(self, name, min(getattr(self, name) + getattr(other, name), MOST_COUNT))
        self.now = other.now or self.now
        add_counts(self.moved_ms, other.moved_ms)
        self.longest_ms = max(self.longest_ms, other.longest_ms)
        self.fastest = max(self.fastest, other.fastest)
        self.direction_errors.merge(other.direction_errors)


class StreamStats(msgspec.Struct):
    """Statistics of one worker for one stream; a worker fills in only what it observes itself.

    Attributes:
        state: State of the source, as known to this worker.
        error: Why the source failed permanently, in one line; empty if it did not (capture).
        retry_ns: Unix time in ns of the next attempt to open the source; 0 if none is due (capture).
        is_left_out: Whether inference workers are connected but none has taken this stream for a while
            (capture).
        epoch: The newest epoch seen.
        captured: Frames that the source delivered (capture).
        sent: Frames that capture sent (capture).
        received: Frames that arrived at inference.
        predicted: Frames for which a prediction was sent (inference).
        rendered: Frames that reached the sink's outputs (sink).
        rendered_without: Those of them that were shown without their own prediction, by reason (sink).
        dropped: Frames that were discarded, by ``<stage>.<reason>``.
        not_predicted: Frames without a prediction, by ``<stage>.<reason>``; the sink may still show them.
        backbone_passes: Frames that went through the backbone (inference).
        reused: Frames that skipped the backbone because they equalled the previous frame (inference).
        rebuilt: Frames that were only added to the cache: capture sent them again to a worker that joined
            late (inference).
        depth: Predictions by the number of past frames that they used, ``"0"`` to ``"T"``.
        resets: How often the cache was emptied, by reason.
        labelled: Predictions whose true label is known (inference).
        correct: Those of them whose top label is the true one.
        things: Statistics of moving objects (inference).
        health_us: Time in each state of image health, in microseconds (inference).
        picture: Current state of image health (inference).
        bad_since_ns: Unix time in ns since which that state has been bad; 0 if it is ok (inference).
        events: Number of events by kind; an event with a duration counts once (sink).
        cache_depth: Current number of past frames in the cache (inference).
        latency: Durations by stage.
        freshness: State of the cap on the age of predictions; None without one (capture).
        source: Frame size and rate of the source; None before its first frame (capture).
        seen: Number of frames sent, by session: the highest ``seq`` + 1.
        fps: Frame rate of this worker's own output over about the last two seconds.
        first_ns: Unix time in ns of this worker's first frame; 0 if none.
        last_ns: Unix time in ns of this worker's last frame; 0 if none.
    """

    state: StreamState = "waiting"
    error: Text = ""
    retry_ns: TimeNs = 0
    is_left_out: bool = False
    epoch: FrameCount = 0
    captured: Count = 0
    sent: Count = 0
    received: Count = 0
    predicted: Count = 0
    rendered: Count = 0
    rendered_without: Counts = {}
    dropped: Counts = {}
    not_predicted: Counts = {}
    backbone_passes: Count = 0
    reused: Count = 0
    rebuilt: Count = 0
    depth: Counts = {}
    resets: Counts = {}
    labelled: Count = 0
    correct: Count = 0
    things: ThingStats = msgspec.field(default_factory=ThingStats)
    health_us: Counts = {}
    picture: PictureState = "ok"
    bad_since_ns: TimeNs = 0
    events: Counts = {}
    cache_depth: Count = 0
    latency: Annotated[dict[Name, Histogram], msgspec.Meta(max_length=64)] = {}
    freshness: Freshness | None = None
    source: SourceFormat | None = None
    seen: dict[TimeNs, Count] = {}
    fps: Duration = 0.0
    first_ns: TimeNs = 0
    last_ns: TimeNs = 0

    def drop(self, stage_reason: str, count: int = 1) -> None:
        """Counts discarded frames, for example ``"wire.lost"``."""
        if count:
            add_counts(self.dropped, {stage_reason: count})

    def skip(self, stage_reason: str, count: int = 1) -> None:
        """Counts frames without a prediction, which may still be shown."""
        if count:
            add_counts(self.not_predicted, {stage_reason: count})

    def record(self, stage: str, duration_ns: int) -> None:
        """Adds one duration in nanoseconds to a stage's histogram."""
        self.latency.setdefault(stage, Histogram()).record(duration_ns / 1e6)

    def mark(self, time_ns: int) -> None:
        """Records the time of a frame, for the average rate."""
        self.first_ns = self.first_ns or time_ns
        self.last_ns = time_ns

    def average_fps(self) -> float | None:
        """Frames per second between this worker's first and last frame; None with fewer than two."""
        frames = self.rendered or self.predicted or self.captured
        seconds = (self.last_ns - self.first_ns) / 1e9
        return (frames - 1) / seconds if frames > 1 and seconds > 0 else None


WorkerState = Literal["starting", "ready", "stopping", "stopped", "failed"]


class WorkerStats(msgspec.Struct):
    """A worker's report, sent several times per second.

    Attributes:
        worker: Name, unique in a pipeline.
        role: ``capture``, ``inference`` or ``sink``.
        session: Unix time in ns at which this process started; a restart changes it.
        host: Name of the machine.
        pid: Process id.
        state: State of the worker.
        sent_ns: Unix time in ns of these statistics.
        cpu_percent: CPU use since the last statistics, in percent of one core.
        rss_mb: Resident memory in MiB.
        streams: Statistics by stream id.
        details: Further details by name: runtime and model (inference), outputs (sink).
        lost_links: Names of connections to other workers that were up and are broken now.
        events: Human-readable events since the last statistics, newest last.
    """

    worker: Name
    role: Name
    session: TimeNs
    host: Name
    pid: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    state: WorkerState = "starting"
    sent_ns: TimeNs = 0
    cpu_percent: Duration = 0.0
    rss_mb: Duration = 0.0
    streams: Annotated[dict[StreamId, StreamStats], msgspec.Meta(max_length=MOST_STREAMS)] = {}
    details: Annotated[dict[Name, dict[Text, Detail]], msgspec.Meta(max_length=64)] = {}
    lost_links: Annotated[list[Name], msgspec.Meta(max_length=MOST_LINKS)] = []
    events: Annotated[list[Text], msgspec.Meta(max_length=MOST_EVENTS)] = []

    def stream(self, stream_id: str) -> StreamStats:
        """The statistics of a stream, created on first use."""
        return self.streams.setdefault(stream_id, StreamStats())
