import pytest

from pipeline.account.ledger import build_report, fold, is_outpaced
from pipeline.account.stats import SourceFormat, StreamStats, ThingStats, WorkerStats
from pipeline.account.whole_run import by_role


def worker(role: str, session: int = 1, state: str = "stopped", **counts: object) -> WorkerStats:
    stats = WorkerStats(role, role, session, "host", 1, state=state)  # type: ignore[arg-type]
    stats.streams["cam"] = StreamStats(**counts)  # type: ignore[arg-type]
    return stats


def test_the_report_has_the_promised_keys() -> None:
    report = build_report([worker("capture", captured=1), worker("sink", rendered=1)], {"sink": 2})
    assert set(report) >= {"streams", "runtime", "model", "workers"}
    assert set(report["streams"]["cam"]) >= {
        *("captured", "received", "predicted", "rendered", "dropped", "not_predicted", "unaccounted"),
        *("backbone_passes", "reused", "cache", "fps", "latency_ms", "accuracy", "things"),
    }
    assert report["streams"]["cam"]["cache"] == {"depth": {"0": 0, "1": 0, "2": 0}, "resets": {}}
    assert set(report["streams"]["cam"]["latency_ms"]) == {
        "capture_to_prediction",
        "capture_to_render",
        "stages",
    }
    assert report["workers"]["sink"] == {"restarts": 2, "rss_mb": 0.0, "pid": 1}
    assert report["streams"]["cam"]["accuracy"] is None


@pytest.mark.parametrize(
    ("received", "late", "outpaced"), [(300, 99, False), (300, 100, True), (99, 99, False), (0, 0, False)]
)
def test_inference_is_too_slow_if_a_third_of_many_frames_gave_way(
    received: int, late: int, outpaced: bool
) -> None:
    assert is_outpaced(received, {"inference.overflow": late, "wire.lost": received}) == outpaced


def test_drops_of_all_stages_balance() -> None:
    report = build_report(
        [
            worker("capture", captured=10, dropped={"capture.overflow": 2}),
            worker("sink", rendered=5, dropped={"wire.lost": 1, "sink.overflow": 2}),
        ],
        {},
    )
    stream = report["streams"]["cam"]
    assert stream["dropped"] == {"capture.overflow": 2, "sink.overflow": 2, "wire.lost": 1}
    assert stream["unaccounted"] == 0


def test_a_frame_that_vanished_is_unaccounted() -> None:
    report = build_report([worker("capture", captured=10), worker("sink", rendered=9)], {})
    assert report["streams"]["cam"]["unaccounted"] == 1


def test_a_frame_that_was_shown_twice_is_unaccounted() -> None:
    report = build_report([worker("capture", captured=10), worker("sink", rendered=11)], {})
    assert report["streams"]["cam"]["unaccounted"] == -1


def test_what_a_killed_sink_took_with_it_is_put_down_to_it() -> None:
    report = build_report(
        [
            worker("capture", captured=100),
            worker("sink", session=1, state="ready", rendered=40),
            worker("sink", session=2, rendered=50, dropped={"sink.absent": 50}),
        ],
        {"sink": 1},
    )
    assert report["streams"]["cam"]["dropped"] == {"sink.killed": 10}
    assert report["streams"]["cam"]["unaccounted"] == 0


def test_frames_of_a_killed_capture_worker_that_others_saw_count_as_captured() -> None:
    report = build_report(
        [
            worker("capture", session=1, state="ready", captured=10, seen={1: 10}),
            worker("capture", session=2, captured=5, seen={2: 5}),
            worker("sink", rendered=17, seen={1: 12, 2: 5}),
        ],
        {},
    )
    assert report["streams"]["cam"]["captured"] == 17
    assert report["streams"]["cam"]["unaccounted"] == 0


