"""The ledger: combines the counts of all workers into one fate for each frame, and the report.

``captured = rendered + sum(dropped)`` for each stream; any difference is ``unaccounted``. Only the worker
that finally discards a frame counts it as dropped. The last counts of a killed worker are lost; the missing
frames are then attributed to that worker, by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pipeline.account.stats import Histogram, StreamStats, ThingStats, WorkerStats, add_counts
from pipeline.base.role_names import ROLES, Role

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
"""In the order in which a frame passes them; ``before_step`` is the sum of the stages before it, and
``sink_wait`` runs in parallel with ``wire`` to ``step``."""
FEWEST_FRAMES = 100
"""Number of received frames from which a live stream can count as outpaced."""
OUTPACED_SHARE = 1 / 3
"""Inference is too slow if this fraction of the frames is replaced by newer ones."""
_TAKERS: tuple[Role, ...] = ("sink", "capture")
"""Workers whose death loses frames, the more likely cause first; inference has only copies."""
_FILES: Final = ("video", "videos", "predictions", "motion_maps", "store", "lost")
"""Details about outputs, kept from processes that have ended."""
_SUMMED: Final = (".delivered", ".failed")
"""Suffixes of outlet counts that are summed over restarts."""
_EVIDENCE: Final = "evidence"
"""Detail whose counts are summed over restarts; its folder stays the same."""
_COUNTERS: Final = (
    "captured",
    "sent",
    "received",
    "predicted",
    "rendered",
    "backbone_passes",
    "reused",
    "rebuilt",
    "labelled",
    "correct",
)


def build_report(
    sessions: Iterable[WorkerStats], restarts: Mapping[str, int], *, running: bool = False
) -> dict[str, Any]:
    """Builds the report of a run.

    Args:
        sessions: The last statistics of every worker process that ever reported, including dead ones.
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
        received: Frames that arrived at inference; below 100 start-up effects dominate, so False.
        not_predicted: Those of them that got no prediction, by reason.
    """
    late = not_predicted.get("inference.overflow", 0)
    return received >= FEWEST_FRAMES and late >= OUTPACED_SHARE * received


def stage_order(stage: str) -> int:
    """Position of a stage in the life of a frame; unknown stages come last."""
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def merge(parts: Iterable[StreamStats]) -> StreamStats:
    """Adds up the statistics of one stream from several workers."""
    total = StreamStats()
    for part in parts:
        for name in _COUNTERS:
            setattr(total, name, getattr(total, name) + getattr(part, name))
        for name in (
            "dropped",
            "not_predicted",
            "rendered_without",
            "depth",
            "resets",
            "health_us",
            "events",
        ):
            add_counts(getattr(total, name), getattr(part, name))
        for stage, histogram in part.latency.items():
            total.latency.setdefault(stage, Histogram()).merge(histogram)
        total.things.merge(part.things)
        for session, frames in part.seen.items():
            total.seen[session] = max(total.seen.get(session, 0), frames)
        total.error = part.error or total.error
        total.freshness = part.freshness or total.freshness
        total.source = part.source or total.source
        total.epoch = max(total.epoch, part.epoch)
        total.first_ns = min(filter(None, (total.first_ns, part.first_ns)), default=0)
        total.last_ns = max(total.last_ns, part.last_ns)
    return total


def fold(older: WorkerStats, newer: WorkerStats) -> WorkerStats:
    """Combines the statistics of two processes of a worker, which bounds the memory of a long run.

    Args:
        older: Statistics of the earlier process, or of several folded ones.
        newer: Statistics of the next process.

    Returns:
        ``newer`` with the counts of both; an unclean exit stays recorded.
    """
    streams = dict(older.streams)
    for stream_id, stats in newer.streams.items():
        before = streams.get(stream_id)
        streams[stream_id] = merge([before, _without_absence(stats)]) if before else stats
    state = newer.state if older.state == "stopped" else older.state
    details = _together(older.details, newer.details)
    return msgspec.structs.replace(newer, streams=streams, state=state, details=details)


def by_role(stream_id: str, everyone: Sequence[WorkerStats]) -> dict[str, StreamStats]:
    """The statistics of one stream by role, merged in order over all processes that handled it.

    A stream may move between workers of the same role.
    """
    newest = _newest_sessions(everyone)
    lives: dict[str, list[tuple[int, StreamStats]]] = {role: [] for role in ROLES}
    for w in _may_have_had(stream_id, everyone):
        died = w.state != "stopped" and w.session != newest[w.worker, w.host]
        if w.role in lives and (died or stream_id in w.streams):
            stats = w.streams.get(stream_id, StreamStats())
            lives[w.role].append((stats.first_ns or w.session, stats))
    together = {}
    for role, its_lives in lives.items():
        in_order = [stats for _, stats in sorted(its_lives, key=lambda life: life[0])]
        if role != "capture":
            in_order[1:] = map(_without_absence, in_order[1:])
        together[role] = merge(in_order)
    return together


def _stream_report(stream_id: str, everyone: Sequence[WorkerStats], running: bool) -> dict[str, Any]:
    roles = by_role(stream_id, everyone)
    total = merge(roles.values())
    # A killed capture worker may have sent more frames than its last statistics report.
    captured = max(total.captured, sum(total.seen.values()))
    missing = captured - total.rendered - sum(total.dropped.values())
    killed = _killed_roles(stream_id, everyone, running)
    if "inference" in killed:
        _add_uncounted_predictions(total)
    in_flight = max(missing, 0) if running else 0
    if missing > 0 and not running and (culprit := next((role for role in _TAKERS if role in killed), None)):
        total.drop(f"{culprit}.killed", missing)
        missing = 0
    seen_by_inference = captured - sum(roles["capture"].dropped.values())
    unpredicted = seen_by_inference - total.predicted - sum(total.not_predicted.values())
    if unpredicted > 0 and "inference" in killed and not running:
        total.skip(_lost_predictions(stream_id, everyone), unpredicted)
    return {
        "captured": captured,
        "received": total.received,
        "predicted": total.predicted,
        "rendered": total.rendered,
        "rendered_without_prediction": dict(sorted(total.rendered_without.items())),
        "dropped": dict(sorted(total.dropped.items())),
        "not_predicted": dict(sorted(total.not_predicted.items())),
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


def _add_uncounted_predictions(total: StreamStats) -> None:
    """Adds predictions that were shown but not reported, because their inference process was killed.

    Each is assumed to have needed as many backbone passes as any other changed frame.
    """
    uncounted = total.rendered - sum(total.rendered_without.values()) - total.predicted
    if uncounted > 0:
        computed = total.predicted - total.reused
        passes = total.backbone_passes // computed if computed > 0 else 1
        total.predicted += uncounted
        total.backbone_passes += passes * uncounted


def _lost_predictions(stream_id: str, everyone: Sequence[WorkerStats]) -> str:
    """Reason for frames without a prediction: inference was killed, or was down when they arrived."""
    inference = [w for w in everyone if w.role == "inference" and stream_id in w.streams]
    last = max(inference, key=lambda w: (w.sent_ns, w.session), default=None)
    return "lost.worker_restart" if last and last.state == "stopped" else "inference.killed"


def _without_absence(stats: StreamStats) -> StreamStats:
    """Removes counts of absent frames: the worker's previous process may have processed them."""
    dropped, not_predicted = (
        {reason: count for reason, count in counts.items() if not reason.endswith(".absent")}
        for counts in (stats.dropped, stats.not_predicted)
    )
    return msgspec.structs.replace(stats, dropped=dropped, not_predicted=not_predicted)


