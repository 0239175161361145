import threading
from contextlib import contextmanager
from functools import partial

from tests.support import until
from workers.fleet.errands import Errands


@contextmanager
def errands():
    lock = threading.RLock()
    running = Errands(lock)
    try:
        yield running, lock
    finally:
        running.close()


def begin(running, lock, *args):
    with lock:
        running.begin(*args)


def test_one_of_a_kind_is_under_way_and_the_next_begins_after_it():
    go, begun, results = threading.Event(), [], []

    def work(key):
        begun.append(key)
        assert go.wait(20)
        return key

    with errands() as (running, lock):
        for key in ("gate", "gate", "yard"):
            begin(running, lock, (key,), partial(work, key), results.append)
        until(lambda: len(begun) == 2, "both have begun")
        assert results == []
        go.set()
        until(lambda: len(results) == 2, "both are done")
        begin(running, lock, ("gate",), partial(work, "gate"), results.append)
    assert sorted(begun) == sorted(results) == ["gate", "gate", "yard"], "and one can be done again"


def test_the_result_is_told_under_the_lock_and_may_begin_the_next():
    seen = []

    with errands() as (running, lock):

        def then(number):
            seen.append((number, threading.current_thread() is not threading.main_thread()))
            if number < 3:
                running.begin(("count",), lambda: number + 1, then)

        with lock:
            running.begin(("count",), lambda: 1, then)
            begun = threading.Event()
            running.begin(("other",), begun.set, lambda _: None)
            assert begun.wait(20)
            assert seen == [], "it has to wait for the lock"
        until(lambda: seen == [(1, True), (2, True), (3, True)], "one after the other")


def test_at_the_end_those_under_way_are_awaited_and_no_more_begin():
    told = []
    with errands() as (running, lock):
        for number in range(100):
            begin(running, lock, (str(number),), lambda number=number: number, told.append)
    assert sorted(told) == list(range(100))
    begin(running, lock, ("late",), lambda: 100, told.append)
    assert len(told) == 100


def test_an_errand_that_fails_can_be_done_again():
    told = []

    def fails():
        raise KeyError("gone")

    with errands() as (running, lock):
        begin(running, lock, ("stop",), fails, told.append)
        until(lambda: begin(running, lock, ("stop",), lambda: 1, told.append) or told, "it is done")
