import io

import pytest
from rich.console import Console

from pipeline.account.stats import Freshness, Histogram, WorkerStats
from pipeline.view.pipeline_view import PipelineView
from pipeline.view.plain_line import plain_line
from pipeline.view.terminal import render
from tests.view.samples import workers

EVENTS = [f"capture: event number {number} " + "with many words " * 5 for number in range(8)]


def view(streams=1, trouble=True, **more):
    figures = workers(streams, trouble)
    return PipelineView(title="demo tour", sessions=figures, run_s=42, events=EVENTS, **more)


def lines(renderable, width=80, height=24):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(renderable)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("streams", [0, 1, 2, 4, 8])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (132, 43), (200, 60)])
def test_it_fits_and_leaves_out_no_stream_and_no_worker(streams, width, height):
    shown = lines(render(view(streams)), width, height)
    assert len(shown) < height
    assert max(map(len, shown)) <= width
    text = "\n".join(shown)
    for number in range(streams):
        assert f"camera-{number}" in text
    rows = {row.split(" ready ")[0].split()[-1] for row in shown if " ready " in row and "%" in row}
    assert rows == ({"capture", "inference", "sink"})


def cells(row):
    return row.strip("│ ").split()


def test_figures_of_a_stream():
    shown = lines(render(view()))
    row = next(cells(line) for line in shown if "camera-0" in line and "up" in line)
    assert row[:4] == ["camera-0", "up", "0", "30/29/28"]
    assert row[4:] == ["25/25/25", "33/33/33", "2", "1.00", "90%"]
    text = "\n".join(shown)
    assert "dropped 10 (sink.overflow 7, wire.lost 3)" in text
    assert "not predicted 10 (inference.overflow 10)" in text
    assert "cache reset 4 (gap 4)" in text


@pytest.mark.parametrize("width", [120, 140])
def test_no_heading_of_a_wide_table_is_cut(width):
    figures = workers(1)
    for figure in figures:
        figure.streams["camera-0"].latency = {}
    figures[1].streams["camera-0"].record("capture_to_prediction", 1559 * 10**6)
    figures[2].streams["camera-0"].record("capture_to_render", 1559 * 10**6)
    heading = next(cells(line) for line in lines(render(PipelineView("x", figures)), width) if "fps" in line)
    assert "…" not in "".join(heading)
    assert {"reopened", "accuracy", "shown", "dropped"} <= set(heading)
    assert ("passes/frame" in heading) == (width == 140)


def test_what_moves_now_is_under_the_streams():
    shown = lines(render(view()), 100, 30)
    (row,) = (line for line in shown if "things moving" in line)
    assert row.strip("│ ") == "camera-0  2 things moving: right 0.12 widths/s, left 0.05"
    assert shown.index(row) < next(number for number, line in enumerate(shown) if "dropped" in line)


@pytest.mark.parametrize("away", ["down", "silent", "ended", "unknown"])
def test_what_moved_before_is_not_said_to_move_now(away):
    figures = workers(1, trouble=False)
    if away == "silent":
        figures[1].sent_ns -= 9 * 10**9
    if away == "ended":
        figures[0].streams["camera-0"].state = "ended"
    if away == "unknown":
        figures[1].streams["camera-0"].things.now = ""
    states = {"inference": "down"} if away == "down" else {}
    old = PipelineView("x", figures, states=states)
    assert "move" not in "\n".join(lines(render(old), 100, 30))
    assert "move" not in plain_line(old)


def test_a_camera_that_is_down_has_no_picture_and_nothing_that_moves():
    figures = workers(2, trouble=False)
    figures[0].streams["camera-0"].state = "down"
    view = PipelineView("x", figures)
    shown = "\n".join(lines(render(view), 100, 30))
    assert "camera-0  no image" in shown
    assert "camera-1  2 things moving" in shown
    assert ", no image, " in plain_line(view)


@pytest.mark.parametrize("state", ["up", "down", "ended"])
def test_a_camera_that_does_not_see_is_named_with_the_seconds(state):
    figures = workers(2, trouble=False)
    figures[0].streams["camera-0"].state = state
    inference = figures[1].streams["camera-0"]
    inference.picture, inference.things.now = "covered", ""
    inference.bad_since_ns = figures[1].sent_ns - 12 * 10**9
    view = PipelineView("x", figures)
    words = {"up": "camera covered for 12 s", "down": "no image", "ended": ""}[state]
    assert view.streams["camera-0"].moving == words
    assert view.streams["camera-0"].is_bad == (state != "ended")
    assert not view.streams["camera-1"].is_bad
    assert words in "\n".join(lines(render(view), 100, 30))
    assert words in plain_line(view)


def test_without_room_one_line_says_where_something_moves():
    figures = workers(8)
    for number in (1, 3, 4, 5, 6, 7):
        figures[1].streams[f"camera-{number}"].things.now = "nothing moving"
    shown = lines(render(PipelineView("x", figures, events=EVENTS)), 80, 24)
    (row,) = (line for line in shown if "moving" in line)
    assert row.strip("│ ") == "all  camera-0 2 things moving; camera-2 2 things moving"
    for stats in figures[1].streams.values():
        stats.things.now = "nothing moving"
    shown = lines(render(PipelineView("x", figures, events=EVENTS)), 80, 24)
    assert [line.strip("│ ") for line in shown if "moving" in line] == ["all  nothing moving"]


def test_stages_end_to_end_first_then_in_order():
    text = "\n".join(lines(render(view())))
    order = [
        text.index(name) for name in ("capture to prediction", "capture to render", "wire  ", "step", "draw")
    ]
    assert order == sorted(order)