def percentiles(histogram: Histogram | None) -> dict[str, float | None]:
    """p50, p95 and p99 in milliseconds; all None if nothing was measured."""
    return {
        f"p{percent}": _rounded(histogram.percentile(percent)) if histogram else None
        for percent in (50, 95, 99)
    }


def _newest_sessions(everyone: Sequence[WorkerStats]) -> dict[tuple[str, str], int]:
    """The last session of each worker and host; ``everyone`` is in chronological order."""
    return {(stats.worker, stats.host): stats.session for stats in everyone}


def _may_have_had(stream_id: str, everyone: Sequence[WorkerStats]) -> list[WorkerStats]:
    """The processes that may have handled a stream, including those that died before reporting it.

    A process that did not report the stream may have handled it if another process of its worker
    reported it, or if no worker of its role did. Capture workers count only for streams that they reported.
    """
    reporters = {(w.worker, w.host) for w in everyone if stream_id in w.streams}
    reported_roles = {w.role for w in everyone if stream_id in w.streams}
    return [
        w
        for w in everyone
        if stream_id in w.streams
        or (w.role != "capture" and ((w.worker, w.host) in reporters or w.role not in reported_roles))
    ]


def _killed_roles(stream_id: str, everyone: Sequence[WorkerStats], running: bool) -> set[str]:
    """Roles of workers that ended without final statistics and may have handled this stream."""
    newest = _newest_sessions(everyone)
    return {
        stats.role
        for stats in _may_have_had(stream_id, everyone)
        if stats.state != "stopped" and (not running or stats.session != newest[stats.worker, stats.host])
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
