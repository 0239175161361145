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


def test_events_are_told_once_whatever_the_threads_do() -> None:
    tally = Tally()
    writer = Thread(target=lambda: [tally.say(str(number)) for number in range(5000)])
    writer.start()
    told = []
    while writer.is_alive():
        told += tally.pop_events()
    told += tally.pop_events()
    assert told == [str(number) for number in range(5000)]
