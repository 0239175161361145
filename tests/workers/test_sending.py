"""Events on their way out of whole pipelines: nothing lost, nothing held up, secrets nowhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.config import load_config
from tests.events.messages import event
from tests.rigs.broker import Broker, Listener
from tests.rigs.web_server import Posted, WebServer, silent_server
from tests.support import free_port
from tests.workers.pipeline import Pipeline
from tests.workers.program import Outcome, until
from workers.sending import Sending, check_outlets

SHIPPED = ("--set", "inference.checkpoint=motion_resnet18")
WATCHED = (
    *("--zone", "road=0.05,0.6,0.95,0.6,0.95,0.95,0.05,0.95"),
    *("--line", "gate=0.5,0.15,0.5,0.95"),
)
SECRET = "hunter2"
WAIT_S = 60.0


def outlet(name: str, kind: str, url: str, **keys: Any) -> tuple[str, str]:
    table = {"kind": kind, "url": url, **keys}
    text = ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    return "--set", f"outlets.{name}={{{text}}}"


def ids(posted: list[Posted]) -> list[str]:
    return [json.loads(one.body)["id"] for one in posted]


def told(outcome: Outcome) -> str:
    return outcome.out + outcome.err + json.dumps(outcome.report)


def test_without_outlets_nothing_is_opened(tmp_path: Path) -> None:
    config = load_config(None, [f"sink.outbox={tmp_path}/outbox.sqlite"])
    details: dict[str, dict[str, Any]] = {}
    check_outlets(config)
    sending = Sending(config, details, print, print)
    sending.add_stream("door")
    sending.hand_over(event())
    sending.report()
    sending.close()
    assert (details, list(tmp_path.iterdir())) == ({}, [])


def test_what_becomes_of_events_is_counted_and_what_is_lost_is_noted(tmp_path: Path) -> None:
    said: list[str] = []
    lost: dict[str, str] = {}
    details: dict[str, dict[str, Any]] = {}
    with WebServer([200, 400]) as server:
        options = [
            f"sink.outbox={tmp_path}/outbox.sqlite",
            f"outlets.a={{kind='webhook', url='http://127.0.0.1:{server.port}/'}}",
        ]
        sending = Sending(load_config(None, options), details, said.append, lost.__setitem__)
        assert details["outlets"] == {"a.delivered": 0, "a.waiting": 0, "a.failed": 0, "a.down": 0}
        sending.hand_over(event(1))
        sending.hand_over(event(2))
        sending.close()
    assert details["outlets"] == {"a.delivered": 1, "a.waiting": 0, "a.failed": 1, "a.down": 0}
    assert lost == {"outlets.a": "outlet a: 1 event not delivered: 1 refused"}
    assert len(said) == 1


@pytest.mark.slow
def test_every_event_of_a_run_arrives_although_servers_fail_hang_and_are_away(place: Path) -> None:
    """A webhook that fails half the time, a broker, a server that hangs, and one that is not there."""
    events = place / "events.jsonl"
    (place / "key").write_text(SECRET)
    with (
        WebServer([500, 200] * 200) as shaky,
        silent_server() as silent,
        Broker(place) as broker,
        Listener(broker.port) as heard,
    ):
        outlets = (
            *outlet("shaky", "webhook", f"http://127.0.0.1:{shaky.port}/", secret_file=str(place / "key")),
            *outlet("hangs", "webhook", f"http://me:{SECRET}@127.0.0.1:{silent}/{SECRET}", timeout_s=3600),
            *outlet("home", "mqtt", f"mqtt://me:{SECRET}@127.0.0.1:{broker.port}"),
            *outlet("phone", "push", f"ntfy://me:{SECRET}@127.0.0.1:{free_port()}/topic"),
        )
        options = (*SHIPPED, *WATCHED, *outlets, "--set", f"sink.outbox={place}/outbox.sqlite")
        with Pipeline(place, *options, "--frames", "200", "--events", str(events)) as run:
            outcome = run.finish()
        wanted = [json.loads(line)["id"] for line in events.read_text().splitlines()]
        assert len(wanted) >= 5
        until(lambda: len(heard.texts("kvq/demo/events")) >= len(wanted), "all events by MQTT", WAIT_S)
        assert [json.loads(text)["id"] for text in heard.texts("kvq/demo/events")] == wanted
        heard.wait_for_last("kvq/status", "offline")
    assert outcome.code == 0, outcome.told()
    assert outcome.stream("demo")["rendered"] == 200
    counts = outcome.report["outlets"]
    assert ids(shaky.taken) == wanted[: counts["shaky.delivered"]]
    assert counts["shaky.delivered"] + counts["shaky.waiting"] == len(wanted)
    assert (counts["hangs.delivered"], counts["hangs.waiting"]) == (0, len(wanted))
    assert (counts["phone.waiting"], counts["phone.down"]) == (len(wanted), 1)
    assert (counts["home.delivered"], counts["home.waiting"]) == (len(wanted), 0)
    assert f"outlet hangs: {len(wanted)} events undelivered, kept in {place}/outbox.sqlite" in outcome.out
    assert "outlet phone (push by ntfy) is down: ntfy can't be reached" in outcome.out
    assert SECRET not in told(outcome)


@pytest.mark.slow
def test_events_of_a_sink_that_was_killed_are_sent_by_the_next_one(place: Path) -> None:
    """Nobody is there while the first sink lives; it is killed, and then the server comes up."""
    events, port = place / "events.jsonl", free_port()
    options = (
        *(*SHIPPED, *WATCHED, "--frames", "200", "--events", str(events)),
        *outlet("late", "webhook", f"http://127.0.0.1:{port}/", kinds=["crossed"]),
        *("--set", f"sink.outbox={place}/outbox.sqlite", "--set", "run.restart_backoff_s=[0.2]"),
    )

    def crossed() -> list[str]:
        lines = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
        return [line["id"] for line in lines if line["kind"] == "crossed"]

    def is_stored() -> bool:
        stats = run.stats("sink")
        return stats is not None and stats.details.get("outlets", {}).get("late.waiting", 0) > 0

    with Pipeline(place, *options) as run:
        until(lambda: crossed() and is_stored(), "an event waits", WAIT_S, run._told)
        before = crossed()
        run.kill("sink")
        with WebServer(port=port) as server:
            until(lambda: len(server.taken) >= len(before), "the events of before arrive", WAIT_S, run._told)
            outcome = run.finish()
    assert ids(server.taken)[: len(before)] == before
    assert outcome.report["outlets"]["late.delivered"] >= len(before)