def test_things_are_judged_over_all_processes() -> None:
    first = worker("inference", things=ThingStats(seen=2, judged=10, movers=8, found=6))
    second = worker("inference", session=2, things=ThingStats(seen=3, judged=10, movers=12, found=9))
    for stats, degrees in ((first, [2.0] * 6), (second, [30.0] * 9)):
        for error in degrees:
            stats.streams["cam"].things.direction_errors.record(error)
    things = build_report([first, second], {})["streams"]["cam"]["things"]
    assert things.pop("direction_error_deg") == pytest.approx(30, rel=0.03)
    assert {name: things[name] for name in ("seen", "judged", "movers", "found", "precision", "recall")} == {
        "seen": 5,
        "judged": 20,
        "movers": 20,
        "found": 15,
        "precision": 0.75,
        "recall": 0.75,
    }


def test_what_moved_is_counted_over_all_processes() -> None:
    first = ThingStats(seen=2, moved_ms={"left": 1500, "up": 200}, longest_ms=900.0, fastest=0.4)
    second = ThingStats(seen=1, moved_ms={"left": 300}, longest_ms=4000.0, fastest=0.1)
    lives = [worker("inference", session=number, things=life) for number, life in enumerate((first, second))]
    things = build_report(lives, {})["streams"]["cam"]["things"]
    assert things["moved_s"] == {"left": 1.8, "up": 0.2}
    assert (things["seen"], things["longest_s"], things["fastest"]) == (3, 4.0, 0.4)
    nothing = build_report([worker("inference", things=ThingStats())], {})["streams"]["cam"]["things"]
    assert (nothing["moved_s"], nothing["longest_s"], nothing["fastest"]) == ({}, None, None)


def test_the_source_is_as_the_newest_process_saw_it() -> None:
    small, large = SourceFormat(320, 240, 12.5, unpaced=True), SourceFormat(640, 480)
    lives = [
        worker("capture", 1, "ready", captured=3, source=small),
        worker("capture", 2, captured=3, source=large),
        worker("sink", rendered=6),
    ]
    reports = [build_report(some, {})["streams"]["cam"]["source"] for some in (lives[2:], lives[:1], lives)]
    assert reports == [
        None,
        {"width_px": 320, "height_px": 240, "fps": 12.5, "unpaced": True},
        {"width_px": 640, "height_px": 480, "fps": None, "unpaced": False},
    ]
    folded = build_report([fold(*lives[:2])], {})
    assert folded["streams"]["cam"]["source"] == reports[-1]


def test_things_without_truth_have_no_precision() -> None:
    things = build_report([worker("inference", things=ThingStats(seen=2))], {})["streams"]["cam"]["things"]
    assert (things["seen"], things["judged"], things["movers"]) == (2, 0, 0)
    assert (things["precision"], things["recall"], things["direction_error_deg"]) == (None, None, None)


def test_accuracy_is_over_labelled_predictions_only() -> None:
    report = build_report([worker("inference", predicted=10, labelled=4, correct=3)], {})
    assert report["streams"]["cam"]["accuracy"] == 0.75


def test_while_the_pipeline_runs_missing_frames_are_under_way() -> None:
    running = [worker("capture", state="ready", captured=100), worker("sink", state="ready", rendered=97)]
    stream = build_report(running, {}, running=True)["streams"]["cam"]
    assert (stream["in_flight"], stream["unaccounted"], stream["dropped"]) == (3, 0, {})


def test_frames_that_a_killed_inference_worker_held_are_put_down_to_it() -> None:
    report = build_report(
        [
            worker("capture", captured=100),
            worker("inference", session=1, state="ready", received=40, predicted=38),
            worker("inference", session=2, predicted=50, not_predicted={"inference.absent": 45}),
            worker("sink", rendered=100, rendered_without={"timeout": 12}),
        ],
        {"inference": 1},
    )
    stream = report["streams"]["cam"]
    assert stream["not_predicted"] == {"lost.worker_restart": 12}
    assert (stream["dropped"], stream["unaccounted"]) == ({}, 0)


def test_predictions_that_were_shown_count_though_their_worker_was_killed_before_it_reported_them() -> None:
    report = build_report(
        [
            worker("capture", captured=100),
            worker("inference", session=1, state="ready", predicted=38, backbone_passes=30, reused=8),
            worker("inference", session=2, predicted=50, backbone_passes=50),
            worker("sink", rendered=100, rendered_without={"timeout": 10}),
        ],
        {"inference": 1},
    )
    stream = report["streams"]["cam"]
    assert (stream["predicted"], stream["backbone_passes"], stream["reused"]) == (90, 82, 8)
    assert stream["not_predicted"] == {"lost.worker_restart": 10}


