"""Statistics of a worker: frames by fate, latencies by stage, cache states.

Everything here is cumulative since the worker started, so that a lost message loses nothing, and
the stats of several workers add up (``merge``). The structs go over the wire as they are: every number and
every collection is bounded.
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
_BUCKETS_PER_OCTAVE = 16  # neighbouring buckets differ by 4.4 %: the error of a percentile is at most 2.2 %
_SMALLEST = 0.01

MOST_STREAMS = 256
"""Of one worker, and that one receiver gets to know."""
MOST_LINKS = 64
MOST_EVENTS = 256
"""In one message; a worker sends several a second."""

Bucket: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_BUCKET)]
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=256)]
Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=65536)]
Counts: TypeAlias = Annotated[dict[Name, Count], msgspec.Meta(max_length=64)]
"""Counts by reason, depth or knob."""
Detail: TypeAlias = Text | bool | Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)] | Difference


class Histogram(msgspec.Struct):
    """Distribution in logarithmic buckets: bounded, mergeable, exact to 2.2 %.

    Of durations in ms; of angles in degrees.

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
        """The centre of each bucket, and how many values are in it; the smallest first."""
        for bucket in sorted(self.counts):
            yield _SMALLEST * math.exp2(bucket / _BUCKETS_PER_OCTAVE), self.counts[bucket]

    def percentile(self, percent: float) -> float | None:
        """What ``percent`` % of the values do not exceed; None if nothing was recorded."""
        rank = math.ceil(self.total * percent / 100)
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return min(_SMALLEST * math.exp2(bucket / _BUCKETS_PER_OCTAVE), self.largest)
        return None


def add_counts(into: dict[str, int], counts: dict[str, int]) -> None:
    """Adds each of ``counts`` to the count of the same name in ``into``.

    Sums stay in the range of a count, whatever a peer makes up: the worker that counts must still be heard.
    """
    for name, count in counts.items():
        into[name] = min(max(into.get(name, 0) + count, 0), MOST_COUNT)


class Freshness(msgspec.Struct):
    """What is done so that predictions stay young: see ``pipeline.flow.freshness``.

    Attributes:
        max_age_ms: The target.
        age_ms: From capture to prediction; nine in ten lately were no older. None: no reports.
        quality: JPEG quality; 0 leaves the encoding as it is configured.
        size: Each side of a picture is divided by this.
        stride: Every so many frames one is sent.
        turns: How often each knob was turned.
    """

    max_age_ms: Duration
    age_ms: Difference | None = None
    quality: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    size: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 1
    stride: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 1
    turns: Counts = {}


