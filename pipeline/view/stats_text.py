"""Figures as people read them: the workers' counts put together by stream, and numbers as text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.account.ledger import END_TO_END, by_role, merge, stage_order
from pipeline.account.stats import Histogram, StreamStats, WorkerStats
from pipeline.base.roles import ROLES
from pipeline.base.text import printable
from pipeline.flow.freshness.knobs import Knobs

_SILENT_S = 3.0


@dataclass(frozen=True)
class PipelineView:
    """Everything that the terminal shows.

    Attributes:
        title: What is running, in a few words.
        sessions: The last figures of every worker process that ever spoke, oldest process first.
        restarts: How often each worker was restarted, by name.
        run_s: Seconds since the start.
        states: By worker: what it is, where somebody knows better than its last figures, because that
            process is dead (``down``) or another one has taken its place (``starting``).
        events: What happened lately, newest last.
    """

    title: str
    sessions: list[WorkerStats] = field(default_factory=list)
    restarts: Mapping[str, int] = field(default_factory=dict)
    run_s: float = 0.0
    states: Mapping[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    @property
    def workers(self) -> list[WorkerStats]:
        """The newest figures of each worker, in the order of the roles."""
        newest = {figures.worker: figures for figures in self.sessions}
        return sorted(newest.values(), key=lambda figures: (*ROLES, figures.role).index(figures.role))

    @property
    def silent_s(self) -> dict[str, float]:
        """By worker: seconds since its last figures, measured against the worker that spoke last.

        0 for a worker that has never spoken: it is starting, not silent.
        """
        newest_ns = max((figures.sent_ns for figures in self.sessions), default=0)
        return {
            figures.worker: (newest_ns - figures.sent_ns) / 1e9 if figures.sent_ns else 0.0
            for figures in self.workers
        }

    @property
    def streams(self) -> dict[str, "StreamFigures"]:
        """The figures of each stream, by its id."""
        ids = sorted({stream_id for figures in self.sessions for stream_id in figures.streams})
        return {stream_id: self._stream(stream_id) for stream_id in ids}

    def state(self, figures: WorkerStats) -> str:
        """What a worker is now, in a word or two: ``ready``, ``down``, ``silent 4s`` ..."""
        if figures.worker in self.states:
            return self.states[figures.worker]
        silent_s = self.silent_s[figures.worker]
        alive = figures.state in ("starting", "ready", "stopping")
        return f"silent {silent_s:.0f}s" if alive and silent_s > _SILENT_S else figures.state

    def _stream(self, stream_id: str) -> "StreamFigures":
        living = [w for w in self.workers if stream_id in w.streams and w.worker not in self.states]
        now = {w.role: w.streams[stream_id] for w in living}
        source = now.get("capture") or next(iter(now.values()), None)
        captures = any(w.role == "capture" and w.worker in self.states for w in self.workers)
        return StreamFigures(
            total=merge(by_role(stream_id, self.sessions).values()),
            state="down" if captures or source is None else source.state,
            fps=tuple(now[role].fps if role in now else None for role in ROLES),
            cache_depth=now["inference"].cache_depth if "inference" in now else None,
        )


@dataclass(frozen=True)
class StreamFigures:
    """One stream over all workers.

    Attributes:
        total: Counts of all workers together.
        state: Of the source.
        fps: Frames a second captured, predicted, rendered; None where no worker says so.
        cache_depth: Past frames in the cache now.
    """

    total: StreamStats
    state: str
    fps: tuple[float | None, ...]
    cache_depth: int | None

    @property
    def accuracy(self) -> float | None:
        """Share of the labelled predictions that are right; None if none is labelled."""
        return self.total.correct / self.total.labelled if self.total.labelled else None

    @property
    def passes_per_frame(self) -> float | None:
        """Backbone passes for each prediction; None before the first."""
        return self.total.backbone_passes / self.total.predicted if self.total.predicted else None

    @property
    def freshness(self) -> str | None:
        """What is sent so that predictions stay young, in words; None where nothing was ever turned."""
        told = self.total.freshness
        if told is None or not told.turns:
            return None
        knobs = Knobs(told.quality, told.size, told.stride)
        return printable(f"{short(told.age_ms)} ms old, target {told.max_age_ms:g}: {knobs}")

    @property
    def losses(self) -> list[str]:
        """What was lost so far, in words: frames, predictions and cached past, by reason."""
        return _losses(self.total)


def merge_losses(streams: Iterable[StreamFigures]) -> list[str]:
    """``StreamFigures.losses`` of several streams together."""
    return _losses(merge(stream.total for stream in streams))


def _losses(total: StreamStats) -> list[str]:
    named = (
        ("dropped", total.dropped),
        ("not predicted", total.not_predicted),
        ("shown without prediction", total.rendered_without),
        ("cache reset", total.resets),
    )
    return [printable(f"{name} {with_reasons(counts)}") for name, counts in named if any(counts.values())]


def stages(streams: Mapping[str, StreamFigures]) -> list[str]:
    """All stages that were timed, end to end first, then in the order of the pipeline."""
    seen = dict.fromkeys(stage for stream in streams.values() for stage in stream.total.latency)
    return [
        *(name for name in END_TO_END if name in seen),
        *sorted((name for name in seen if name not in END_TO_END), key=stage_order),
    ]


def with_reasons(counts: Mapping[str, int]) -> str:
    """Counts as ``12 (wire.lost 10, sink.overflow 2)``, the largest first."""
    reasons = sorted(
        ((count, name) for name, count in counts.items() if count), key=lambda one: (-one[0], one[1])
    )
    detail = ", ".join(f"{name} {count}" for count, name in reasons)
    return f"{sum(counts.values())} ({detail})" if detail else "0"


def short(value: float | None) -> str:
    """A number in at most four characters where it can be: 0.42, 4.2, 42, 4200."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def p50_p95_p99(histogram: Histogram | None) -> str:
    """Three percentiles in ms as ``12/18/25``."""
    if histogram is None:
        return "-"
    return "/".join(short(histogram.percentile(percent)) for percent in (50, 95, 99))


def percent(share: float | None) -> str:
    """A share as ``98%``, rounded down so that only all of it is 100%."""
    return "-" if share is None else f"{int(share * 100 + 1e-9)}%"


def duration(seconds: float) -> str:
    """Seconds as ``0:42`` or ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
