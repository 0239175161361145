"""Workers that die, sources that end, and what the page says of it: whole runs, and a real browser."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psutil
import pytest

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.config import Config, load_config
from pipeline.wire.encoding import encode_stats
from pipeline.wire.publisher import Publisher
from pipeline.wire.security import SecurityPolicy
from tests.support import free_port
from tests.view.web.chromium import open_page
from tests.view.web.client import Browser
from tests.workers.films import camera_film
from tests.workers.pipeline import Pipeline, streams
from tests.workers.program import START_S, until
from workers.down_worker import DownWorker
from workers.other_workers import OtherWorkers
from workers.sharing import own_streams
from workers.worker_watch import NO_ANSWER_NS

SECOND = 10**9
WAIT_MS = 60_000
HEAR = """() => {
    const words = document.getElementById("connection"), heard = window.heard = [words.textContent];
    new MutationObserver(() => heard.push(words.textContent)).observe(words, { childList: true });
}"""

LIVE = """() => document.body.dataset.connection === "live"
    && document.getElementById("connection").textContent === "live"
    && ![...document.querySelectorAll(".stale")].some(one => one.checkVisibility())"""
LOST = """() => document.body.dataset.connection === "disconnected"
    && document.querySelector(".stale").innerText === 'connection lost'"""


def quiet() -> list[tuple[str, str]]:
    return []


def nothing() -> dict[str, dict[str, int]]:
    return {}


def at(place: Path, *options: str) -> Config:
    config = load_config(None, options)
    names = ("frames", "predictions", "capture_stats", "inference_stats", "sink_stats")
    endpoints = msgspec.structs.replace(config.endpoints, **{n: [f"ipc://{place}/{n}"] for n in names})
    return msgspec.structs.replace(config, endpoints=endpoints)


@contextmanager
def listening(
    place: Path, down: list[DownWorker], **changes: Any
) -> Iterator[tuple[OtherWorkers, Publisher]]:
    config = at(place, *changes.get("options", ()))
    security = SecurityPolicy(config.security)
    with (
        Publisher(config.endpoints.capture_stats[0], config.wire, security) as publisher,
        OtherWorkers(
            config,
            security,
            down,
            changes.get("links", quiet),
            changes.get("arrived", nothing),
            print,
        ) as others,
    ):
        yield others, publisher


def send(others: OtherWorkers, publisher: Publisher, stats: WorkerStats) -> None:
    def arrived() -> bool:
        publisher.send(encode_stats(stats))
        others.poll()
        return bool(others.sources)

    until(arrived, "the statistics arrive", START_S)


def test_what_the_supervisor_knows_is_said_and_taken_back(place: Path) -> None:
    down = [DownWorker("inference", "inference", 5 * SECOND, 7 * SECOND)]
    with listening(place, down) as (others, _):
        (trouble,) = others.troubles
        assert (trouble.words, trouble.since_ns) == ("inference down", 5 * SECOND)
        assert (trouble.next, trouble.next_ns) == ("restarting", 7 * SECOND)
        assert trouble.hides_predictions
        assert not trouble.hides_pictures
        (outage,) = others.outages
        assert (outage.who, outage.cause) == (("inference", socket.gethostname()), "the process died")
        down.append(DownWorker("capture", "capture", 6 * SECOND, 7 * SECOND))
        assert [one.words for one in others.troubles] == ["capture down", "inference down"]
        down.clear()
        assert others.troubles == []


def test_sources_are_known_by_the_statistics_of_capture(place: Path) -> None:
    stats = WorkerStats("capture", "capture", 3, socket.gethostname(), 1, state="ready")
    stats.stream("clip").state = "ended"
    stats.stream("front").retry_ns = 9 * SECOND
    with listening(place, []) as (others, publisher):
        send(others, publisher, stats)
        assert others.sources["clip"].has_ended
        assert others.sources["front"].retry_ns == 9 * SECOND
        former = WorkerStats("capture", "capture", 2, stats.host, 1, state="ready")
        former.stream("former").state = "up"
        for _ in range(5):  # as a restarted worker sends them
            publisher.send(encode_stats(former))
            others.poll()
        assert "former" not in others.sources


def test_a_worker_whose_machine_came_back_with_an_earlier_clock_is_the_one_that_counts(place: Path) -> None:
    former = WorkerStats("capture", "capture", 900 * SECOND, "pi", 7, state="ready", sent_ns=950 * SECOND)
    former.stream("before").state = "up"
    with listening(place, []) as (others, publisher):
        send(others, publisher, former)
        assert list(others.sources) == ["before"]
        sent_ns = 10 * SECOND

        def has_changed() -> bool:
            nonlocal sent_ns
            sent_ns += SECOND // 2
            now = WorkerStats("capture", "capture", 5 * SECOND, "pi", 8, state="ready", sent_ns=sent_ns)
            now.stream("after").state = "up"
            publisher.send(encode_stats(now))
            publisher.send(encode_stats(former))  # as a restarted worker does
            others.poll()
            return list(others.sources) == ["after"]

        until(has_changed, "the new process counts", START_S)
        for _ in range(5):
            assert has_changed(), "and not the one before"


@pytest.mark.parametrize("lead_s", [-86_400, 3600])
def test_the_next_try_of_another_machine_is_said_by_this_clock(place: Path, lead_s: int) -> None:
    with listening(place, []) as (others, publisher):
        before_ns = now_ns()
        there_ns = before_ns + lead_s * SECOND
        stats = WorkerStats("capture", "capture", there_ns, "pi", 1, state="ready", sent_ns=there_ns)
        stats.stream("front").retry_ns = there_ns + 7 * SECOND
        stats.stream("back")
        send(others, publisher, stats)
        assert before_ns + 7 * SECOND <= others.sources["front"].retry_ns <= now_ns() + 7 * SECOND
        assert others.sources["back"].retry_ns == 0


def test_a_worker_that_falls_silent_is_named_unless_it_has_stopped(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = WorkerStats("capture", "capture", 3, "box", 1, state="ready")
    stats.stream("front")
    time_ns = now_ns()
    monkeypatch.setattr("workers.other_workers.now_ns", lambda: time_ns)  # however long it takes
    with listening(place, []) as (others, publisher):
        send(others, publisher, stats)
        assert others.troubles == []
        assert others.up == {("capture", "box")}
        time_ns += 10 * SECOND
        (trouble,) = others.troubles
        assert trouble.words == "no answer from capture on box"
        assert trouble.hides_pictures
        (outage,) = others.outages
        assert (outage.who, outage.cause, outage.streams) == (
            ("capture", "box"),
            "no answer",
            ["front"],
        )
        assert others.up == set()


def test_of_several_inference_workers_one_hides_what_it_has_and_not_what_it_has_left(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = WorkerStats("left", "inference", 3, "box", 1, state="ready")
    left.stream("mine").state, left.stream("moved").state = "up", "waiting"
    right = WorkerStats("right", "inference", 4, "box", 2, state="ready")
    right.stream("moved").state = "up"
    time_ns = now_ns()
    monkeypatch.setattr("workers.other_workers.now_ns", lambda: time_ns)  # however long it takes
    with listening(place, []) as (others, publisher):

        def heard(*all_of_them: WorkerStats) -> bool:
            for stats in all_of_them:
                publisher.send(encode_stats(stats))
            others.poll()
            return len(others.up) == len(all_of_them)

        until(lambda: heard(left), "the first one is heard", START_S)
        time_ns += 10 * SECOND
        assert [outage.streams for outage in others.outages] == [None], "alone it has all"
        time_ns -= 10 * SECOND
        until(lambda: heard(left, right), "both are heard", START_S)
        time_ns += 10 * SECOND
        found = {outage.who[0]: outage.streams for outage in others.outages}
        assert found == {"left": ["mine"], "right": ["moved"]}


def test_a_lost_link_is_named_since_it_was_lost(place: Path) -> None:
    links = [("inference at tcp://gpu:5602", "up")]
    with listening(place, [], links=lambda: links) as (others, _):
        others.poll()
        assert others.troubles == []
        assert others.up == {("inference at tcp://gpu:5602", "")}
        links[0] = ("inference at tcp://gpu:5602", "lost")
        others.poll()
        (trouble,) = others.troubles
        others.poll()
        assert others.troubles == [trouble], "since the same time"
        assert trouble.words == "link to inference at tcp://gpu:5602 down"
        (outage,) = others.outages
        assert outage.is_link
        assert outage.role == "inference"
        assert outage.patience_ns > NO_ANSWER_NS, "the silence of a worker that has died is told before"
        assert trouble.next == "retrying"


def test_what_still_comes_is_hidden_by_no_link_that_is_lost(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever worker is behind it: with two links nothing else says whose the streams are."""
    links = [("inference at tcp://left:5602", "up"), ("inference at tcp://right:5602", "lost")]
    time_ns = now_ns()
    monkeypatch.setattr("workers.other_workers.now_ns", lambda: time_ns)
    arrived = {name: {"capture": time_ns, "inference": time_ns} for name in ("door", "yard")}
    changes = {"links": lambda: links, "arrived": lambda: arrived, "options": ["inference.workers=2"]}
    with listening(place, [], **changes) as (others, _):
        others.poll()
        time_ns += 2 * SECOND
        arrived["door"]["inference"] = time_ns
        (trouble,) = others.troubles
        (outage,) = others.outages
        assert trouble.streams == outage.streams == ["yard"]
        links[0] = ("inference at tcp://left:5602", "lost")
        others.poll()
        time_ns += 10 * SECOND
        assert [one.streams for one in others.outages] == [None, None], "nothing comes any more"


