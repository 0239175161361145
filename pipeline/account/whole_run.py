"""Adds up a stream's statistics over all processes of its workers, including those that have ended.

Frames without a prediction that no process has counted are attributed to a process that has ended.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from pipeline.account.stats import Histogram, StreamStats, WorkerStats, add_counts
from pipeline.base.role_names import ROLES

_UNHEARD: Final = "inference.before_monitor"
_IF_LATE: Final = {"inference.absent": _UNHEARD, "sink.absent": "sink.before_monitor"}
"""Reasons reported by a process that started before the monitor, and the reasons that replace them."""
_ABSENT: Final = (".absent", ".before_monitor")
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


def by_role(stream_id: str, everyone: Sequence[WorkerStats]) -> dict[str, StreamStats]:
    """The statistics of one stream by role, merged in chronological order over all processes that handled it.

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
            in_order[1:] = map(without_absence, in_order[1:])
        together[role] = merge(in_order)
    return together


def total_of(stream_id: str, everyone: Sequence[WorkerStats], *, running: bool) -> StreamStats:
    """The sum of all processes, with a reason for each frame that is known to remain without a prediction.

    Args:
        stream_id: The stream's id.
        everyone: The last statistics of every process, in chronological order.
        running: Whether the pipeline is running; frames may then still be waiting for their prediction.
    """
    roles = by_role(stream_id, everyone)
    total = merge(roles.values())
    # A killed capture worker may have sent more frames than its last statistics report.
    total.captured = max(total.captured, sum(total.seen.values()))
    _add_unheard_predictions(total)
    killed = "inference" in killed_roles(stream_id, everyone, running)
    before = total.predicted
    if killed:
        _add_uncounted_predictions(total)
    sent = total.captured - sum(roles["capture"].dropped.values())
    unpredicted = sent - total.predicted - sum(total.not_predicted.values())
    if killed and not running:
        total.skip(_lost_predictions(stream_id, everyone), max(unpredicted, 0))
    else:
        lost = _lost_between(stream_id, everyone) - (total.predicted - before)
        total.skip("lost.worker_restart", max(min(unpredicted, lost), 0))
    return total


def of_a_late_monitor(stats: WorkerStats) -> WorkerStats:
    """Statistics of a process that started before the monitor, limited to what is certain.

    The process does not know what its worker's earlier processes did, so its counts of absent frames may be
    wrong. They get the reason ``inference.before_monitor`` or ``sink.before_monitor``.
    """
    streams = {
        stream_id: msgspec.structs.replace(
            stream, dropped=_renamed(stream.dropped), not_predicted=_renamed(stream.not_predicted)
        )
        for stream_id, stream in stats.streams.items()
    }
    return msgspec.structs.replace(stats, streams=streams)


def _renamed(counts: dict[str, int]) -> dict[str, int]:
    return {_IF_LATE.get(reason, reason): count for reason, count in counts.items()}


def _add_unheard_predictions(total: StreamStats) -> None:
    """Adds predictions that were shown, but made by a process that ended before the monitor started."""
    unheard = total.not_predicted.get(_UNHEARD, 0)
    shown = total.rendered - sum(total.rendered_without.values()) - total.predicted
    if (found := min(shown, unheard)) > 0:
        _add_predictions(total, found)
        total.not_predicted = {**total.not_predicted, _UNHEARD: unheard - found}


def _lost_between(stream_id: str, everyone: Sequence[WorkerStats]) -> int:
    """Frames sent before the newest inference process took over, minus those counted by earlier ones.

    0 if capture was restarted in between: the frames of its earlier processes are counted at the end.
    """
    having = [w for w in everyone if w.role == "inference" and stream_id in w.streams]
    having.sort(key=lambda w: w.streams[stream_id].first_ns or w.session)
    *earlier, newest = [w.streams[stream_id] for w in having] or [StreamStats()]
    earlier[1:] = map(without_absence, earlier[1:])
    first_session = min(newest.seen, default=0)
    if not earlier or any(session < first_session for life in earlier for session in life.seen):
        return 0
    sent = sum(count for reason, count in newest.not_predicted.items() if reason.endswith(_ABSENT))
    return sent - sum(life.predicted + sum(life.not_predicted.values()) for life in earlier)


def _add_uncounted_predictions(total: StreamStats) -> None:
    """Adds predictions that were shown but not reported, because their inference process was killed.

    Each is assumed to have needed as many backbone passes as a frame that was not reused.
    """
    uncounted = total.rendered - sum(total.rendered_without.values()) - total.predicted
    if uncounted > 0:
        _add_predictions(total, uncounted)


def _add_predictions(total: StreamStats, count: int) -> None:
    computed = total.predicted - total.reused
    passes = total.backbone_passes // computed if computed > 0 else 1
    total.predicted += count
    total.backbone_passes += passes * count


def _lost_predictions(stream_id: str, everyone: Sequence[WorkerStats]) -> str:
    """Reason for frames without a prediction: inference was killed, or was down when they arrived."""
    inference = [w for w in everyone if w.role == "inference" and stream_id in w.streams]
    last = max(inference, key=lambda w: (w.sent_ns, w.session), default=None)
    return "lost.worker_restart" if last and last.state == "stopped" else "inference.killed"


def without_absence(stats: StreamStats) -> StreamStats:
    """Removes counts of absent frames: the worker's previous process may have processed them."""
    dropped, not_predicted = (
        {reason: count for reason, count in counts.items() if not reason.endswith(_ABSENT)}
        for counts in (stats.dropped, stats.not_predicted)
    )
    return msgspec.structs.replace(stats, dropped=dropped, not_predicted=not_predicted)


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


def killed_roles(stream_id: str, everyone: Sequence[WorkerStats], running: bool) -> set[str]:
    """Roles of workers that ended without final statistics and may have handled this stream."""
    newest = _newest_sessions(everyone)
    return {
        stats.role
        for stats in _may_have_had(stream_id, everyone)
        if stats.state != "stopped" and (not running or stats.session != newest[stats.worker, stats.host])
    }
