import io

import pytest
from rich.console import Console

from pipeline.account.ledger import build_report
from pipeline.account.stats import SourceFormat, StreamStats, ThingStats
from pipeline.view.summary import render_summary
from tests.view.samples import workers


def text(report, width=100, **extras):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(render_summary(report, extras))
    shown = console.file.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    return " ".join(shown.replace("│", " ").split())


def stopped(streams=1, trouble=True):
    figures = workers(streams, trouble)
    figures[2].details = {"videos": {"outputs/camera-0.mp4": "camera-0"}}
    for figure in figures:
        figure.state = "stopped"
    return figures


def test_the_figures_of_the_report_in_words():
    report = build_report(stopped(), {"inference": 2})
    shown = text(report, report_file="run.json")
    assert "accuracy 90%" in shown
    wanted = "precision 98%, recall 87%, median direction error 4 degrees"
    moved = "12 things moved, most often left (62% of the time); longest 12.4 s, fastest 0.31 widths/s"
    assert f"camera-0 {moved} camera-0 ground truth: {wanted}" in shown
    assert "900 captured = 890 shown + dropped 10 (sink.overflow 7, wire.lost 3)" in shown
    assert "880 frames with 880 backbone passes; not predicted 10 (inference.overflow 10)" in shown
    assert "past frames predictions: 878 used 2, 1 used 1, 1 used none; cache reset 4 (gap 4)" in shown
    assert "33/33/33" in shown
    assert "step 20 20 20" in shown
    assert "inference 912 MB, restarted 2x" in shown
    assert "capture 180 MB; " in shown
    assert "video outputs/camera-0.mp4" in shown
    assert "report_file run.json" in shown
    assert "reasons explained in docs/reference/report.md" in shown
    assert "10 of 900 frames dropped, each for a known reason" in shown


def test_a_run_without_losses_needs_no_reasons():
    shown = text(build_report(stopped(trouble=False), {}))
    assert "no frame dropped" in shown
    assert "reasons" not in shown


def test_frames_shown_without_a_prediction_are_counted_once():
    workers = stopped()
    workers[2].streams["camera-0"].rendered_without = {"skipped": 9, "timeout": 1}
    shown = text(build_report(workers, {}))
    assert "900 captured = 890 shown (10 without a prediction) + dropped 10" in shown
    assert "skipped" not in shown


@pytest.mark.parametrize("unpaced", [True, False])
def test_latency_of_a_file_played_as_fast_as_possible_is_explained(unpaced):
    figures = stopped()
    figures[0].streams["camera-0"].source = SourceFormat(640, 480, 25.0, unpaced)
    shown = text(build_report(figures, {}), width=80)
    explained = "p50/p95/p99 for files played without --pace, this is mostly time in queues" in shown
    assert explained == unpaced


def test_what_became_of_events_that_were_sent_out():
    workers = stopped()
    counts = {"phone.delivered": 3, "phone.waiting": 0, "phone.failed": 0, "phone.down": 0}
    away = {"a.b.delivered": 0, "a.b.waiting": 2, "a.b.failed": 1, "a.b.down": 1}
    workers[2].details["outlets"] = counts | away
    shown = text(build_report(workers, {}))
    assert "outlets phone 3 delivered; a.b 0 delivered, 2 waiting, 1 failed, down" in shown


def test_evidence_is_spoken_of_only_where_something_is_missing():
    workers = stopped()
    counts = {"path": "outputs/evidence", "written": 9, "lost": 0, "without_clip": 0, "missed_pictures": 0}
    workers[2].details["evidence"] = counts
    assert "evidence" not in text(build_report(workers, {}))
    workers[2].details["evidence"] = counts | {"without_clip": 2, "missed_pictures": 30}
    shown = text(build_report(workers, {}))
    assert "evidence 2 events without a clip, 30 frames left out" in shown


def test_things_without_truth_are_only_counted():
    workers = stopped()
    workers[1].streams["camera-0"].things = ThingStats(seen=1, longest_ms=3000.0)
    shown = text(build_report(workers, {}))
    assert "1 thing moved; longest 3.0 s" in shown
    assert "ground truth" not in shown
    assert "precision" not in shown
    assert "recall" not in shown


def test_where_nothing_moved_nothing_is_said_of_it():
    workers = stopped()
    workers[1].streams["camera-0"].things = ThingStats()
    assert "moved" not in text(build_report(workers, {}))


def test_a_camera_that_did_not_see_is_named_with_the_seconds():
    workers = stopped()
    assert "picture" not in text(build_report(workers, {}))
    workers[1].streams["camera-0"].health_us = {
        "ok": 30_000_000,
        "covered": 10_000_000,
        "over_exposed": 2_520_000,
    }
    report = build_report(workers, {})
    assert report["streams"]["camera-0"]["health"] == {"covered": 10.0, "ok": 30.0, "over_exposed": 2.5}
    assert "image: covered 10 s, overexposed 2.5 s (no predictions)" in text(report)


@pytest.mark.parametrize("streams", [1, 8])
def test_nothing_is_said_twice(streams):
    shown = text(build_report(stopped(streams), {}))
    for words in ("12 things moved", "ground truth", "33/33/33"):
        assert shown.count(words) == streams, words
    assert "33 33 33" not in shown


