"""One outlet against a real server: what is tried again, what is given up, what is said of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pipeline.base.outlet import Outlet
from pipeline.events.delivery import Delivery
from pipeline.events.outbox import Outbox
from pipeline.events.sender import Message, Sender
from pipeline.events.webhook import Webhook
from tests.events.messages import event, outlet
from tests.rigs.web_server import WebServer, silent_server
from tests.support import free_port
from tests.workers.program import until

WAIT_S = 20.0


def hook(port: int, **keys: object) -> Outlet:
    return outlet("webhook", f"http://127.0.0.1:{port}/", **keys)


@contextmanager
def at_work(
    folder: Path, where: Outlet, said: list[str], sender: Sender | None = None, waiting: int = 0
) -> Iterator[tuple[Delivery, Outbox]]:
    with Outbox(folder / "box", {"one": 1000}, said.append) as box:
        for n in range(waiting):
            add(box, n)
        delivery = Delivery("one", where, sender or Webhook(where, ""), box, said.append, waits_s=(0.01,))
        delivery.start()
        try:
            yield delivery, box
        finally:
            delivery.stop()
            assert delivery.join(WAIT_S)


def add(box: Outbox, number: int) -> None:
    one = event(number)
    box.add("one", f"{one.id}-{one.phase}", msgspec.json.encode(one))


def ids(numbers: range) -> list[str]:
    return [f"{event(n).id}-start" for n in numbers]


def test_a_server_that_fails_half_the_time_gets_everything_in_order(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        WebServer([500, 200] * 40) as server,
        at_work(tmp_path, hook(server.port), said, waiting=20) as (
            delivery,
            box,
        ),
    ):
        until(lambda: not box.waiting("one"), "all are delivered", WAIT_S)
        until(lambda: delivery.delivered == 20, "all are counted", WAIT_S)
    assert [one.headers["webhook-id"] for one in server.taken] == ids(range(20))


def test_an_outlet_that_goes_down_is_said_once_and_once_when_it_is_back(tmp_path: Path) -> None:
    said: list[str] = []
    port = free_port()
    with at_work(tmp_path, hook(port), said, waiting=3) as (delivery, box):
        until(lambda: delivery.is_down, "it is down", WAIT_S)
        add(box, 3)
        with WebServer(port=port) as server:
            until(lambda: delivery.delivered == 4, "all are delivered", WAIT_S)
    assert [one.headers["webhook-id"] for one in server.taken] == ids(range(4))
    assert said == [
        f"outlet one (http://127.0.0.1:{port}) is down: connection refused; 3 events waiting",
        f"outlet one is back; sending {said[1].split()[5]} events",
    ]


def test_what_is_refused_is_counted_said_once_and_holds_up_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        WebServer([200, 404, 404, 200]) as server,
        at_work(tmp_path, hook(server.port), said, waiting=4) as (
            delivery,
            box,
        ),
    ):
        until(lambda: delivery.delivered == 2, "those that it takes are delivered", WAIT_S)
        assert (delivery.failed["refused"], box.waiting("one"), len(server.asked)) == (2, 0, 4)
    assert len(said) == 1
    assert "rejected an event: HTTP status 404; it will not be retried" in said[0]


def test_what_waited_for_too_long_is_given_up(tmp_path: Path) -> None:
    said: list[str] = []
    with Outbox(tmp_path / "box", {"one": 10}, said.append) as box:
        add(box, 0)
        old = box.first("one")
        assert old is not None
        where = hook(free_port(), give_up_after_h=0.01)
        box._queues["one"][0] = Message(*old[:4], old.time_ns - 37 * 10**9)
        add(box, 1)
        delivery = Delivery("one", where, Webhook(where, ""), box, said.append, waits_s=(0.01,))
        delivery.start()
        until(lambda: delivery.failed["too_old"], "it is given up", WAIT_S)
        until(lambda: delivery.is_down, "the other is tried", WAIT_S)
        delivery.stop()
        assert delivery.join(WAIT_S)
        assert box.waiting("one") == 1
    assert "outlet one: events older than 0.01 h are dropped" in said


def test_a_server_that_names_a_wait_is_left_alone_for_it(tmp_path: Path) -> None:
    with (
        WebServer([503, 200], Retry_After="3600") as server,
        at_work(tmp_path, hook(server.port), [], waiting=1) as (delivery, box),
    ):
        until(lambda: delivery.is_down, "it is down", WAIT_S)
        add(box, 1)
        assert len(server.asked) == 1
    assert (len(server.asked), delivery.delivered) == (1, 0)


def test_a_library_that_raises_anything_does_not_end_the_thread(tmp_path: Path) -> None:
    class Broken(Sender):
        where = "nowhere"
        tries = 0

        def send(self, message: Message) -> None:
            self.tries += 1
            if self.tries < 3:
                raise KeyError("geheim")

    said: list[str] = []
    with at_work(tmp_path, hook(1), said, Broken(), waiting=1) as (delivery, _):
        until(lambda: delivery.delivered == 1, "it is delivered", WAIT_S)
    assert said == [
        "outlet one (nowhere) is down: unexpected KeyError in the client library; 1 event waiting",
        "outlet one is back; sending 1 event",
    ]


def test_a_server_that_hangs_keeps_nobody_from_adding(tmp_path: Path) -> None:
    with (
        silent_server() as port,
        at_work(tmp_path, hook(port, timeout_s=0.3), [], waiting=1) as (delivery, box),
    ):
        for n in range(1, 200):
            add(box, n)
        assert box.waiting("one") == 200
        until(lambda: delivery.is_down, "no answer came", WAIT_S)
