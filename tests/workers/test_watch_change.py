"""Other zones, lines and rules while a pipeline runs."""

import contextlib
import http.client
import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.config import load_config, load_watch
from pipeline.base.errors import UserError
from pipeline.base.watched import Line, View, Watch
from tests.support import free_port
from tests.workers.pipeline import Pipeline
from tests.workers.program import START_S, until
from workers.watch_change import WatchChange

GATE = Watch(lines={"gate": Line(points=[(0.5, 0.0), (0.5, 1.0)])})
TOKEN = "correct horse battery"
ALL = {"points": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], "anchor": "middle"}


def asked(change: WatchChange, watch: Watch) -> list[str]:
    """The answer, while another thread is the sink."""
    over = threading.Event()
    applied: list[Watch] = []

    def sink() -> None:
        while not over.wait(0.01):
            change.take(applied.append)

    thread = threading.Thread(target=sink)
    thread.start()
    try:
        answer = change.ask(watch)
    finally:
        over.set()
        thread.join()
    assert applied == [watch]
    assert change.watch == watch
    return answer


def test_without_a_file_it_lasts_until_the_sink_stops() -> None:
    change = WatchChange(load_config(), is_restarted=False)
    assert asked(change, GATE)[0] == "until the sink stops: watch.file names no file"


def test_a_file_is_written_and_a_restarted_sink_goes_on_with_it(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text("[zones.drive]\npoints = [[0, 0], [1, 0], [1, 1]]\n")
    config = load_config(None, [f"watch.file={file}"])
    assert asked(WatchChange(config, is_restarted=False), GATE)[0] == f"kept in {file}"
    assert load_watch(file) == GATE
    assert WatchChange(config, is_restarted=True).watch == GATE
    file.write_text("[zones.drive]\npoints = [[0, 0], [1, 0], [1, 1]]\n")
    assert list(WatchChange(config, is_restarted=True).watch.zones) == ["drive"], "written by hand meanwhile"


def test_what_comes_back_at_the_next_start_is_said(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text("")
    settings = [f"watch.file={file}", "zones.drive.points=[[0, 0], [1, 0], [1, 1]]"]
    (lasts, *_) = asked(WatchChange(load_config(None, settings), is_restarted=False), GATE)
    assert lasts.endswith("the configuration adds its own: zones.drive")


def test_views_stay_as_they_are_and_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text("")
    change = WatchChange(load_config(None, [f"watch.file={file}"]), is_restarted=False)
    with pytest.raises(UserError, match="views can't be changed while the pipeline runs"):
        change.ask(Watch(views={"preset": View(picture="a.png")}))
    assert file.read_text() == ""


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "zones.toml").write_text("")
    config = load_config(None, [f"watch.file={folder / 'zones.toml'}"])
    (folder / "zones.toml").unlink()
    folder.rmdir()
    change = WatchChange(config, is_restarted=False)
    with pytest.raises(UserError, match="can't be written"):
        change.ask(GATE)
    assert change.watch == Watch()


def test_streams_that_are_not_followed_are_named() -> None:
    note = "are not followed when their camera moves"
    assert note in asked(WatchChange(load_config(), is_restarted=False), GATE)[1]
    everywhere = load_config(None, ["zones.drive.points=[[0, 0], [1, 0], [1, 1]]"])
    assert asked(WatchChange(everywhere, is_restarted=False), GATE)[1:] == []
    fixed = load_config(None, ["watch.follow_camera=false"])
    assert asked(WatchChange(fixed, is_restarted=False), GATE)[1:] == []


def test_a_stream_with_a_view_is_followed_from_the_start(tmp_path: Path) -> None:
    picture = tmp_path / "gate.png"
    picture.touch()
    config = load_config(None, [f"views.gate.picture='{picture}'"])
    wanted = Watch(lines=GATE.lines, views=config.views)
    assert asked(WatchChange(config, is_restarted=False), wanted)[1:] == []


def request(port: int, method: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Authorization": f"Bearer {TOKEN}"} if body is not None else {}
    connection.request(method, "/api/zones", None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_running_pipeline_takes_other_rules_and_loses_no_frame(place: Path) -> None:
    port, token, file = free_port(), place / "token", place / "zones.toml"
    events = place / "events.jsonl"
    token.write_text(TOKEN + "\n")
    file.write_text("[zones.before]\n" + "\n".join(f"{key} = {json.dumps(ALL[key])}" for key in ALL))

    def told() -> list[dict[str, Any]]:
        return [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []

    options = {
        "sink.web": "true",
        "sink.web_port": port,
        "sink.web_token_file": token,
        "watch.file": file,
        "inference.checkpoint": "motion_resnet18",
    }
    settings = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    with Pipeline(place, *settings, "--events", str(events), "--frames", "260", "--pace") as run:
        until(lambda: [one for one in told() if one.get("zone") == "before"], "something moves", START_S)
        assert request(port, "PUT", {"zones": {"a": {"points": []}}})[0] == 400
        status, answer = request(port, "PUT", {"zones": {"after": ALL}})
        assert (status, answer["lasts"]) == (200, f"kept in {file}")
        assert list(request(port, "GET")[1]["zones"]) == ["after"]
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
    port, token, file = free_port(), place / "token", place / "zones.toml"
    token.write_text(TOKEN)
    file.write_text("[zones.before]\npoints = [[0, 0], [1, 0], [1, 1]]\n")
    options = {"sink.web": "true", "sink.web_port": port, "sink.web_token_file": token, "watch.file": file}
    settings = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]

    def zones() -> list[str]:
        with contextlib.suppress(OSError):
            return list(request(port, "GET")[1]["zones"])
        return []

    with Pipeline(place, *settings, "--pace") as run:
        run.wait_for_rendered("demo", 1)
        assert zones() == ["before"]
        assert request(port, "PUT", {"zones": {"after": ALL}})[0] == 200
        run.kill("sink")
        assert until(zones, "the page is served again", START_S) == ["after"]
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
