"""``outlets test`` against real servers."""

import json
from pathlib import Path

from tests.rigs.broker import Broker, Listener
from tests.rigs.web_server import WebServer
from tests.support import free_port
from tests.workers.program import Program


def test_each_outlet_gets_one_event_and_says_what_came_back(place: Path) -> None:
    with (
        WebServer() as good,
        WebServer([403]) as strict,
        Broker(place) as broker,
        Listener(broker.port) as heard,
    ):
        file = place / "site.toml"
        file.write_text(
            f"""
            [outlets.good]
            kind = "webhook"
            url = "http://me:geheim@127.0.0.1:{good.port}/geheim"
            [outlets.strict]
            kind = "webhook"
            url = "http://127.0.0.1:{strict.port}/"
            [outlets.home]
            kind = "mqtt"
            url = "mqtt://127.0.0.1:{broker.port}"
            [outlets.phone]
            kind = "push"
            url = "ntfy://127.0.0.1:{good.port}/geheim"
            [outlets.gone]
            kind = "webhook"
            url = "http://127.0.0.1:{(gone := free_port())}/"
            """
        )
        with Program(place, "outlets", "test", "--config", str(file)) as program:
            outcome = program.finish()
        assert [json.loads(text)["why"] for text in heard.wait_for("kvq/test/test/events", 1)] == [
            {"test": True}
        ]
    assert outcome.out.splitlines() == [
        f"good (http://127.0.0.1:{good.port}): accepted the test event",
        f"strict (http://127.0.0.1:{strict.port}): HTTP status 403",
        f"home (mqtt://127.0.0.1:{broker.port}): accepted the test event",
        "phone (push by ntfy): accepted the test event",
        f"gone (http://127.0.0.1:{gone}): connection refused",
    ]
    assert (outcome.code, outcome.err) == (3, "")
    assert json.loads(good.taken[0].body)["kind"] == "entered"
    assert json.loads(good.taken[1].body)["message"].startswith("this is a test message")
