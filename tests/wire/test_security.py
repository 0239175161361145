"""CURVE over real sockets: listed keys get through, others get nothing."""

from pathlib import Path

import pytest

from pipeline.base.errors import SecurityError
from pipeline.base.redact import redact
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.keys import allow, load_public, new_keys
from pipeline.wire.publisher import Publisher
from pipeline.wire.security import SecurityPolicy
from tests.support import free_port
from tests.wire.peers import OPEN, QUICK, packed, security, seqs_of, until


class Machines:
    """A capture machine and a sink machine, each with its own keys."""

    def __init__(self, folder: Path) -> None:
        self.allowed = folder / "allowed"
        self.allowed.mkdir(mode=0o700)
        self.capture_public, capture_secret = new_keys(folder / "capture", "capture")
        self.sink_public, self._sink_secret = new_keys(folder / "sink", "sink")
        self.capture = security(secret_key=str(capture_secret), allowed=str(self.allowed))
        self.sink = self.client(self.capture_public)

    def client(self, server_key: Path) -> SecurityPolicy:
        return security(secret_key=str(self._sink_secret), servers={"capture": str(server_key)})


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path)


def gets_nothing(publisher: Publisher, receiver: FrameReceiver) -> None:
    for seq in range(40):
        publisher.send(packed(seq, "every", side=20))
        publisher.send(packed(seq, "newest", side=20))
        assert receiver.poll(0.02) == []
        assert not publisher.listeners()


def until_heard(publisher: Publisher, receiver: FrameReceiver) -> None:
    until(lambda: not receiver.poll(0.01) and publisher.listeners()["sink"] == 1, "the sink machine listens")


def test_a_listed_key_gets_through(machines: Machines) -> None:
    allow(machines.allowed, machines.sink_public)
    with (
        Publisher("tcp://127.0.0.1:0", QUICK, machines.capture) as publisher,
        FrameReceiver([publisher.endpoint], "sink", QUICK, machines.sink) as receiver,
    ):
        until_heard(publisher, receiver)
        publisher.send(packed(1, "every"))
        assert seqs_of(receiver.poll(10.0)) == [1]
        assert publisher.pop_refused() == []
        assert publisher.refused_lately() == ""


def test_an_unlisted_key_gets_through_only_once_it_is_allowed(machines: Machines) -> None:
    with (
        Publisher("tcp://127.0.0.1:0", QUICK, machines.capture) as publisher,
        FrameReceiver([publisher.endpoint], "sink", QUICK, machines.sink) as receiver,
    ):
        gets_nothing(publisher, receiver)
        until(lambda: not receiver.poll(0.05) and bool(receiver.rejects.counts), "the refused side knows")
        assert receiver.rejects.pop_reports()[0].endswith(
            f"refuses the connection: run `keys allow {machines.sink_public}` on its machine, and check that "
            f"{machines.capture_public} (security.servers.capture) is its public key"
        )
        (refused,) = publisher.pop_refused()
        key = load_public(machines.sink_public).decode()
        allow_file = f"`kvq-stream keys allow FILE --dir {machines.allowed}`"
        assert refused == (
            f"127.0.0.1: its public key {key} is not allowed at tcp://127.0.0.1:0: "
            f"copy its .key file to {machines.capture_public.parent} and allow it with {allow_file}"
        )
        assert publisher.refused_lately() == (
            f"; peers refused here because their keys are not allowed: 127.0.0.1 (public key {key}): "
            f"allow a key with {allow_file}"
        )
        gets_nothing(publisher, receiver)
        assert (publisher.pop_refused(), receiver.rejects.pop_reports()) == ([], []), "once a minute"
        allow(machines.allowed, machines.sink_public)
        until_heard(publisher, receiver)
        publisher.send(packed(1, "every"))
        assert seqs_of(receiver.poll(10.0)) == [1]


def test_a_rejected_key_is_named_after_its_file(machines: Machines) -> None:
    copied = machines.capture_public.with_name("sink.key")
    copied.write_text(machines.sink_public.read_text())
    key = load_public(copied).decode()
    command = f"`kvq-stream keys allow {copied} --dir {machines.allowed}`"
    with (
        Publisher("tcp://127.0.0.1:0", QUICK, machines.capture) as publisher,
        FrameReceiver([publisher.endpoint], "sink", QUICK, machines.sink) as receiver,
    ):
        (refused,) = until(lambda: receiver.poll(0.01) or publisher.pop_refused(), "it is refused")
        assert refused == (
            f"127.0.0.1: its public key {key} ({copied}) is not allowed at tcp://127.0.0.1:0: "
            f"allow it with {command}"
        )
        assert publisher.refused_lately().endswith(
            f": 127.0.0.1 (public key {key}, {copied}): allow a key with {command}"
        )
        assert redact(refused) == refused


