import threading

import msgspec
import pytest

from pipeline.base.text import StreamId
from pipeline.view.web import verbs
from pipeline.view.web.verbs import Asked, Done, VerbError, VerbQueue
from tests.workers.program import until


class Order(msgspec.Struct, forbid_unknown_fields=True):
    stream_id: StreamId
    generation: int = 0


def test_what_a_request_says_is_checked():
    assert Asked({"stream_id": "gate ü"}).stream_id == "gate ü"
    assert Asked(query={"generation": "3", "other": "x"}).generation == 3
    assert Asked(body=b'{"stream_id": "gate"}').read(Order) == Order("gate")


@pytest.mark.parametrize("name", ["..", "a" * 65, "a\nb", " a", ""])
def test_what_can_name_no_stream_is_refused(name):
    with pytest.raises(VerbError, match="id: ") as refused:
        _ = Asked({"stream_id": name}).stream_id
    assert refused.value.code == 400


@pytest.mark.parametrize("query", [{}, {"generation": "-1"}, {"generation": "x"}, {"generation": "9" * 30}])
def test_a_generation_has_to_be_given(query):
    with pytest.raises(VerbError, match="generation") as refused:
        _ = Asked(query=query).generation
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[1]", "must be a JSON object"),
        (b"{}", "missing required field `stream_id`"),
        (b'{"stream_id": "a", "genration": 1}', "did you mean generation"),
        (b'{"stream_id": "a/b"}', "stream_id: expected 1 to 64 printable"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_in_one_line(body, why):
    with pytest.raises(VerbError, match=why) as refused:
        Asked(body=body).read(Order)
    assert refused.value.code == 400
    assert "\n" not in str(refused.value)


def test_a_verb_is_done_by_the_workers_thread():
    queue, done_by, got = VerbQueue(), [], []
    queue.accept()

    def do(asked):
        done_by.append(threading.get_ident())
        return Done(asked.body)

    asking = threading.Thread(target=lambda: got.append(queue.ask(do, Asked(body=b"x"))))
    asking.start()
    until(lambda: queue.do_all() or got, "the answer", 10.0)
    asking.join()
    assert got == [Done(b"x")]
    assert done_by == [threading.get_ident()]


def test_what_is_not_begun_in_time_is_never_done(monkeypatch):
    monkeypatch.setattr(verbs, "BEGIN_S", 0.05)
    queue, done = VerbQueue(), []
    queue.accept()
    with pytest.raises(VerbError, match="nothing was done") as refused:
        queue.ask(lambda _: done.append(1) or Done(), Asked())
    assert refused.value.code == 503
    queue.do_all()
    assert done == []


def test_before_the_start_and_after_the_end_everything_is_refused():
    queue = VerbQueue()
    with pytest.raises(VerbError, match="the worker is starting"):
        queue.ask(lambda _: Done(), Asked())
    queue.accept()
    refused = []

    def ask():
        try:
            queue.ask(lambda _: Done(), Asked())
        except VerbError as error:
            refused.append((error.code, str(error)))

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: queue._turns, "the request", 10.0)
    queue.refuse("the worker is stopping")
    asking.join()
    assert refused == [(503, "the worker is stopping")]
    with pytest.raises(VerbError, match="the worker is stopping"):
        queue.ask(lambda _: Done(), Asked())


def test_a_verb_that_can_not_be_done_says_why_and_a_defect_ends_the_worker():
    queue, got = VerbQueue(), []
    queue.accept()

    def ask(do):
        def run():
            try:
                queue.ask(do, Asked())
            except VerbError as error:
                got.append((error.code, str(error)))

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: queue._turns, "the request", 10.0)
        return thread

    def refuse(_):
        raise VerbError(409, "it knows better")

    asking = ask(refuse)
    queue.do_all()
    asking.join()
    asking = ask(lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        queue.do_all()
    asking.join()
    assert got == [(409, "it knows better"), (500, "the worker has failed")]