def test_predictions_that_were_shown_count_though_their_worker_never_reported_the_stream() -> None:
    killed = worker("inference", session=1, state="ready")
    killed.streams.clear()
    after = worker("inference", session=2, predicted=31, not_predicted={"inference.absent": 29})
    sink = worker("sink", rendered=60, rendered_without={"skipped": 3})
    stream = build_report([worker("capture", captured=60), killed, after, sink], {})["streams"]["cam"]
    assert stream["predicted"] == 57
    assert stream["not_predicted"] == {"lost.worker_restart": 3}


def test_frames_that_nobody_predicted_after_the_last_inference_worker_was_killed() -> None:
    killed = worker("inference", state="ready", predicted=40)
    sink = worker("sink", rendered=60, rendered_without={"timeout": 20})
    stream = build_report([worker("capture", captured=60), killed, sink], {})["streams"]["cam"]
    assert stream["not_predicted"] == {"inference.killed": 20}


def test_a_stream_that_moved_to_a_worker_that_was_there_before_was_not_absent_from_all() -> None:
    killed = worker("inference", 2, state="ready", predicted=57, not_predicted={"inference.absent": 3})
    other = worker("inference", 1, predicted=35, not_predicted={"inference.absent": 65}, rebuilt=2)
    other.worker, other.sent_ns = "inference-2", 1
    killed.streams["cam"].first_ns, other.streams["cam"].first_ns = 10, 90
    sink = worker("sink", rendered=100, rendered_without={"timeout": 8})
    stream = build_report([worker("capture", captured=100), killed, other, sink], {})["streams"]["cam"]
    assert stream["not_predicted"] == {"inference.absent": 3, "lost.worker_restart": 5}
    assert (stream["predicted"], stream["rebuilt"], stream["unaccounted"]) == (92, 2, 0)


def test_what_a_killed_sink_took_is_put_down_to_it_though_it_never_reported_the_stream() -> None:
    killed = worker("sink", session=1, state="ready")
    killed.streams.clear()
    after = worker("sink", session=2, rendered=50, dropped={"sink.absent": 10})
    stream = build_report([worker("capture", captured=60), killed, after], {})["streams"]["cam"]
    assert stream["dropped"] == {"sink.killed": 10}
    assert stream["unaccounted"] == 0


def shared(number: int, *streams: str, session: int, state: str = "stopped", **counts: int) -> WorkerStats:
    """One of several inference workers."""
    stats = WorkerStats(f"inference-{number}", "inference", session, "host", 1, state=state)  # type: ignore[arg-type]
    stats.streams |= {stream: StreamStats(**counts) for stream in streams}  # type: ignore[arg-type]
    return stats


def both(capture: int, rendered: int, **without: int) -> list[WorkerStats]:
    """Capture and the sink, with the same counts for two streams."""
    others = [
        worker("capture", captured=capture),
        worker("sink", rendered=rendered, rendered_without=dict(without)),
    ]
    for stats in others:
        stats.streams["yard"] = stats.streams["cam"]
    return others


@pytest.mark.parametrize("reported", [("yard",), ()])
def test_one_of_several_that_was_killed_takes_nothing_of_the_streams_of_others(
    reported: tuple[str, ...],
) -> None:
    """Of ``cam`` inference-1 has not counted 10 frames, for whatever reason: inference-2 never had it."""
    alive = shared(1, "cam", session=2, received=90, predicted=90)
    killed = shared(2, *reported, session=3, state="ready", received=40, predicted=40)
    after = shared(2, "yard", session=4, predicted=50, not_predicted={"inference.absent": 40})  # type: ignore[arg-type]
    streams = build_report([*both(100, 100, timeout=10), alive, killed, after], {})["streams"]
    assert streams["cam"]["not_predicted"] == {}
    assert streams["cam"]["predicted"] == 90
    assert streams["yard"]["not_predicted"] == {"lost.worker_restart": 10}