def test_removing_a_key_cuts_its_link_and_no_other(machines: Machines, tmp_path: Path) -> None:
    other_public, other_secret = new_keys(tmp_path / "other", "other")
    other_key = security(secret_key=str(other_secret), servers={"capture": str(machines.capture_public)})
    sink_listed = allow(machines.allowed, machines.sink_public)
    allow(machines.allowed, other_public)
    with (
        Publisher("tcp://127.0.0.1:0", QUICK, machines.capture) as publisher,
        FrameReceiver([publisher.endpoint], "sink", QUICK, machines.sink) as removed,
        FrameReceiver([publisher.endpoint], "inference", QUICK, other_key) as stays,
    ):
        until_heard(publisher, removed)
        until(lambda: not stays.poll(0.01) and publisher.listeners()["inference"] == 1, "the other listens")
        sink_listed.unlink()
        until(lambda: not publisher.listeners()["sink"], "the link is cut")
        (report,) = publisher.pop_refused()
        key = load_public(machines.sink_public).decode()
        assert report == f"127.0.0.1: its public key {key} was removed: its connection was closed"
        for seq in range(40):
            assert publisher.send(packed(seq, "every", side=20), timeout_s=10.0)
            assert removed.poll(0.02) == []
            assert seqs_of(stays.poll(10.0)) == [seq]
        until(lambda: not removed.poll(0.05) and bool(removed.rejects.counts), "it learns why")
        assert "lost" in removed.links.values()
        assert stays.pop_link_events() == [], "the other one's link was never touched"
        allow(machines.allowed, machines.sink_public)
        until_heard(publisher, removed)


def test_a_plain_client_gets_nothing(machines: Machines) -> None:
    with (
        Publisher("tcp://127.0.0.1:0", QUICK, machines.capture) as publisher,
        FrameReceiver([publisher.endpoint], "sink", QUICK, OPEN) as receiver,
    ):
        gets_nothing(publisher, receiver)


def test_a_server_with_another_key_is_not_believed(machines: Machines) -> None:
    allow(machines.allowed, machines.sink_public)
    with (
        Publisher("tcp://127.0.0.1:0", QUICK, machines.capture) as publisher,
        FrameReceiver([publisher.endpoint], "sink", QUICK, machines.client(machines.sink_public)) as receiver,
    ):
        gets_nothing(publisher, receiver)


def test_a_plain_server_is_not_believed(machines: Machines) -> None:
    with (
        Publisher("tcp://127.0.0.1:0", QUICK, OPEN) as publisher,
        FrameReceiver([publisher.endpoint], "sink", QUICK, machines.sink) as receiver,
    ):
        gets_nothing(publisher, receiver)


def test_a_receiver_outlives_a_server_without_keys(machines: Machines) -> None:
    allow(machines.allowed, machines.sink_public)
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with FrameReceiver([endpoint], "sink", QUICK, machines.sink) as receiver:
        with Publisher(endpoint, QUICK, OPEN) as plain:
            gets_nothing(plain, receiver)
            until(lambda: not receiver.poll(0.05) and bool(receiver.rejects.counts), "it says so")
            assert "keys" in receiver.rejects.pop_reports()[0]
        with Publisher(endpoint, QUICK, machines.capture) as publisher:
            until_heard(publisher, receiver)


def test_one_receiver_can_use_both_kinds_of_link(machines: Machines, tmp_path: Path) -> None:
    allow(machines.allowed, machines.sink_public)
    with (
        Publisher("tcp://127.0.0.1:0", QUICK, machines.capture) as far,
        Publisher(f"ipc://{tmp_path}/frames", QUICK, machines.capture) as near,
        FrameReceiver([far.endpoint, near.endpoint], "sink", QUICK, machines.sink) as receiver,
    ):
        for publisher in (far, near):
            until_heard(publisher, receiver)
            publisher.send(packed(4, "every"))
            assert seqs_of(receiver.poll(10.0)) == [4]


@pytest.mark.parametrize("endpoint", ["tcp://*:0", "tcp://0.0.0.0:0"])
def test_binding_beyond_this_machine_needs_keys(endpoint: str) -> None:
    with pytest.raises(SecurityError) as caught:
        Publisher(endpoint, QUICK, OPEN)
    for words in ("kvq-stream keys new NAME", "keys allow FILE", "--insecure"):
        assert words in str(caught.value)
    with Publisher(endpoint, QUICK, security(insecure=True)):
        pass


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.1:5555", "tcp://camera.invalid:5555"])
def test_connecting_beyond_this_machine_needs_keys(endpoint: str) -> None:
    with pytest.raises(SecurityError) as caught:
        FrameReceiver([endpoint], "sink", QUICK, OPEN)
    for words in (endpoint, "kvq-stream keys new NAME", "security.servers.capture", "--insecure"):
        assert words in str(caught.value)
    with FrameReceiver([endpoint], "sink", QUICK, security(insecure=True)):
        pass


def test_a_server_without_a_list_is_refused(tmp_path: Path) -> None:
    _, secret = new_keys(tmp_path, "capture")
    with pytest.raises(SecurityError, match=r"security\.allowed is not set"):
        Publisher("tcp://127.0.0.1:0", QUICK, security(secret_key=str(secret)))
    with pytest.raises(SecurityError, match="there is no folder"):
        security(secret_key=str(secret), allowed=str(tmp_path / "missing"))


def test_a_client_must_know_its_server(tmp_path: Path) -> None:
    _, secret = new_keys(tmp_path, "sink")
    with pytest.raises(SecurityError, match=r"security\.servers\.capture is not"):
        FrameReceiver(["tcp://127.0.0.1:5555"], "sink", QUICK, security(secret_key=str(secret)))