def test_stages_of_each_stream_where_there_is_room():
    figures = workers(2, trouble=False)
    figures[1].streams["camera-1"].latency["step"] = Histogram({}, 0.0)
    figures[1].streams["camera-1"].record("step", 79_000_000)
    apart = lines(render(PipelineView("two", figures)), width=150, height=40)
    assert next(cells(line) for line in apart if "step" in line)[:3] == ["step", "20/20/20", "78/78/78"]
    together = lines(render(PipelineView("two", figures)), width=80)
    assert next(cells(line) for line in together if "step" in line)[:2] == ["step", "20/78/78"]


def test_nothing_lost_nothing_said():
    text = "\n".join(lines(render(view(trouble=False)), width=110))
    assert "dropped" not in text
    assert "reset" not in text


def test_workers_with_restarts_and_silence():
    figures = workers(1)
    figures[1].sent_ns -= 9 * 10**9
    shown = lines(render(PipelineView("x", figures, restarts={"inference": 2})), width=110)
    row = next(line for line in shown if "inference" in line and "silent" in line)
    assert cells(row.split("inference")[1])[:5] == ["silent", "9s", "2", "-", "-"], "nothing of it is of now"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_a_worker_that_stops_moves_and_shortens_nothing(width, height):
    def bottom(**change):
        figures = workers(1)
        for name, value in change.items():
            setattr(figures[0], name, value)
        for worker in figures:
            worker.streams["camera-0"].latency.clear()
        figures[1].streams["camera-0"].record("capture_to_prediction", 528 * 10**6)
        shown = lines(render(PipelineView("x", figures)), width, height)
        return [line for line in shown if any(word in line for word in ("restart", "912", "260 "))]

    before = bottom()
    assert len(before) == 3
    assert "…" not in "".join(before)
    for change in ({"state": "stopping"}, {"state": "stopped"}, {"sent_ns": -2 * 10**9}):
        assert bottom(**change) == before


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_a_dead_worker_is_not_called_ready(width, height):
    dead = view(states={"capture": "down"})
    text = "\n".join(lines(render(dead), width, height))
    assert "2 of 3 workers ready" in text
    row = next(
        cells(line) for line in lines(render(dead), width, height) if "capture " in line and "down" in line
    )
    assert "12%" not in row, "the dead use no processor"
    stream = next(cells(line) for line in lines(render(dead), width, height) if "-/29/28" in line)
    assert stream[1] == "down"


def test_a_lost_link_names_its_other_end():
    figures = workers(1)
    figures[2].lost_links = ["inference at tcp://192.0.2.7:5556"]
    assert "sink=link lost to inference" in plain_line(PipelineView("x", figures))


def test_process_ids_where_there_is_room():
    figures = workers(1)
    for number, worker in enumerate(figures):
        worker.pid = 4_194_300 + number
    wide = lines(render(PipelineView("x", figures)), 120, 40)
    assert [cells(line)[-1] for line in wide if "419430" in line] == ["4194300", "4194301", "4194302"]


def test_newest_event_stays_when_room_is_short():
    text = "\n".join(lines(render(view(streams=8))))
    assert "event number 7" in text
    assert "event number 0" not in text


ADVICE = (
    "capture: rtsp://***@camera.example:554/stream1 can't be opened (401 unauthorized): check user name and "
    "password, then restart with --source rtsp://user:password@camera.example:554/stream1"
)


@pytest.mark.parametrize("streams", [1, 2, 4, 8])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_long_event_can_be_read_to_its_end(streams, width):
    shown = lines(render(PipelineView("demo", workers(streams), events=[*EVENTS, ADVICE])), width, 24)
    assert len(shown) < 24
    column = next(line.index("events") for line in shown if "events" in line)
    text = "".join(line[column:].strip("│ ") for line in shown)
    assert "".join(ADVICE.split()) in "".join(text.split())  # wherever the lines end


def test_an_event_that_fits_nowhere_is_cut_at_its_end_only():
    shown = "\n".join(lines(render(PipelineView("demo", workers(1), events=[ADVICE * 9])), 80, 16))
    assert "capture: rtsp://" in shown
    assert "…" in shown


def test_nothing_there_yet():
    text = "\n".join(lines(render(PipelineView("monitor"))))
    assert "no stream yet" in text
    assert "no worker answers yet: start the workers" in text


@pytest.mark.parametrize("hostile", ["[/red]", "[bold", "\x1b[31m", "a\nb"])
def test_words_from_elsewhere_are_only_words(hostile):
    figure = WorkerStats(hostile, "sink", 1, "h", 1)
    figure.stream(hostile).drop(hostile, 2)
    figure.stream(hostile).record(hostile, 10**6)
    dashboard = PipelineView(hostile, [figure], {hostile: 1}, events=[hostile])
    assert "\x1b" not in "\n".join(lines(render(dashboard)))
    assert "\x1b" not in plain_line(dashboard)
    assert "\n" not in plain_line(dashboard)


def test_a_terminal_that_knows_only_ascii():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    Console(file=file, width=80, height=24).print(render(view(streams=3)))
    file.flush()
    assert b"camera-2" in raw.getvalue()


def test_what_is_given_up_for_freshness_is_said():
    shown = view()
    capture = shown.sessions[0].stream("camera-0")
    capture.freshness = Freshness(150.0, 120.4, quality=75, stride=2, turns={"stride down": 1})
    said = "age 120 ms, target 150: JPEG quality 75, every 2nd frame"
    assert said in plain_line(shown)
    assert any(said in line for line in lines(render(shown), 132, 43))
    capture.freshness = Freshness(150.0, 80.0)
    assert "target" not in plain_line(shown)