def test_frames_that_do_not_add_up_are_not_hidden():
    figures = stopped(trouble=False)
    figures[0].streams["camera-0"].captured = 905
    shown = text(build_report(figures, {}))
    assert "5 unaccounted for" in shown
    assert "5 FRAMES UNACCOUNTED FOR" in shown
    assert "no frame dropped" not in shown


@pytest.mark.parametrize("width", [80, 200])
def test_several_streams(width):
    shown = text(build_report(stopped(8), {}), width)
    assert all(f"camera-{number}" in shown for number in range(8))


def test_a_run_without_a_frame():
    shown = text(build_report([], {"capture": 3}))
    assert "no frames arrived" in shown
    assert "restarted 3x" in shown


def test_a_run_that_showed_no_frame_says_so():
    figures = stopped(trouble=False)
    figures[1].details = {"runtime": {"backend": "openvino"}}
    assert "no frame was shown" not in text(build_report(figures, {}))
    for figure in figures:
        figure.streams["camera-0"] = StreamStats()
    shown = text(build_report(figures, {}))
    assert shown.count("no frame was shown") == 2
    assert "every frame accounted for" not in shown
    assert "before inference was ready" not in shown
    figures[1].details = {}
    shown = text(build_report(figures, {}))
    assert "no frame was shown: the run ended before inference was ready" in shown


def test_unknown_truth_is_not_an_accuracy():
    figures = stopped()
    figures[1].streams["camera-0"].labelled = figures[1].streams["camera-0"].correct = 0
    assert "accuracy" not in text(build_report(figures, {}))


def test_what_the_model_ran_on_and_why():
    figures = stopped()
    about = {"backend": "openvino", "device": "cpu", "precision": "fp32", "threads": 2, "why": "the fastest"}
    figures[1].details = {"runtime": about}
    assert "openvino on cpu, fp32, threads 2 (the fastest)" in text(build_report(figures, {}))


def test_only_of_a_stream_that_inference_can_not_keep_up_with_the_way_out_is_named():
    figures = stopped(2)
    figures[1].streams["camera-1"].skip("inference.overflow", 300)
    shown = text(build_report(figures, {}))
    assert shown.count("inference cannot keep up") == 1
    assert "camera-1 inference cannot keep up: lower the frame rate (webcam: capture.fps)" in shown
    assert "(small objects may be missed)" in shown
    assert "sink cannot keep up" not in shown


@pytest.mark.parametrize(("overwritten", "slow"), [(300, True), (90, False), (0, False)])
def test_a_sink_that_misses_frames_is_the_worker_that_is_named(overwritten, slow):
    figures = stopped(2, trouble=False)
    door = figures[2].streams["camera-1"]
    door.rendered -= overwritten + 300
    door.drop("wire.overwritten", overwritten)
    door.drop("sink.too_old", 300)
    if overwritten == 90:
        door.rendered += 300
        door.dropped["sink.too_old"] = 0
    shown = text(build_report(figures, {}))
    assert ("camera-1 the sink cannot keep up: lower the frame rate" in shown) == slow
    assert "inference cannot keep up" not in shown


def test_words_from_elsewhere_are_only_words():
    figures = stopped()
    figures[1].streams["camera-0"].resets = {"[/red]": 1}
    figures[1].details = {"runtime": {"device": "[bold\x1b[31m"}}
    shown = text(build_report(figures, {}), note="[/x]")
    assert "[/red] 1" in shown
    assert "[bold" in shown
    assert "\x1b" not in shown
    assert "[/x]" in shown


@pytest.mark.parametrize("streams", [1, 8])
@pytest.mark.parametrize("width", [80, 120])
def test_what_people_look_for_is_on_the_last_screen(streams, width):
    figures = stopped(streams)
    videos = {
        f"outputs/2026-11-22_19-20-49/camera-{number}.mp4": f"camera-{number}" for number in range(streams)
    }
    figures[2].details = {
        "videos": videos | {"outputs/2026-11-22_19-20-49/camera-0.part2.mp4": "camera-0"},
        "predictions": {"path": "new/p.jsonl", "made_folder": "new"},
    }
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(render_summary(build_report(figures, {}), {"report": "report.json"}))
    last = console.file.getvalue().splitlines()[-22:]
    assert max(map(len, last)) <= width
    heading = next(line for line in last if "predicted/s" in line)
    assert heading.strip("│ ").split()[1:4] == ["accuracy", "frames", "dropped"]
    for number in range(streams):
        row = next(line.strip("│ ").split() for line in last if f" camera-{number} " in line)
        assert row[1:4] == ["90%", "900", "10"]
        assert row[5:] == ["25/25/25", "33/33/33"]
    text = " ".join(" ".join(last).replace("│", " ").split())
    assert "camera-0.mp4, " in text
    assert "camera-0.part2.mp4" in text
    assert "predictions new/p.jsonl (folder new was created)" in text
    assert "report report.json" in text
    assert f"{10 * streams} of {900 * streams} frames dropped" in text
