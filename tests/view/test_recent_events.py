from pipeline.view.recent_events import Events


def test_each_event_stands_once_newest_last():
    events = Events()
    for text in ("waiting for sink", "recording a.mp4", "waiting for sink", "waiting for sink"):
        events.add(text)
    assert events.lines() == ["recording a.mp4", "waiting for sink (3 times)"]


def test_the_oldest_give_way():
    events = Events(most=2)
    for text in "abac":
        events.add(text)
    assert events.lines() == ["a (2 times)", "c"]


def test_the_elapsed_time_of_a_long_operation_replaces_the_earlier_line() -> None:
    events = Events()
    for text in ("exporting ...", "sink: up", "exporting: 10 s so far", "exporting: 20 s so far"):
        events.add(text)
    assert events.lines() == ["sink: up", "exporting: 20 s so far"]
