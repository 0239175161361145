"""Peers that bring names without end are stopped, counted and named; those known go on."""

from pathlib import Path

import pytest

from pipeline.account.stats import MOST_STREAMS, WorkerStats
from pipeline.base.errors import WireError
from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.census import MOST_SESSIONS, Census
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import Stats
from pipeline.wire.publisher import Publisher
from pipeline.wire.receivers import StatsReceiver
from tests.wire.peers import OPEN, QUICK, end, packed, prediction, until


def test_only_so_many_streams_get_in_and_those_that_are_in_stay(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    seen: list[str] = []
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "the receiver listens")

        def send(stream_id: str, seq: int = 0) -> None:
            assert publisher.send(packed(seq, "every", stream_id=stream_id, side=2), timeout_s=10.0)
            refused = receiver.rejects.counts.get("names", 0)
            got = receiver.poll(10.0)
            assert got or receiver.rejects.counts["names"] == refused + 1
            seen.extend(item.header.stream_id for item in got if isinstance(item, ReceivedFrame))

        names = [f"made-up-{number}" for number in range(MOST_STREAMS + 3)]
        for name in names:
            send(name)
        send(names[0], seq=1)
        assert seen == [*names[:MOST_STREAMS], names[0]]
        assert receiver.rejects.counts == {"names": 3}
        (report,) = receiver.rejects.pop_reports()
        assert f"more than {MOST_STREAMS} streams: restart this worker" in report


def test_workers_and_the_streams_that_they_name_are_limited_too(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/stats"
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        StatsReceiver({"sink": [endpoint]}, QUICK, OPEN) as receiver,
    ):
        heard: set[tuple[str, int]] = set()

        def arrives(figures: WorkerStats) -> bool:
            publisher.send(encoding.encode_stats(figures))
            heard.update((figures.worker, figures.session) for figures in receiver.poll(0.05))
            return (figures.worker, figures.session) in heard

        def refused(figures: WorkerStats) -> bool:
            before = receiver.rejects.counts.get("names", 0)
            return not arrives(figures) and receiver.rejects.counts.get("names", 0) > before

        first = WorkerStats("sink", "sink", 1, "host", 2)
        first.stream("door")
        until(lambda: arrives(first), "statistics")
        crowd = WorkerStats("crowd", "sink", 1, "host", 2)
        for number in range(MOST_STREAMS):
            crowd.stream(f"made-up-{number}")
        until(lambda: refused(crowd), "the crowd is refused")
        until(lambda: refused(WorkerStats("w" * 65, "sink", 1, "host", 2)), "a long name is refused")
        until(lambda: arrives(WorkerStats("sink", "sink", 2, "host", 2)), "the others go on")
        assert {worker for worker, _ in heard} == {"sink"}


def test_sessions_are_limited_by_name() -> None:
    census = Census()
    for session in range(MOST_SESSIONS):
        census.admit(Stats(stats=WorkerStats("sink", "sink", session, "host", 2)))
        census.admit(prediction(0, session=session))
    for message in (
        Stats(stats=WorkerStats("sink", "sink", -1, "host", 2)),
        prediction(0, session=MOST_SESSIONS),
    ):
        with pytest.raises(WireError, match=rf"more than {MOST_SESSIONS} sessions") as caught:
            census.admit(message)
        assert caught.value.reason == "sessions"
    census.admit(end(5))
    census.admit(Stats(stats=WorkerStats("capture", "capture", -1, "host", 2)))