def test_a_stream_that_none_of_several_reported_may_have_been_with_the_one_that_was_killed() -> None:
    alive, killed = shared(1, "yard", session=2), shared(2, session=3, state="ready")
    streams = build_report([*both(20, 20, timeout=20), alive, killed], {})["streams"]
    assert streams["cam"]["not_predicted"] == {"inference.killed": 20}


def test_who_takes_over_a_stream_was_not_absent_whichever_worker_is_older() -> None:
    first = shared(2, "cam", session=5, predicted=60, first_ns=10)
    later = shared(1, "cam", session=4, predicted=40, first_ns=90, not_predicted={"inference.absent": 60})  # type: ignore[arg-type]
    stream = build_report([worker("capture", captured=100), first, later, worker("sink", rendered=100)], {})
    assert stream["streams"]["cam"]["predicted"] == 100
    assert stream["streams"]["cam"]["not_predicted"] == {}


def test_all_videos_of_all_lives_are_listed_oldest_first() -> None:
    lives = [worker("sink", session=number) for number in (1, 2, 3)]
    for stats, name in zip(lives, ("cam.mp4", "cam.part2.mp4", "cam.part3.mp4"), strict=True):
        stats.details = {"videos": {name: "cam"}, "video": {"cam": name}, "predictions": {"path": "p"}}
    lives[0].details["predictions"]["made_folder"] = "new"
    wanted = {"cam": ["cam.mp4", "cam.part2.mp4", "cam.part3.mp4"]}
    report = build_report(lives, {})
    assert report["videos"] == wanted
    assert report["video"] == {"cam": "cam.part3.mp4"}
    assert report["predictions"] == {"path": "p", "made_folder": "new"}, "what the first one did"
    folded = fold(fold(lives[0], lives[1]), lives[2])
    assert build_report([folded], {})["videos"] == wanted, "also of processes that were added up"
    lives[2].details["videos"]["cam.mp4"] = ""
    assert build_report(lives, {})["videos"] == {"cam": wanted["cam"][1:]}, "the first has been removed"
    assert "videos" not in build_report([worker("sink")], {})


def test_what_a_former_sink_has_shown_is_not_lost_in_any_sum() -> None:
    lives = [
        worker("capture", captured=300),
        worker("sink", session=1, state="ready", rendered=233),
        worker("sink", session=2, rendered=58, dropped={"sink.absent": 242}),
    ]
    roles = by_role("cam", lives)
    assert (roles["sink"].rendered, roles["sink"].dropped) == (291, {})


def test_what_a_dead_process_was_like_is_not_mixed_with_the_living_one() -> None:
    dead, living = worker("capture", session=1), worker("capture", session=2)
    dead.details = {"frames_sent": {"cam.shm": 900, "cam.raw": 3}}
    living.details = {"frames_sent": {"cam.raw": 50}}
    assert build_report([dead, living], {})["frames_sent"] == {"cam.raw": 50}
    assert fold(dead, living).details == living.details


def test_evidence_of_former_sinks_counts() -> None:
    lives = [worker("sink", session=number) for number in (1, 2)]
    for stats, written in zip(lives, (5, 2), strict=True):
        stats.details = {"evidence": {"path": "outputs/evidence", "written": written, "lost": 0}}
    wanted = {"path": "outputs/evidence", "written": 7, "lost": 0}
    assert build_report(lives, {})["evidence"] == wanted
    assert build_report([fold(*lives)], {})["evidence"] == wanted


def test_events_that_former_sinks_have_sent_count_and_what_waits_is_counted_once() -> None:
    lives = [worker("sink", session=number) for number in (1, 2, 3)]
    for stats, (delivered, waiting, failed) in zip(lives, ((5, 4, 1), (2, 3, 0), (4, 1, 2)), strict=True):
        counts = {"a.delivered": delivered, "a.waiting": waiting, "a.failed": failed, "a.down": 0}
        stats.details = {"outlets": counts}
    wanted = {"a.delivered": 11, "a.waiting": 1, "a.failed": 3, "a.down": 0}
    assert build_report(lives, {})["outlets"] == wanted
    folded = fold(fold(lives[0], lives[1]), lives[2])
    assert build_report([folded], {})["outlets"] == wanted
    assert build_report([lives[0], worker("sink", session=4)], {})["outlets"] == lives[0].details["outlets"]
