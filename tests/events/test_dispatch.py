"""All outlets together: nothing is lost, nothing holds up who hands over, the end comes in time."""

import json
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.outlet import Outlet
from pipeline.base.packages import MissingPackageError
from pipeline.events import delivery as delivery_module
from pipeline.events.dispatch import Dispatch
from pipeline.events.sender import OutletError
from tests.events.messages import WATCH, event, outlet
from tests.rigs.broker import Broker, Listener
from tests.rigs.web_server import WebServer, silent_server
from tests.support import fill_disk, free_port
from tests.workers.program import until

WAIT_S = 60.0
EVENTS = "kvq/door/events"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits a minute for the next try here."""
    monkeypatch.setattr(delivery_module.Delivery.__init__, "__defaults__", ((0.05,),))


def hook(port: int, **keys: Any) -> Outlet:
    return outlet("webhook", f"http://127.0.0.1:{port}/", **keys)


def mqtt(port: int, **keys: Any) -> Outlet:
    return outlet("mqtt", f"mqtt://127.0.0.1:{port}", **keys)


def dispatch(folder: Path, outlets: Mapping[str, Outlet]) -> Dispatch:
    return Dispatch(dict(outlets), WATCH, str(folder / "outbox.sqlite"))


def wait_until_delivered(to: Dispatch, name: str, count: int) -> None:
    until(
        lambda: to.counts()[f"{name}.delivered"] >= count,
        f"{count} delivered",
        WAIT_S,
        lambda: str(to.counts()),
    )


def test_each_outlet_gets_what_it_wants(tmp_path: Path) -> None:
    with WebServer() as all_of_it, WebServer() as some:
        outlets = {"all": hook(all_of_it.port), "some": hook(some.port, kinds=["entered"])}
        with dispatch(tmp_path, outlets) as to:
            to.hand_over(event(1))
            to.hand_over(event(2, kind="entered", phase="once"))
            wait_until_delivered(to, "all", 2)
            wait_until_delivered(to, "some", 1)
    assert [json.loads(one.body)["id"] for one in all_of_it.taken] == [event(1).id, event(2).id]
    assert [json.loads(one.body)["id"] for one in some.taken] == [event(2).id]


def test_a_broker_that_is_restarted_in_the_middle_gets_every_event_in_order(place: Path) -> None:
    with (
        Broker(place) as broker,
        dispatch(place, {"home": mqtt(broker.port)}) as to,
        Listener(broker.port) as heard,
    ):
        for n in range(60):
            to.hand_over(event(n))
            if n == 20:
                broker.stop(signal.SIGTERM)
            if n == 40:
                until(lambda: to.counts()["home.down"], "the outlet is down", WAIT_S)
                broker.start()
            time.sleep(0.005)  # spreads the events over the stop and the start
        wait_until_delivered(to, "home", 60)
        # what is delivered at least once may come twice: neither end of the broker may have heard an answer
        until(lambda: len(set(heard.texts(EVENTS))) == 60, "60 different events", WAIT_S)
    ids = [json.loads(text)["id"] for text in heard.texts(EVENTS)]
    assert list(dict.fromkeys(ids)) == [event(n).id for n in range(60)]
    assert len([line for line in to.pop_reports() if " is down: " in line]) == 1


def test_a_killed_broker_is_connected_to_again_without_any_event(place: Path) -> None:
    with Broker(place) as broker, dispatch(place, {"home": mqtt(broker.port)}) as to:
        to.add_stream("door")
        to.hand_over(event(1))
        wait_until_delivered(to, "home", 1)
        broker.stop(signal.SIGKILL)
        broker.forget()
        until(lambda: to.counts()["home.down"], "the outlet is down", WAIT_S)
        broker.start()
        with Listener(broker.port) as listener:
            listener.wait_for("kvq/status", 1)
            assert listener.wait_for("kvq/door/drive/motion", 1) == ["ON"]
    reports = to.pop_reports()
    assert reports[-1] == "outlet home is back"


def test_what_is_undelivered_waits_for_the_next_run(tmp_path: Path) -> None:
    port = free_port()
    with dispatch(tmp_path, {"one": hook(port)}) as to:
        for n in range(3):
            to.hand_over(event(n))
        until(lambda: to.counts()["one.down"], "the outlet is down", WAIT_S)
    assert to.pop_reports()[-1] == (
        f"outlet one: 3 events undelivered, kept in {tmp_path}/outbox.sqlite for the next run"
    )
    assert to.lost == {}
    with WebServer(port=port) as server, dispatch(tmp_path, {"one": hook(port)}) as to:
        to.hand_over(event(3))
        wait_until_delivered(to, "one", 4)
        assert to.pop_reports() == ["outlet one: sending 3 events from an earlier run"]
    assert [json.loads(one.body)["id"] for one in server.taken] == [event(n).id for n in range(4)]


def test_what_can_be_sent_at_the_end_is_sent(tmp_path: Path) -> None:
    with WebServer() as server:
        with dispatch(tmp_path, {"one": hook(server.port)}) as to:
            for n in range(20):
                to.hand_over(event(n))
        assert len(server.taken) == 20
    assert to.pop_reports() == []


def test_a_server_that_hangs_delays_nobody_and_not_the_end(tmp_path: Path) -> None:
    """Its answer is awaited for a day: were anything to wait for it, this test would never end."""
    with silent_server() as port, WebServer() as server, Broker(tmp_path) as broker:
        outlets = {
            "hangs": hook(port, timeout_s=86_400.0),
            "mute": mqtt(port, timeout_s=86_400.0),
            "good": hook(server.port),
            "home": mqtt(broker.port),
        }
        with dispatch(tmp_path, outlets) as to:
            for n in range(50):
                to.hand_over(event(n))
            wait_until_delivered(to, "good", 50)
            wait_until_delivered(to, "home", 50)
            assert (to.counts()["hangs.waiting"], to.counts()["mute.waiting"]) == (50, 50)
        assert [line for line in to.pop_reports() if "50 events undelivered" in line]
        assert len([one for one in threading.enumerate() if one.name in ("outlet good", "outlet home")]) == 0


def test_a_queue_that_is_full_and_what_was_refused_are_losses(tmp_path: Path) -> None:
    with WebServer([400]) as server:
        outlets = {"full": hook(free_port(), most_waiting=2), "strict": hook(server.port)}
        with dispatch(tmp_path, outlets) as to:
            for n in range(5):
                to.hand_over(event(n))
            until(lambda: to.counts()["strict.failed"] == 5, "all are refused", WAIT_S)
            assert (to.counts()["full.failed"], to.counts()["full.waiting"]) == (3, 2)
    assert to.lost == {
        "full": "outlet full: 3 events not delivered: 3 overflow",
        "strict": "outlet strict: 5 events not delivered: 5 refused",
    }


def test_events_that_neither_go_out_nor_fit_on_the_disk_are_lost_and_said_so(small_disk: Path) -> None:
    with dispatch(small_disk, {"one": hook(free_port())}) as to:
        fill_disk(small_disk)
        for n in range(300):
            to.hand_over(event(n, why={"text": "x" * 300}))
        until(lambda: to.counts()["one.down"], "the outlet is down", WAIT_S)
    assert to.lost["one"].startswith("outlet one: ")
    assert to.lost["one"].endswith(" unsaved")
    assert [line for line in to.pop_reports() if "database or disk is full" in line]


def test_an_outlet_that_cannot_work_is_named_and_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one, message in (
        (
            hook(1, zones=["yard"]),
            "outlets.one: zones: there is no zone or line 'yard'",
        ),
        (hook(1, secret_env="KVQ_NOT_SET"), "outlets.one: secret_env: the environment variable"),
    ):
        with pytest.raises(OutletError, match=message):
            dispatch(tmp_path, {"one": one})
    for kind, url, module, extra in (
        ("mqtt", "mqtt://localhost", "paho", "mqtt"),
        ("push", "json://localhost", "apprise", "push"),
    ):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(MissingPackageError, match=rf"outlets.one: .*pip install 'kvq-stream\[{extra}\]'"):
            dispatch(tmp_path, {"one": outlet(kind, url)})
    assert list(tmp_path.iterdir()) == []
