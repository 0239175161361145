"""The ledger: combines the counts of all workers so that each frame has one fate, and builds the report.

``captured = rendered + sum(dropped)`` for each stream; any difference is ``unaccounted``. Only the worker
that finally discards a frame counts it as dropped. The last counts of a killed worker are lost; the missing
frames are then attributed to that worker, by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pipeline.account.stats import Histogram, ThingStats, WorkerStats
from pipeline.account.whole_run import by_role, killed_roles, merge, total_of, without_absence
from pipeline.base.role_names import Role

END_TO_END = ("capture_to_prediction", "capture_to_render")
STAGES = (
    "capture_queue",
    "encode",
    "wire",
    "inference_queue",
    "before_step",
    "step",
    "sink_wait",
    "draw",
    "output",
)
"""In the order in which a frame passes through them; ``before_step`` is the sum of the stages before it, and
``sink_wait`` runs in parallel with ``wire`` to ``step``."""
FEWEST_FRAMES = 100
"""Number of received frames from which a live stream can count as outpaced."""
OUTPACED_SHARE = 1 / 3
"""Inference is too slow if this fraction or more of the frames is replaced by newer ones."""
_TAKERS: tuple[Role, ...] = ("sink", "capture")
"""Roles whose workers lose frames when killed, the likelier cause first; inference has only copies."""
_FILES: Final = ("video", "videos", "predictions", "motion_maps", "store", "lost")
"""Details about outputs, kept from processes that have ended."""
_SUMMED: Final = (".delivered", ".failed")
"""Suffixes of outlet counts that are summed over restarts."""
_EVIDENCE: Final = "evidence"
"""Detail whose counts are summed over restarts; its folder stays the same."""


def build_report(
    sessions: Iterable[WorkerStats], restarts: Mapping[str, int], *, running: bool = False
) -> dict[str, Any]:
    """Builds the report of a run.

    Args:
        sessions: The last statistics of every worker process that ever reported, including ended ones.
        restarts: How often each worker was restarted, by name.
        running: Whether the pipeline is running; missing frames then count as ``in_flight``.

    Returns:
        The report as plain JSON data; its keys are described in ``docs/reference/report.md``.
    """
    everyone = sorted(sessions, key=lambda stats: stats.session)
    stream_ids = sorted({stream_id for stats in everyone for stream_id in stats.streams})
    newest = {stats.worker: stats for stats in everyone}
    details: dict[str, Any] = {}
    for stats in everyone:
        details = _together(details, stats.details)
    videos: dict[str, list[str]] = {}
    for path, stream_id in details.pop("videos", {}).items():
        if stream_id:  # empty for a file that has been deleted
            videos.setdefault(str(stream_id), []).append(path)
    return {
        "streams": {stream_id: _stream_report(stream_id, everyone, running) for stream_id in stream_ids},
        "runtime": details.pop("runtime", {}),
        "model": details.pop("model", {}),
        "workers": {
            name: {
                "restarts": restarts.get(name, 0),
                "rss_mb": round(newest[name].rss_mb, 1) if name in newest else 0.0,
                "pid": newest[name].pid if name in newest else None,
            }
            for name in sorted(newest.keys() | restarts.keys())
        },
        **({"videos": videos} if videos else {}),
        **details,
    }


def _together(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Merges the details of two processes: the files of both, and otherwise the newer one's values.

    Counts of sent events are summed; pending events are not, because the newer process has loaded them.
    """
    files = {name: older[name] | newer.get(name, {}) for name in _FILES if name in older}
    together = {**older, **newer, **files}
    if "outlets" in older and "outlets" in newer:
        before = {name: count for name, count in older["outlets"].items() if name.endswith(_SUMMED)}
        names = before | newer["outlets"]
        together["outlets"] = {name: before.get(name, 0) + newer["outlets"].get(name, 0) for name in names}
    if _EVIDENCE in older and _EVIDENCE in newer:
        before = {name: count for name, count in older[_EVIDENCE].items() if isinstance(count, int)}
        counts = {name: count for name, count in newer[_EVIDENCE].items() if isinstance(count, int)}
        sums = {name: before.get(name, 0) + count for name, count in counts.items()}
        together[_EVIDENCE] = {**newer[_EVIDENCE], **sums}
    return together


def is_outpaced(received: int, not_predicted: Mapping[str, int]) -> bool:
    """Whether inference is too slow for a live stream: newer frames replaced at least a third of its frames.

    Args:
        received: Frames that reached inference; with fewer than 100, the result is False: start-up dominates.
        not_predicted: Those of them that got no prediction, by reason.
    """
    late = not_predicted.get("inference.overflow", 0)
    return received >= FEWEST_FRAMES and late >= OUTPACED_SHARE * received


