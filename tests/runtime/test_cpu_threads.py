import os

import pytest

from pipeline.runtime.cpu_threads import default_threads, usable_cpus


@pytest.mark.parametrize(("wish", "threads"), [("3", 3), ("5,2", 5)])
def test_the_user_may_choose(wish: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wish)
    assert default_threads() == threads


@pytest.mark.parametrize("wish", [None, "", "0", "many"])
def test_without_a_choice_there_are_no_more_than_cpus(
    wish: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wish is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", wish)
    assert 1 <= default_threads() <= usable_cpus()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_process_on_one_cpu_gets_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert (usable_cpus(), default_threads()) == (1, 1)
    finally:
        os.sched_setaffinity(0, allowed)
