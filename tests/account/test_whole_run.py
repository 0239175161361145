"""What is known of a stream while and after its workers are replaced."""

from pipeline.account.ledger import build_report
from pipeline.account.stats import StreamStats, WorkerStats
from pipeline.account.whole_run import of_a_late_monitor, total_of


def worker(role: str, session: int = 1, state: str = "ready", **counts: object) -> WorkerStats:
    stats = WorkerStats(role, role, session, "host", 1, state=state)  # type: ignore[arg-type]
    stats.streams["cam"] = StreamStats(**counts)  # type: ignore[arg-type]
    return stats


def not_predicted(*everyone: WorkerStats) -> dict[str, int]:
    return total_of("cam", everyone, running=True).not_predicted


def restarted(shown: int = 90, predicted: int = 38, **newer: object) -> list[WorkerStats]:
    """Inference was killed after 40 frames, and its next process listened from frame 60 of 100."""
    return [
        worker("capture", captured=100),
        worker("inference", 2, predicted=38, not_predicted={"inference.overflow": 2}, seen={1: 40}),
        worker("inference", 3, **{"not_predicted": {"inference.absent": 60}, "seen": {1: 90}} | newer),
        worker("sink", rendered=shown, rendered_without={"timeout": shown - predicted}),
    ]


def test_frames_that_a_dead_inference_worker_has_left_are_counted_while_the_run_goes_on() -> None:
    assert not_predicted(*restarted()) == {"inference.overflow": 2, "lost.worker_restart": 20}
    stream = build_report(restarted(), {}, running=True)["streams"]["cam"]
    assert stream["not_predicted"] == {"inference.overflow": 2, "lost.worker_restart": 20}


def test_predictions_that_were_shown_and_not_reported_are_not_among_them() -> None:
    assert not_predicted(*restarted(predicted=41))["lost.worker_restart"] == 17


def test_frames_that_wait_for_their_prediction_are_not_among_them() -> None:
    waiting = restarted(predicted=30)
    assert total_of("cam", waiting, running=True).predicted == 38
    assert not_predicted(*waiting[:2], waiting[3]) == {"inference.overflow": 2}, "nobody has taken over yet"


def test_what_an_ordered_restart_has_left_counts_as_well() -> None:
    lives = restarted()
    lives[1].state = "stopped"
    assert not_predicted(*lives)["lost.worker_restart"] == 20


def test_a_restart_of_capture_in_between_leaves_them_to_the_end() -> None:
    lives = restarted(seen={9: 90}, not_predicted={"inference.absent": 60})
    assert "lost.worker_restart" not in not_predicted(*lives)


def test_a_late_monitor_does_not_call_a_worker_absent_whose_past_it_does_not_know() -> None:
    inference = worker(
        "inference", 3, predicted=245, not_predicted={"inference.absent": 2693, "wire.lost": 1}
    )
    sink = worker("sink", rendered=500, dropped={"sink.absent": 7})
    late = [of_a_late_monitor(stats) for stats in (inference, sink)]
    assert late[0].streams["cam"].not_predicted == {"inference.before_monitor": 2693, "wire.lost": 1}
    assert late[1].streams["cam"].dropped == {"sink.before_monitor": 7}
    assert inference.streams["cam"].not_predicted["inference.absent"] == 2693, "what was sent is unchanged"


def test_a_late_monitor_counts_predictions_that_the_sink_has_shown() -> None:
    inference = of_a_late_monitor(
        worker("inference", 3, predicted=245, backbone_passes=245, not_predicted={"inference.absent": 2693})
    )
    sink = worker("sink", rendered=2900, rendered_without={"skipped": 1732})
    report = build_report([worker("capture", captured=2938), inference, sink], {}, running=True)
    stream = report["streams"]["cam"]
    assert (stream["predicted"], stream["backbone_passes"]) == (1168, 1168)
    assert stream["not_predicted"] == {"inference.before_monitor": 1770}


def test_a_worker_that_a_late_monitor_knows_of_twice_was_not_absent() -> None:
    lives = restarted()
    lives[2] = of_a_late_monitor(lives[2])
    assert "inference.before_monitor" not in not_predicted(*lives)
