import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.view.web import control_server
from pipeline.view.web.control_server import ControlError
from pipeline.view.web.verbs import Done, Verb, VerbError
from tests.rigs import verb_server
from tests.rigs.http import ask

TOKEN = "0123456789abcdef"
WORKING = {"worker": "left", "state": "ready"}


def put(asked):
    if asked.stream_id == "gone":
        raise VerbError(404, "there is no stream 'gone'")
    return Done({"stream": asked.stream_id, "bytes": len(asked.body), "generation": asked.generation})


VERBS = [
    Verb("GET", "/streams", lambda _: Done({"streams": []})),
    Verb("PUT", "/streams/{stream_id}", put, most_bytes=1000),
    Verb("DELETE", "/streams/{stream_id}", lambda asked: Done(asked.stream_id.encode() or None)),
    Verb("POST", "/streams", lambda _: Done()),
]


def serving(listen="127.0.0.1:0", token=None, health=lambda: (True, WORKING)):
    return verb_server.serving(listen, VERBS, health, token)


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_verbs_are_done_and_answered(way, tmp_path):
    with serving(f"unix:{tmp_path}/control" if way == "unix" else "127.0.0.1:0") as address:
        assert ask(address, "GET", "/streams") == (200, {"streams": []})
        told = {"stream": "gate ü", "bytes": 3, "generation": 4}
        assert ask(address, "PUT", "/streams/gate%20%C3%BC?generation=4", b"abc") == (200, told)
        assert ask(address, "DELETE", "/streams/gate") == (200, b"gate")
        assert ask(address, "POST", "/streams") == (204, b"")
        gone = {"error": "there is no stream 'gone'"}
        assert ask(address, "PUT", "/streams/gone?generation=1") == (404, gone)
        assert ask(address, "PUT", "/streams").code == 405
        assert ask(address, "GET", "/nothing") == (404, {"error": "Not Found"})
        assert ask(address, "PUT", "/streams/a%2Fb?generation=1").code == 404
        code, told = ask(address, "PUT", "/streams/%0A?generation=1")
        assert code == 400
        assert told["error"].startswith("id: expected 1 to 64 printable")


def test_health_is_told_to_everybody_by_its_code():
    state = [True, WORKING]
    with serving("0.0.0.0:0", TOKEN, lambda: tuple(state)) as address:
        assert ask(address, "GET", "/healthz") == (200, WORKING)
        state[0] = False
        assert ask(address, "GET", "/healthz") == (503, WORKING)


def test_health_is_told_while_the_worker_is_in_the_middle_of_something():
    begun, goes_on = threading.Event(), threading.Event()

    def step(_):
        begun.set()
        goes_on.wait(60)
        return Done()

    verbs = [Verb("POST", "/step", step)]
    with (
        verb_server.serving("127.0.0.1:0", verbs, lambda: (True, WORKING)) as address,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(ask, address, "POST", "/step")
        assert begun.wait(60)
        assert ask(address, "GET", "/healthz") == (200, WORKING)
        assert not answer.done()
        goes_on.set()
        assert answer.result().code == 204


def test_beyond_this_machine_a_token_is_needed():
    with pytest.raises(ControlError, match=r"control\.token_file"), serving("0.0.0.0:0"):
        pass
    with serving("0.0.0.0:0", TOKEN) as address:
        code, told = ask(address, "GET", "/streams")
        assert (code, told["error"]) == (
            401,
            "send the token of control.token_file: Authorization: Bearer TOKEN",
        )
        assert ask(address, "GET", "/streams", headers={"Authorization": "Bearer no"}).code == 401
        assert ask(address, "GET", "/streams", headers={"Authorization": f"Bearer {TOKEN}"}).code == 200


def test_a_page_from_elsewhere_is_refused():
    with serving() as address:
        assert ask(address, "GET", "/streams", headers={"Host": "evil.example"}).code == 400
        assert ask(address, "POST", "/streams", headers={"Origin": "http://evil.example"}).code == 403


def test_a_socket_of_a_file_is_this_users_alone(tmp_path):
    file = tmp_path / "control"
    with serving(f"unix:{file}"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with pytest.raises(ControlError, match="in use"), serving(f"unix:{file}"):
            pass
    assert not file.exists()


def test_a_socket_that_a_killed_worker_has_left_is_replaced_and_a_file_is_not(tmp_path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "left"))
    left.close()
    with serving(f"unix:{tmp_path}/left") as address:
        assert ask(address, "GET", "/streams").code == 200
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    with pytest.raises(ControlError, match="in use"), serving(f"unix:{file}"):
        pass
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:99999", "unix:/nosuch/folder/control", "unix:/" + "a" * 200, "nosuch.invalid:0"]
)
def test_what_can_not_be_listened_at_is_one_line(listen):
    with pytest.raises(ControlError, match=r"control\.listen ") as refused, serving(listen, TOKEN):
        pass
    assert "\n" not in str(refused.value)


def test_a_port_in_use_is_one_line():
    with serving() as address, pytest.raises(ControlError, match="in use"), serving(address):
        pass


def test_large_bodies_are_refused(monkeypatch):
    with serving() as address:
        assert ask(address, "PUT", "/streams/gate?generation=1", b"x" * 1000).code == 200
        told = {"error": "the request is larger than 1000 bytes"}
        assert ask(address, "PUT", "/streams/gate?generation=1", b"x" * 1001) == (413, told)
        monkeypatch.setattr(control_server, "_MOST_HELD_BYTES", 500)
        assert ask(address, "PUT", "/streams/gate?generation=1", b"x" * 501).code == 503
        assert ask(address, "PUT", "/streams/gate?generation=1", b"x" * 500).code == 200


def test_a_client_that_sends_half_a_body_is_let_go_and_others_are_served(monkeypatch):
    monkeypatch.setattr(control_server, "REQUEST_TIMEOUT_S", 0.2)
    with serving() as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            slow.sendall(
                b"PUT /streams/a?generation=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc"
            )
            assert ask(address, "GET", "/streams").code == 200
            assert slow.makefile("rb").read().startswith(b"HTTP/1.1 408")
