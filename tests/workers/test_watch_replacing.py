"""Other zones, lines and rules while a pipeline runs."""

import contextlib
import json
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.config import load_config, load_watch
from pipeline.base.errors import UserError
from pipeline.base.watched import Line, View, Watch
from tests.support import free_port
from tests.workers.page import page, request
from tests.workers.pipeline import Pipeline
from tests.workers.program import START_S, until
from workers.watch_replacing import WatchReplacing

GATE = Watch(lines={"gate": Line(points=[(0.5, 0.0), (0.5, 1.0)])})
ALL = {"points": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], "anchor": "middle"}


def asked(replacing: WatchReplacing, watch: Watch) -> list[str]:
    """The answer, while another thread is the sink."""
    over = threading.Event()
    applied: list[Watch] = []

    def sink() -> None:
        while not over.wait(0.01):
            replacing.take(applied.append)

    thread = threading.Thread(target=sink)
    thread.start()
    try:
        answer = replacing.ask(watch)
    finally:
        over.set()
        thread.join()
    assert applied == [watch]
    assert replacing.watch == watch
    return answer


def test_without_a_file_it_lasts_until_the_sink_stops() -> None:
    replacing = WatchReplacing(load_config(), is_restarted=False, report=print)
    assert asked(replacing, GATE)[0] == "until the sink stops: watch.file is not set"


def test_a_file_is_written_and_a_restarted_sink_goes_on_with_it(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text("[zones.drive]\npoints = [[0, 0], [1, 0], [1, 1]]\n")
    config = load_config(None, [f"watch.file={file}"])
    assert asked(WatchReplacing(config, is_restarted=False, report=print), GATE)[0] == f"kept in {file}"
    assert load_watch(file) == GATE
    assert WatchReplacing(config, is_restarted=True, report=print).watch == GATE
    file.write_text("[zones.drive]\npoints = [[0, 0], [1, 0], [1, 1]]\n")
    assert list(WatchReplacing(config, is_restarted=True, report=print).watch.zones) == ["drive"], (
        "written by hand meanwhile"
    )


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            "[zones.drive]\npoints = [[0, 0], [1, 0]]\n",
            "zones.drive.points: must be a list of 3 to 64 entries",
        ),
        ("[zones.drive\n", "zones.toml"),
        ('[views.preset]\npicture = "a.png"\n', "views can't be changed while the pipeline runs"),
    ],
)
def test_a_file_that_was_spoilt_since_is_reported_and_keeps_no_sink_from_starting(
    tmp_path: Path, edit: str, words: str
) -> None:
    file, told = tmp_path / "zones.toml", list[str]()
    file.write_text("[zones.drive]\npoints = [[0, 0], [1, 0], [1, 1]]\n")
    config = load_config(None, [f"watch.file={file}"])
    asked(WatchReplacing(config, is_restarted=False, report=print), GATE)
    file.write_text(file.read_text() + edit)
    assert WatchReplacing(config, is_restarted=True, report=told.append).watch == config.watched()
    (report,) = told
    assert report.startswith("zones, lines and rules were reset to those at startup: ")
    assert words in report


def test_what_comes_back_at_the_next_start_is_said(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text("")
    settings = [f"watch.file={file}", "zones.drive.points=[[0, 0], [1, 0], [1, 1]]"]
    (lasts, *_) = asked(WatchReplacing(load_config(None, settings), is_restarted=False, report=print), GATE)
    assert lasts.endswith("the configuration adds its own: zones.drive")


def test_views_stay_as_they_are_and_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text("")
    replacing = WatchReplacing(load_config(None, [f"watch.file={file}"]), is_restarted=False, report=print)
    with pytest.raises(UserError, match="views can't be changed while the pipeline runs"):
        replacing.ask(Watch(views={"preset": View(picture="a.png")}))
    assert file.read_text() == ""


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "zones.toml").write_text("")
    config = load_config(None, [f"watch.file={folder / 'zones.toml'}"])
    (folder / "zones.toml").unlink()
    folder.rmdir()
    replacing = WatchReplacing(config, is_restarted=False, report=print)
    with pytest.raises(UserError, match="can't be written"):
        replacing.ask(GATE)
    assert replacing.watch == Watch()


HEDGE = Watch(lines={"hedge": Line(points=[(0.2, 0.0), (0.2, 1.0)])})


def refused(replacing: WatchReplacing, watch: Watch) -> str:
    with pytest.raises(UserError) as raised:
        replacing.ask(watch)
    return str(raised.value)


@pytest.mark.parametrize("is_there", [True, False])
def test_where_the_sink_does_not_answer_nothing_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    file, applied = tmp_path / "zones.toml", list[Watch]()
    text = "[zones.drive]  # the gravel\npoints = [[0, 0], [1, 0], [1, 1]]\n"
    file.write_text(text)
    replacing = WatchReplacing(load_config(None, [f"watch.file={file}"]), is_restarted=False, report=print)
    if not is_there:
        file.unlink()
    monkeypatch.setattr("workers.asking.PATIENCE_S", 0.05)
    assert refused(replacing, GATE) == "the sink does not answer"
    assert (file.read_text() == text) if is_there else not file.exists()
    replacing.take(applied.append)
    assert applied == [], "who was refused is not served later"
    monkeypatch.undo()
    assert asked(replacing, HEDGE)[0] == f"kept in {file}"


