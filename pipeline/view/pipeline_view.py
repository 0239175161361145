"""Combines the statistics of all workers by stream, for the terminal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.account.ledger import (
    END_TO_END,
    FEWEST_FRAMES,
    OUTPACED_SHARE,
    late_at_sink,
    stage_order,
)
from pipeline.account.stats import StreamStats, WorkerStats
from pipeline.account.whole_run import merge, total_of
from pipeline.base.role_names import ROLES
from pipeline.base.text import printable
from pipeline.flow.freshness.knobs import Knobs
from pipeline.scene.sentence import health_in_words
from pipeline.view.number_text import short, with_reasons

LINK_LOST = "link lost"
"""State of a live worker that cannot reach one of its peers."""
ABSENT = "absent"
"""State of a worker that has never reported to the monitor."""
NO_PICTURE = "no image"
"""Shown instead of motion while a camera is down."""
OUTPACED = (
    "inference cannot keep up: lower the frame rate (webcam: capture.fps), use a GPU, on a CPU "
    "inference.precision=int8, or a smaller inference.longer_side_px (small objects may be missed)"
)
"""Hint if inference cannot keep up with a live stream."""
SINK_OUTPACED = (
    "the sink cannot keep up: lower the frame rate (webcam: capture.fps), leave it a core (fewer "
    "inference.threads), or do not record (sink.record=false)"
)
"""Hint if the sink cannot keep up with a live stream."""
_SILENT_S = 3.0


class Usage(NamedTuple):
    """A process: its id, CPU in percent of one core, and memory in 2**20 bytes."""

    pid: int
    cpu_percent: float
    rss_mb: float


@dataclass(frozen=True)
class PipelineView:
    """Everything the terminal shows.

    Attributes:
        title: What is running, in a few words.
        sessions: The latest statistics of every worker process that ever reported, oldest process first.
        restarts: Number of restarts of each worker, by name.
        run_s: Seconds since the start.
        states: By worker, its state if its latest statistics are outdated: the process is dead
            (``down``), a new one is taking its place (``starting``), or it never reported (``absent``).
        events: The latest events, newest last.
        used_at_start: By worker that is starting and has not reported yet: what its process uses.
    """

    title: str
    sessions: list[WorkerStats] = field(default_factory=list)
    restarts: Mapping[str, int] = field(default_factory=dict)
    run_s: float = 0.0
    states: Mapping[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    used_at_start: Mapping[str, Usage] = field(default_factory=dict)

    @property
    def workers(self) -> list[WorkerStats]:
        """The newest statistics of each worker, in the order of the roles."""
        newest = {stats.worker: stats for stats in self.sessions}
        return sorted(newest.values(), key=lambda stats: (*ROLES, stats.role).index(stats.role))

    @property
    def silent_s(self) -> dict[str, float]:
        """By worker: seconds since its latest statistics, relative to the worker that reported last.

        0 for a worker that has never reported: it is starting, not silent.
        """
        newest_ns = max((stats.sent_ns for stats in self.sessions), default=0)
        return {
            stats.worker: (newest_ns - stats.sent_ns) / 1e9 if stats.sent_ns else 0.0
            for stats in self.workers
        }

    @property
    def streams(self) -> dict[str, "StreamView"]:
        """The statistics of each stream, by its id."""
        ids = sorted({stream_id for stats in self.sessions for stream_id in stats.streams})
        return {stream_id: self._stream(stream_id) for stream_id in ids}

    def is_measured(self, stats: WorkerStats) -> bool:
        """Whether its rate, CPU and memory are current: it is running and not silent."""
        return stats.worker not in self.states and self.silent_s[stats.worker] <= _SILENT_S

    def usage(self, stats: WorkerStats) -> Usage | None:
        """What a worker's process uses now; None if that is unknown."""
        if stats.worker in self.used_at_start:
            return self.used_at_start[stats.worker]
        known = self.is_measured(stats) and stats.pid
        return Usage(stats.pid, stats.cpu_percent, stats.rss_mb) if known else None

    def state(self, stats: WorkerStats) -> str:
        """State of a worker in a word or two: ``ready``, ``down``, ``link lost``, ``silent 4s`` ..."""
        if stats.worker in self.states:
            return self.states[stats.worker]
        if stats.state == "ready" and stats.lost_links:
            return LINK_LOST
        quiet_s = self._quiet_s(stats)
        return f"silent {quiet_s:.0f}s" if quiet_s else stats.state

    def _quiet_s(self, stats: WorkerStats) -> float:
        """Seconds since the last report of a running worker; 0 if that is normal."""
        silent_s = self.silent_s[stats.worker]
        alive = stats.state in ("starting", "ready", "stopping")
        return silent_s if alive and silent_s > _SILENT_S else 0.0

    def _stream(self, stream_id: str) -> "StreamView":
        living = [w for w in self.workers if stream_id in w.streams and w.worker not in self.states]
        now = {w.role: w.streams[stream_id] for w in living}
        rates = {w.role: w.streams[stream_id].fps for w in living if self.is_measured(w)}
        source = now.get("capture") or next(iter(now.values()), None)
        ended = source is not None and source.state == "ended"
        dead = any(w.role == "capture" and self.states.get(w.worker, ABSENT) != ABSENT for w in self.workers)
        state: str = "down" if dead or source is None else source.state
        silent_s = max((self._quiet_s(w) for w in living if w.role == "capture"), default=0.0)
        if silent_s and not ended:
            state = f"silent for {silent_s:.0f} s"
        # If capture does not report and inference receives no frames, neither motion nor latency is current.
        is_unheard = "capture" not in rates and not ended
        is_seen = "inference" in rates and not ended and not (is_unheard and not rates["inference"])
        moving = printable(now["inference"].things.now) if is_seen else ""
        trouble = ""
        if is_seen and now["inference"].picture != "ok":
            sent_ns = next(w.sent_ns for w in living if w.role == "inference")
            for_s = max(sent_ns - now["inference"].bad_since_ns, 0) / 1e9
            trouble = health_in_words(now["inference"].picture, for_s)
        return StreamView(
            total=total_of(stream_id, self.sessions, running=True),
            state=state,
            fps=tuple(rates.get(role) for role in ROLES),
            cache_depth=now["inference"].cache_depth if "inference" in now else None,
            moving=NO_PICTURE if (moving or trouble) and state == "down" else trouble or moving,
            is_bad=bool(trouble) or state == "down",
            is_still=is_unheard and not rates.get("sink"),
        )


