"""What is said of evidence that was lost."""

import threading

from pipeline.base.errors import OutputError
from tests.workers.program import until
from workers.evidence_troubles import why_lost, worked_s


def test_a_disk_is_named_by_its_reason_and_a_defect_by_its_place() -> None:
    assert why_lost(OSError(28, "No space left on device")) == "no space left on device"
    assert why_lost(OutputError("clip.mp4: is incomplete")) == "clip.mp4: is incomplete"
    try:
        [][0]
    except IndexError as error:
        said = why_lost(error)
    assert said.startswith("please report this bug: IndexError in test_evidence_troubles.py:")
    assert said.endswith(": list index out of range")


def test_a_thread_that_works_takes_processor_time_and_one_that_has_ended_none() -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: worked_s(thread) > 0.05, "it has worked", 60.0)
    finally:
        stop.set()
        thread.join()
    until(lambda: worked_s(thread) == 0.0, "the system has forgotten it", 60.0)