class ThingStats(msgspec.Struct, omit_defaults=True):
    """What was found to move in one stream, and how right that was where the source knows (inference).

    Attributes:
        now: What moves now, in words; empty without dense motion or a past frame.
        seen: Different things.
        moved_ms: By direction, for how long things went there; two at once count twice.
        longest_ms: For how long one was followed.
        fastest: Of them, in picture widths a second.
        judged: Sightings of things, one in each frame, that were compared with what is known to move.
        movers: Sightings of known movers that had to be found.
        found: Those of them that were found.
        direction_errors: Of these, in degrees.
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
        """Adds what another process has counted."""
        for name in ("seen", "judged", "movers", "found"):
            setattr(self, name, min(getattr(self, name) + getattr(other, name), MOST_COUNT))
        self.now = other.now or self.now
        add_counts(self.moved_ms, other.moved_ms)
        self.longest_ms = max(self.longest_ms, other.longest_ms)
        self.fastest = max(self.fastest, other.fastest)
        self.direction_errors.merge(other.direction_errors)


class StreamStats(msgspec.Struct):
    """What one worker counted for one stream; a worker fills in only what it sees itself.

    Attributes:
        state: Of the source, as this worker knows it.
        error: Why the source failed for good, in one line; empty if it did not (capture).
        retry_ns: Unix time in ns of the next try to open the source; 0 if none is due (capture).
        is_left_out: Inference workers are connected, but none has taken this stream for a while (capture).
        epoch: The newest epoch seen.
        captured: Pictures that the source delivered (capture).
        sent: Frames that capture handed to the wire (capture).
        received: Frames that arrived at inference.
        predicted: Frames for which a prediction went out (inference).
        rendered: Frames that reached the sink's outputs (sink).
        rendered_without: Those of them that were shown without their own prediction, by reason (sink).
        dropped: Frames that went for good, by ``<stage>.<reason>``.
        not_predicted: Frames that inference let go, by ``<stage>.<reason>``; the sink may still show them.
        backbone_passes: Frames that went through the backbone (inference).
        reused: Frames that did not, because their picture was that of the frame before (inference).
        rebuilt: Frames that were only remembered: capture sent them once more to a worker that began late
            (inference).
        depth: Predictions by the number of past frames that they saw, ``"0"`` to ``"T"``.
        resets: How often the cache was emptied, by reason.
        labelled: Predictions whose true label is known (inference).
        correct: Those of them whose best label is the true one.
        things: What was found to move (inference).
        health_us: For how long the picture was in which state, in microseconds (inference).
        picture: Its state now (inference).
        bad_since_ns: Unix time in ns from which on it has been bad; 0 where it is ok (inference).
        events: What happened, by kind; something that lasts counts once (sink).
        cache_depth: Past frames in the cache now (inference).
        latency: Durations by stage.
        freshness: What is sent so that predictions stay young; None where nobody asked (capture).
        seen: By session: number of frames that must have existed, the highest ``seq`` + 1.
        fps: Frames a second of this worker's own output, over about the last two seconds.
        first_ns: Unix time of this worker's first frame; 0 if none.
        last_ns: Unix time of this worker's last frame; 0 if none.
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
    seen: dict[TimeNs, Count] = {}
    fps: Duration = 0.0
    first_ns: TimeNs = 0
    last_ns: TimeNs = 0

    def drop(self, stage_reason: str, count: int = 1) -> None:
        """Counts frames that are gone for good, for example ``"wire.lost"``."""
        if count:
            add_counts(self.dropped, {stage_reason: count})

    def skip(self, stage_reason: str, count: int = 1) -> None:
        """Counts frames that get no prediction but may still be shown."""
        if count:
            add_counts(self.not_predicted, {stage_reason: count})

    def record(self, stage: str, duration_ns: int) -> None:
        """Adds one duration in nanoseconds to a stage's histogram."""
        self.latency.setdefault(stage, Histogram()).record(duration_ns / 1e6)

    def mark(self, time_ns: int) -> None:
        """Notes the time of a frame, for the average rate."""
        self.first_ns = self.first_ns or time_ns
        self.last_ns = time_ns

    def average_fps(self) -> float | None:
        """Frames a second between this worker's first and last frame; None with fewer than two."""
        frames = self.rendered or self.predicted or self.captured
        seconds = (self.last_ns - self.first_ns) / 1e9
        return (frames - 1) / seconds if frames > 1 and seconds > 0 else None


WorkerState = Literal["starting", "ready", "stopping", "stopped", "failed"]


class WorkerStats(msgspec.Struct):
    """What a worker reports of itself, several times a second.

    Attributes:
        worker: Name, unique in a pipeline.
        role: ``capture``, ``inference`` or ``sink``.
        session: Unix time in ns at which this process started; a restarted worker has another one.
        host: Name of the machine.
        pid: Process id.
        state: Where it is in its life.
        sent_ns: Unix time in ns of these statistics.
        cpu_percent: Of one core, since the last statistics.
        rss_mb: Resident memory in MiB.
        streams: By stream id.
        details: What else is worth showing, by name: runtime and model (inference), outputs (sink).
        lost_links: Connections to other workers that have worked and are broken now, by name.
        events: What happened since the last statistics, newest last, human-readable.
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
        """The statistics of a stream, made on first use."""
        return self.streams.setdefault(stream_id, StreamStats())
