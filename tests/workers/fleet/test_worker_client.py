import socket
import threading

import msgspec
import pytest

from pipeline.view.web.verbs import Done, Verb, VerbError
from tests.rigs import verb_server
from workers.fleet.worker_client import Answer, Question, ask, stream_path


def leave(asked):
    if asked.stream_id == "gone":
        raise VerbError(404, "there is no stream 'gone'")
    if asked.stream_id == "nothing":
        return Done()
    return Done(f"{asked.stream_id} {asked.generation}".encode())


VERBS = [
    Verb("GET", "/streams", lambda _: Done({"streams": []})),
    Verb("POST", "/streams", lambda asked: Done(msgspec.json.decode(asked.body), 201)),
    Verb("DELETE", "/streams/{stream_id}", leave),
    Verb("PUT", "/streams/{stream_id}", lambda asked: Done(asked.body[::-1]), most_bytes=2**20),
]


def serving(file):
    return verb_server.serving(f"unix:{file}", VERBS, lambda: (False, {"state": "starting"}))


def test_a_worker_answers(place):
    file = place / "control"
    with serving(file):
        listed = ask(file, Question("GET", "/streams"))
        assert (listed.code, listed.done, listed.read()) == (200, True, {"streams": []})
        begun = ask(file, Question("POST", "/streams", {"stream_id": "gate ü"}))
        assert (begun.code, begun.done, begun.read()) == (201, True, {"stream_id": "gate ü"})
        handed = ask(file, Question("DELETE", stream_path("gate ü", 3)))
        assert (handed.code, handed.body.decode()) == (200, "gate ü 3")
        memory = bytes(range(256)) * 1000
        assert ask(file, Question("PUT", stream_path("gate", 0), memory)) == Answer(200, memory[::-1])
        nothing = ask(file, Question("DELETE", stream_path("nothing", 3)))
        assert (nothing, nothing.done, nothing.read()) == (Answer(204, b""), True, None)


def test_a_refusal_is_told_in_one_line(place):
    with serving(place / "control"):
        refused = ask(place / "control", Question("DELETE", stream_path("gone", 1)))
        assert (refused.code, refused.done, refused.trouble()) == (404, False, "there is no stream 'gone'")
        health = ask(place / "control", Question("GET", "/healthz"))
        assert (health.code, health.trouble(), health.read()) == (
            503,
            "HTTP status 503",
            {"state": "starting"},
        )


def test_nobody_listens(place):
    answer = ask(place / "control", Question("GET", "/streams"))
    assert (answer.code, answer.done, answer.read()) == (0, False, None)
    assert answer.trouble().startswith("FileNotFoundError: ")
    assert Answer(0, b"").trouble() == "no answer"


@pytest.mark.parametrize(
    "said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"]
)
def test_a_worker_dies_before_it_has_answered(place, said):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "control"))
        listener.listen()

        def die():
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(said)
            connection.close()

        dying = threading.Thread(target=die)
        dying.start()
        answer = ask(place / "control", Question("GET", "/streams"))
        dying.join()
    assert (answer.code, answer.done) == (0, False)


def test_a_worker_that_stands_still_is_not_waited_for(place):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "control"))
        listener.listen()
        answer = ask(place / "control", Question("GET", "/streams"), timeout_s=0.1)
    assert (answer.code, answer.trouble()) == (0, "TimeoutError: timed out")