def test_a_worker_that_died_explains_no_link_to_another_one(place: Path) -> None:
    links = [("inference at tcp://gpu:5602", "lost")]
    arrived = {name: {"inference": 1} for name in ("door", "yard")}
    down = [DownWorker("inference-1", "inference", 5 * SECOND, 7 * SECOND, ["door"])]
    with listening(place, down, links=lambda: links, arrived=lambda: arrived) as (others, _):
        others.poll()
        assert len(others.outages) == 2
        down[0] = DownWorker("inference", "inference", 5 * SECOND, 7 * SECOND)
        assert len(others.outages) == 1, "it is behind the link"


def test_one_of_several_that_falls_silent_hides_its_own_streams_also_those_not_seen_yet(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cameras = streams(*({"id": name, "source": "demo"} for name in ("door", "hall", "yard", "gate")))[1]
    options = [cameras, "inference.shared_by=['left', 'right']", "inference.name=left"]
    stats = WorkerStats("left", "inference", 3, "box", 1, state="ready")
    time_ns = now_ns()
    monkeypatch.setattr("workers.other_workers.now_ns", lambda: time_ns)
    with listening(place, [], options=options) as (others, publisher):

        def is_heard() -> bool:
            publisher.send(encode_stats(stats))
            others.poll()
            return bool(others.up)

        until(is_heard, "the statistics arrive", START_S)
        time_ns += 10 * SECOND
        (outage,) = others.outages
        assert outage.streams == own_streams(load_config(None, options))
        assert len(outage.streams) == 2


def web(port: int) -> tuple[str, ...]:
    return "--set", "sink.web=true", "--set", f"sink.web_port={port}", "--set", "run.restart_backoff_s=[2.0]"


def asked(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return json.loads(response.read()) if response.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()


def pid(run: Pipeline, role: str) -> int:
    """Of the process that has this role now."""
    until(
        lambda: run.stats(role) is not None and psutil.pid_exists(run.pid(role)),
        f"{role} has reported",
        START_S,
    )
    return run.pid(role)


def states(port: int) -> dict[str, str]:
    return {one["id"]: one["state"] for one in asked(port, "/api/streams") or ()}


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_header_says_who_is_down_and_is_live_again_afterwards(place: Path) -> None:
    port = free_port()
    film = camera_film(place / "film.mp4", frames=7500)  # as long as the test may take
    camera = streams({"id": "front", "source": str(film), "policy": "newest"})
    with Pipeline(place, *camera, *web(port)) as run, open_page() as page:
        page.set_default_timeout(WAIT_MS)
        until(lambda: asked(port, "/healthz"), "the page is served", START_S)
        page.goto(f"http://127.0.0.1:{port}")
        page.wait_for_selector('body[data-connection="live"]')
        run.wait_for_overlays("front", 1)
        page.evaluate(HEAR)
        said = {
            "inference": "inference down since ",
            "capture": "capture down since ",
            "sink": "disconnected: no answer from the server since ",
        }
        for role, words in said.items():
            os.kill(pid(run, role), signal.SIGKILL)
            page.wait_for_function("words => heard.some(text => text.startsWith(words))", arg=words)
            following = "retrying" if role == "sink" else "restarting"  # now, if all is slow
            heard = r"words => heard.some(text => RegExp(`, (${words})( in \\d+ s| now)`).test(text))"
            page.wait_for_function(heard, arg=following)
            page.wait_for_function(LIVE)
        os.kill(pid(run, "sink"), signal.SIGSTOP)  # the connection stays open, and nothing comes
        page.wait_for_function(LOST)
        os.kill(pid(run, "sink"), signal.SIGCONT)
        page.wait_for_selector('body[data-connection="live"]')
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()


@pytest.mark.slow
def test_a_camera_that_is_not_there_is_named_with_the_next_try(place: Path) -> None:
    port = free_port()
    sources = streams({"id": "front", "source": f"rtsp://user:hidden@127.0.0.1:{free_port()}/none"})
    patient = ("--set", "capture.retry_first_open=true", "--set", "capture.reconnect_backoff_s=[60.0]")
    with Pipeline(place, *sources, *web(port), *patient, "--set", "capture.reconnect_lone_s=60") as run:
        until(lambda: asked(port, "/healthz"), "the page is served", START_S)
        with Browser(SimpleNamespace(url=f"http://127.0.0.1:{port}")) as browser:
            told = browser.state(lambda state: state["troubles"], START_S)
        (trouble,) = told["troubles"]
        assert trouble["words"] == "camera front: no image yet"
        assert trouble["next"] == "retrying"
        assert trouble["next_ms"] > told["now_ms"]
        assert told["state"] == "trouble"
        assert "hidden" not in json.dumps(told)
        run.signal(signal.SIGINT)
        run.finish()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_stream_that_ended_stays_ended_when_the_sink_is_restarted(place: Path) -> None:
    port = free_port()
    long, short = camera_film(place / "long.mp4", frames=7500), camera_film(place / "short.mp4", frames=20)
    sources = streams(
        {"id": "long", "source": str(long), "policy": "newest"},
        {"id": "short", "source": str(short), "policy": "newest"},
    )
    with Pipeline(place, *sources, *web(port)) as run:
        wanted = {"long": "live", "short": "ended"}
        until(lambda: states(port) == wanted, "one has ended", START_S)
        run.wait_for_rendered("long", 1)
        run.kill("sink")
        until(lambda: states(port) == wanted, "it is known to have ended", START_S)
        known = until(lambda: asked(port, "/api/streams"), "the sink answers", START_S)
        (short_now,) = [one for one in known if one["id"] == "short"]
        assert short_now["last_frame_age_s"] is None, "nothing of it was seen since"
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
