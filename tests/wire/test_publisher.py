"""What a publisher knows of how far its receivers are."""

import threading
from pathlib import Path

import pytest

from pipeline.base.frame import Policy
from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedPrediction
from pipeline.wire.publisher import SMALL_QUEUE, Publisher
from pipeline.wire.receivers import PredictionReceiver
from tests.support import until
from tests.wire.peers import OPEN, QUICK, prediction
from tests.wire.test_transport import until_heard


@pytest.mark.parametrize("lane", ["newest", "every"])
def test_what_was_sent_is_settled_once_all_receivers_have_taken_it(lane: Policy, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/predictions"
    with (
        Publisher(endpoint, QUICK, OPEN, queue=SMALL_QUEUE) as publisher,
        PredictionReceiver([endpoint], QUICK, OPEN) as reads,
        PredictionReceiver([endpoint], QUICK, OPEN) as sleeps,
    ):
        until_heard(publisher, sink=2)
        for seq in range(5):
            assert publisher.send(encoding.encode_prediction(prediction(seq, lane)), timeout_s=5.0)
        until(lambda: len(reads.poll(0.05)) == 0, "one has taken it")
        assert not publisher.settle(lane, 0.2), "the other one has not"
        assert not publisher._deliveries
        taken: list[int] = []
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                reads.poll(0.005)
                found = [one for one in sleeps.poll(0.005) if isinstance(one, ReceivedPrediction)]
                taken.extend(one.prediction.seq for one in found)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert publisher.settle(lane, 20.0)
        finally:
            stop.set()
            reader.join()
        assert taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("lane", ["newest", "every"])
def test_there_is_time_for_something_else_until_it_is_settled(lane: Policy, tmp_path: Path) -> None:
    """Nothing would be taken otherwise: one thread does both."""
    endpoint = f"ipc://{tmp_path}/predictions"
    with (
        Publisher(endpoint, QUICK, OPEN, queue=SMALL_QUEUE) as publisher,
        PredictionReceiver([endpoint], QUICK, OPEN) as receiver,
    ):
        until_heard(publisher, sink=1)
        assert publisher.send(encoding.encode_prediction(prediction(0, lane)), timeout_s=5.0)
        taken: list[object] = []
        assert publisher.settle(lane, 20.0, lambda: taken.extend(receiver.poll(0.005)))
        assert len(taken) == 1
        assert not publisher.settle(lane, 0.1, lambda: None)
        assert not publisher._deliveries