def test_a_file_that_cannot_be_written_back_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    file = folder / "zones.toml"
    file.write_text("")
    replacing = WatchReplacing(load_config(None, [f"watch.file={file}"]), is_restarted=False, report=print)
    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(refused(replacing, GATE)))
    thread.start()

    def fail(_: Watch) -> None:
        shutil.rmtree(folder)
        raise OSError("whatever")

    def has_taken() -> bool:
        replacing.take(fail)
        return False

    with pytest.raises(OSError, match="whatever"):
        until(has_taken, "it is asked for", START_S)
    thread.join(START_S)
    words = f"the sink has failed; {file} contains the new settings and can't be restored"
    assert told == [f"{words}: No such file or directory"]
    assert replacing.watch == Watch()


def test_what_is_being_applied_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than anybody waits for it to begin."""
    monkeypatch.setattr("workers.asking.PATIENCE_S", 0.05)
    replacing, begun, may_go_on = WatchReplacing(load_config(), is_restarted=False, report=print), [], []
    lasts: list[str] = []
    asks = threading.Thread(target=lambda: lasts.extend(replacing.ask(GATE)))
    go_on = threading.Event()

    def apply(watch: Watch) -> None:
        begun.append(watch)
        go_on.wait(START_S)
        may_go_on.append(asks.is_alive())

    def sink() -> None:
        while not begun:
            replacing.take(apply)

    thread = threading.Thread(target=sink)
    thread.start()
    asks.start()
    until(lambda: bool(begun), "it is being applied", START_S)
    asks.join(0.2)
    go_on.set()
    for each in (asks, thread):
        each.join(START_S)
    assert (begun, may_go_on) == ([GATE], [True]), "no answer before"
    assert lasts[0].startswith("until the sink stops")


def test_a_sink_that_stops_refuses_who_waits_and_who_comes(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text("")
    replacing = WatchReplacing(load_config(None, [f"watch.file={file}"]), is_restarted=False, report=print)
    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(refused(replacing, GATE)))
    thread.start()
    until(lambda: load_watch(file) == GATE, "it is written", START_S)
    replacing.asking.refuse("the sink is stopping")
    thread.join(START_S)
    assert [*told, refused(replacing, GATE)] == ["the sink is stopping"] * 2
    assert file.read_text() == ""


def test_streams_that_are_not_followed_are_named() -> None:
    note = "zones do not follow the camera"
    assert note in asked(WatchReplacing(load_config(), is_restarted=False, report=print), GATE)[1]
    everywhere = load_config(None, ["zones.drive.points=[[0, 0], [1, 0], [1, 1]]"])
    assert asked(WatchReplacing(everywhere, is_restarted=False, report=print), GATE)[1:] == []
    fixed = load_config(None, ["watch.follow_camera=false"])
    assert asked(WatchReplacing(fixed, is_restarted=False, report=print), GATE)[1:] == []


def test_a_stream_with_a_view_is_followed_from_the_start(tmp_path: Path) -> None:
    picture = tmp_path / "gate.png"
    picture.touch()
    config = load_config(None, [f"views.gate.picture='{picture}'"])
    wanted = Watch(lines=GATE.lines, views=config.views)
    assert asked(WatchReplacing(config, is_restarted=False, report=print), wanted)[1:] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_running_pipeline_takes_other_rules_and_loses_no_frame(place: Path) -> None:
    port, file, events = free_port(), place / "zones.toml", place / "events.jsonl"
    file.write_text("[zones.before]\n" + "\n".join(f"{key} = {json.dumps(ALL[key])}" for key in ALL))

    def told() -> list[dict[str, Any]]:
        return [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []

    settings = page(place, port, {"watch.file": file, "inference.checkpoint": "motion_resnet18"})
    with Pipeline(place, *settings, "--events", str(events), "--frames", "260", "--pace") as run:
        until(lambda: [one for one in told() if one.get("zone") == "before"], "something moves", START_S)
        assert request(port, "PUT", "/api/zones", {"zones": {"a": {"points": []}}})[0] == 400
        status, answer = request(port, "PUT", "/api/zones", {"zones": {"after": ALL}})
        assert (status, answer["lasts"]) == (200, f"kept in {file}")
        assert list(request(port, "GET", "/api/zones")[1]["zones"]) == ["after"]
        assert list(load_watch(file).zones) == ["after"]
        until(lambda: [one for one in told() if one.get("zone") == "after"], "something moves", START_S)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = outcome.stream("demo")
    assert stream["dropped"] == {}
    assert stream["rendered"] == 260
    before = [one for one in told() if one["zone"] == "before"]
    starts, ends = ([one for one in before if one["phase"] == phase] for phase in ("start", "end"))
    assert len(starts) == len(ends)
    after_s = [one["time"] for one in told() if one["zone"] == "after"]
    assert before[-1]["time"] <= min(after_s)
    changed = [one for one in ends if one.get("why", {}).get("ended") == "the rules were changed"]
    assert len(changed) <= 1
    moved = [one for one in told() if one["phase"] == "start" and one["zone"] == "after"]
    assert moved, "the new rules tell"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_sink_that_is_killed_goes_on_with_the_rules_that_were_put(place: Path) -> None:
    port, file = free_port(), place / "zones.toml"
    file.write_text("[zones.before]\npoints = [[0, 0], [1, 0], [1, 1]]\n")
    settings = page(place, port, {"watch.file": file})

    def zones() -> list[str]:
        with contextlib.suppress(OSError):
            return list(request(port, "GET", "/api/zones")[1]["zones"])
        return []

    with Pipeline(place, *settings, "--pace") as run:
        run.wait_for_rendered("demo", 1)
        assert zones() == ["before"]
        assert request(port, "PUT", "/api/zones", {"zones": {"after": ALL}})[0] == 200
        run.kill("sink")
        assert until(zones, "the page is served again", START_S) == ["after"]
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
