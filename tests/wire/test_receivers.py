"""Answers of inference workers that have lost a stream to another one."""

from pathlib import Path

import pytest

from pipeline.account.stats import MOST_STREAMS
from pipeline.base.frame import Policy
from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedPrediction
from pipeline.wire.messages import Part
from pipeline.wire.publisher import SMALL_QUEUE, Publisher
from pipeline.wire.receivers import PredictionReceiver
from tests.support import until
from tests.wire.peers import OPEN, QUICK, bad_picture, end, prediction
from tests.wire.test_transport import until_heard


def of(generation: int, seq: int, policy: Policy, stream_id: str = "door") -> list[Part]:
    return encoding.encode_prediction(prediction(seq, policy, generation=generation, stream_id=stream_id))


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_what_a_former_owner_still_sends_is_refused_and_reported_once(policy: Policy, tmp_path: Path) -> None:
    former, owner = f"ipc://{tmp_path}/former", f"ipc://{tmp_path}/owner"
    with (
        Publisher(former, QUICK, OPEN, queue=SMALL_QUEUE) as old,
        Publisher(owner, QUICK, OPEN, queue=SMALL_QUEUE) as new,
        PredictionReceiver([former, owner], QUICK, OPEN) as receiver,
    ):
        for publisher in (old, new):
            until_heard(publisher, sink=1)
        got: list[tuple[str, int, int]] = []

        def take() -> bool:
            items = [item for item in receiver.poll(0.05) if isinstance(item, ReceivedPrediction)]
            got.extend((p.stream_id, p.generation, p.seq) for item in items for p in [item.prediction])
            return bool(items)

        until(lambda: old.send(of(0, 0, policy)) and take(), "the first owner is heard")
        until(lambda: new.send(of(2, 1, policy)) and take(), "the next owner is heard")
        got.clear()
        assert receiver.rejects.counts == {}
        sent = [of(1, 2, policy), encoding.encode_bad_picture(bad_picture(3, policy, generation=1))]
        sent.append(encoding.encode_end(end(4, policy), "predictions"))
        for parts in sent:
            until(lambda parts=parts: old.send(parts), "room")  # type: ignore[misc]
            until(lambda: take() or sum(receiver.rejects.counts.values()), "it arrives")
        until(lambda: take() or receiver.rejects.counts == {"generation": 3}, "all are refused")
        assert got == []
        until(lambda: old.send(of(0, 5, policy, "yard")) and take(), "another stream is still its own")
        until(lambda: new.send(of(2, 6, policy)) and take(), "the owner is heard as before")
        assert set(got) == {("yard", 0, 5), ("door", 2, 6)}
        (report,) = receiver.rejects.pop_reports()
    assert report.endswith(
        "door: an answer of generation 1 is refused: the stream was given to another inference worker, "
        "which is at 2"
    )


def test_generations_of_names_without_end_are_not_kept(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/predictions"
    with (
        Publisher(endpoint, QUICK, OPEN, queue=SMALL_QUEUE) as publisher,
        PredictionReceiver([endpoint], QUICK, OPEN) as receiver,
    ):
        until_heard(publisher, sink=1)
        for n in range(MOST_STREAMS + 50):
            until(lambda n=n: publisher.send(of(1, 0, "every", f"s{n}")), "room")  # type: ignore[misc]
            receiver.poll(0.0)
        until(lambda: receiver.poll(0.05) or receiver.rejects.counts.get("names", 0) == 50, "all arrive")
        assert len(receiver._generations) == MOST_STREAMS