@dataclass(frozen=True)
class StreamView:
    """One stream across all workers.

    Attributes:
        total: Counts of all workers together.
        state: State of the source.
        fps: Frames per second captured, predicted, rendered; None if no worker reports it.
        cache_depth: Past frames in the cache now.
        moving: What is moving now, in words, or the image's fault; empty if unknown.
        is_bad: Whether the stream has a fault.
        is_still: Whether capture does not report and no frame is shown, so that its latencies are outdated.
    """

    total: StreamStats
    state: str
    fps: tuple[float | None, ...]
    cache_depth: int | None
    moving: str
    is_bad: bool = False
    is_still: bool = False

    @property
    def accuracy(self) -> float | None:
        """Share of the predictions with a known true label that are correct; None if there are none."""
        return self.total.correct / self.total.labelled if self.total.labelled else None

    @property
    def passes_per_frame(self) -> float | None:
        """Backbone passes per prediction; None before the first."""
        return self.total.backbone_passes / self.total.predicted if self.total.predicted else None

    @property
    def freshness(self) -> str | None:
        """Current settings of the freshness control, in words; None if nothing has been adjusted."""
        freshness = self.total.freshness
        if freshness is None or not freshness.turns:
            return None
        knobs = Knobs(freshness.quality, freshness.size, freshness.stride)
        return printable(f"age {short(freshness.age_ms)} ms, target {freshness.max_age_ms:g}: {knobs}")

    @property
    def losses(self) -> list[str]:
        """Losses so far, in words: frames, predictions and cached past frames, by reason."""
        return _losses(self.total)

    @property
    def advice(self) -> str | None:
        """A hint for each worker that cannot keep up with a live stream now; None if there is none."""
        captured, predicted, shown = self.fps
        if captured is None:
            return None
        enough = (1 - OUTPACED_SHARE) * captured
        late = self.total.not_predicted.get("inference.overflow", 0)
        hints = []
        if late and self.total.received >= FEWEST_FRAMES and predicted is not None and predicted <= enough:
            hints.append(OUTPACED)
        late = late_at_sink(self.total.dropped)
        if late and self.total.captured >= FEWEST_FRAMES and shown is not None and shown <= enough:
            hints.append(SINK_OUTPACED)
        return "; ".join(hints) or None


def merge_losses(streams: Iterable[StreamView]) -> list[str]:
    """``StreamView.losses`` of several streams together."""
    return _losses(merge(stream.total for stream in streams))


def _losses(total: StreamStats) -> list[str]:
    named = (
        ("dropped", total.dropped),
        ("not predicted", total.not_predicted),
        ("cache reset", total.resets),
    )
    losses = [printable(f"{name} {with_reasons(counts)}") for name, counts in named if any(counts.values())]
    if without := sum(total.rendered_without.values()):
        losses.append(f"shown without a prediction {without}")  # mostly those that were not predicted
    return losses


def stages(streams: Mapping[str, StreamView]) -> list[str]:
    """All measured stages, end to end first, then in pipeline order."""
    seen = dict.fromkeys(stage for stream in streams.values() for stage in stream.total.latency)
    return [
        *(name for name in END_TO_END if name in seen),
        *sorted((name for name in seen if name not in END_TO_END), key=stage_order),
    ]