def late_at_sink(dropped: Mapping[str, int]) -> int:
    """Number of frames that were dropped because the sink was too slow to read them in time.

    Args:
        dropped: Dropped frames by reason. Without overwritten frames the result is 0, because a slow link
            may also make frames too old.
    """
    overwritten = dropped.get("wire.overwritten", 0)
    return overwritten + dropped.get("sink.too_old", 0) if overwritten else 0


def is_sink_outpaced(captured: int, dropped: Mapping[str, int]) -> bool:
    """Whether the sink is too slow for a live stream: it missed at least a third of its frames.

    Args:
        captured: Captured frames; with fewer than 100, the result is False: start-up dominates.
        dropped: Those of them that were dropped, by reason.
    """
    return captured >= FEWEST_FRAMES and late_at_sink(dropped) >= OUTPACED_SHARE * captured


def stage_order(stage: str) -> int:
    """Position of a stage in the life of a frame; unknown stages come last."""
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def fold(older: WorkerStats, newer: WorkerStats) -> WorkerStats:
    """Combines the statistics of two processes of a worker, which bounds the memory of a long run.

    Args:
        older: Statistics of the earlier process, or of several processes already combined.
        newer: Statistics of the next process.

    Returns:
        ``newer`` with the counts of both; an unclean exit stays recorded.
    """
    streams = dict(older.streams)
    for stream_id, stats in newer.streams.items():
        before = streams.get(stream_id)
        streams[stream_id] = merge([before, without_absence(stats)]) if before else stats
    state = newer.state if older.state == "stopped" else older.state
    details = _together(older.details, newer.details)
    return msgspec.structs.replace(newer, streams=streams, state=state, details=details)


def _stream_report(stream_id: str, everyone: Sequence[WorkerStats], running: bool) -> dict[str, Any]:
    roles = by_role(stream_id, everyone)
    total = total_of(stream_id, everyone, running=running)
    missing = total.captured - total.rendered - sum(total.dropped.values())
    killed = killed_roles(stream_id, everyone, running)
    in_flight = max(missing, 0) if running else 0
    if missing > 0 and not running and (culprit := next((role for role in _TAKERS if role in killed), None)):
        total.drop(f"{culprit}.killed", missing)
        missing = 0
    return {
        "captured": total.captured,
        "received": total.received,
        "predicted": total.predicted,
        "rendered": total.rendered,
        "rendered_without_prediction": dict(sorted(total.rendered_without.items())),
        "dropped": dict(sorted(total.dropped.items())),
        "not_predicted": {reason: count for reason, count in sorted(total.not_predicted.items()) if count},
        "unaccounted": missing - in_flight,
        "in_flight": in_flight,
        "backbone_passes": total.backbone_passes,
        "reused": total.reused,
        "rebuilt": total.rebuilt,
        "cache": {
            "depth": {"0": 0, "1": 0, "2": 0} | dict(sorted(total.depth.items())),
            "resets": dict(sorted(total.resets.items())),
        },
        "source": msgspec.to_builtins(total.source),
        "epochs": total.epoch + 1,
        "error": total.error or None,
        "fps": {
            "capture": _rounded(roles["capture"].average_fps()),
            "prediction": _rounded(roles["inference"].average_fps()),
            "render": _rounded(roles["sink"].average_fps()),
        },
        "latency_ms": {
            **{name: percentiles(total.latency.get(name)) for name in END_TO_END},
            "stages": {
                stage: percentiles(histogram)
                for stage, histogram in sorted(total.latency.items(), key=lambda item: stage_order(item[0]))
                if stage not in END_TO_END
            },
        },
        "freshness": msgspec.to_builtins(total.freshness),
        "labelled": total.labelled,
        "accuracy": _share(total.correct, total.labelled),
        "things": _things_report(total.things),
        "health": {state: round(us / 1e6, 1) for state, us in sorted(total.health_us.items())},
        "events": dict(sorted(total.events.items())),
    }


def _things_report(things: ThingStats) -> dict[str, Any]:
    return {
        "seen": things.seen,
        "moved_s": {name: round(count / 1000, 1) for name, count in sorted(things.moved_ms.items())},
        "longest_s": round(things.longest_ms / 1000, 1) if things.seen else None,
        "fastest": round(things.fastest, 3) if things.seen else None,
        "judged": things.judged,
        "movers": things.movers,
        "found": things.found,
        "precision": _share(things.found, things.judged),
        "recall": _share(things.found, things.movers),
        "direction_error_deg": _rounded(things.direction_errors.percentile(50)),
    }


def _share(part: int, total: int) -> float | None:
    return round(part / total, 4) if total else None


def percentiles(histogram: Histogram | None) -> dict[str, float | None]:
    """p50, p95 and p99 in milliseconds; all None if nothing was measured."""
    return {
        f"p{percent}": _rounded(histogram.percentile(percent)) if histogram else None
        for percent in (50, 95, 99)
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
