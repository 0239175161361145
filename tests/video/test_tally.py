from threading import Thread

from pipeline.video.tally import Tally


def test_pictures_are_numbered_and_drops_counted_by_reason() -> None:
    tally = Tally()
    assert [tally.capture() for _ in range(3)] == [0, 1, 2]
    tally.drop("capture.damaged")
    tally.drop("capture.stopped", 2)
    tally.drop("capture.damaged")
    assert tally.captured == 3
    assert tally.dropped == {"capture.damaged": 2, "capture.stopped": 2}


def test_events_are_reported_once_whatever_the_threads_do() -> None:
    tally = Tally()
    writer = Thread(target=lambda: [tally.report(str(number)) for number in range(5000)])
    writer.start()
    reported = []
    while writer.is_alive():
        reported += tally.pop_events()
    reported += tally.pop_events()
    assert reported == [str(number) for number in range(5000)]
