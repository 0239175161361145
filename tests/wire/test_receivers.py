"""Answers of inference workers that have lost a stream to another one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipeline.account.stats import MOST_STREAMS
from pipeline.base.errors import TransportError
from pipeline.base.frame import Policy
from pipeline.base.role_names import Role
from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedPrediction
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import AttentionHeader, Part
from pipeline.wire.publisher import SMALL_QUEUE, Publisher
from pipeline.wire.receivers import PredictionReceiver
from tests.support import free_port, until
from tests.wire.peers import OPEN, QUICK, bad_picture, end, packed, prediction, security, seqs_of
from tests.wire.test_transport import until_heard


def of(generation: int, seq: int, policy: Policy, stream_id: str = "door") -> list[Part]:
    return encoding.encode_prediction(prediction(seq, policy, generation=generation, stream_id=stream_id))


@contextmanager
def two_owners(folder: Path) -> Iterator[tuple[Publisher, Publisher, PredictionReceiver]]:
    """The former owner of a stream, the next one, and who hears both."""
    former, owner = f"ipc://{folder}/former", f"ipc://{folder}/owner"
    with (
        Publisher(former, QUICK, OPEN, queue=SMALL_QUEUE) as old,
        Publisher(owner, QUICK, OPEN, queue=SMALL_QUEUE) as new,
        PredictionReceiver([former, owner], QUICK, OPEN) as receiver,
    ):
        for publisher in (old, new):
            until_heard(publisher, sink=1)
        yield old, new, receiver


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_what_a_former_owner_still_sends_is_refused_and_reported_once(policy: Policy, tmp_path: Path) -> None:
    with two_owners(tmp_path) as (old, new, receiver):
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
        "door: an answer of generation 1 is refused: the stream has moved to another inference worker, "
        "generation 2"
    )


def test_a_frame_that_the_former_owner_has_answered_is_not_answered_again(tmp_path: Path) -> None:
    with two_owners(tmp_path) as (old, new, receiver):
        got: list[tuple[int, int]] = []

        def taken(count: int) -> bool:
            items = [item for item in receiver.poll(0.05) if isinstance(item, ReceivedPrediction)]
            got.extend((item.prediction.generation, item.prediction.seq) for item in items)
            return len(got) + sum(receiver.rejects.counts.values()) >= count

        for seq in (2, 3):
            old.send(of(0, seq, "every"))
            until(lambda seq=seq: taken(seq - 1), "the first owner is heard")  # type: ignore[misc]
        new.send(of(1, 2, "every"))
        new.send(encoding.encode_bad_picture(bad_picture(3, "every", generation=1)))
        for seq in (4, 5):
            new.send(of(1, seq, "every"))
        until(lambda: taken(6), "all arrive")
        assert got == [(0, 2), (0, 3), (1, 4), (1, 5)]
        assert receiver.rejects.counts == {"generation": 2}
        (report,) = receiver.rejects.pop_reports()
        assert "door: a duplicate prediction is rejected: frame 2 was predicted before" in report
        new.send(encoding.encode_prediction(prediction(0, "every", generation=2, session=77)))
        until(lambda: taken(7), "frames of a capture that was started again are others")
        assert got[-1] == (2, 0)


def test_names_without_end_neither_fill_the_memory_nor_open_the_fence(tmp_path: Path) -> None:
    """As many streams as there is room for have moved; then a peer makes up more, and sends garbage."""
    endpoint = f"ipc://{tmp_path}/predictions"
    with (
        Publisher(endpoint, QUICK, OPEN, queue=SMALL_QUEUE) as publisher,
        PredictionReceiver([endpoint], QUICK, OPEN) as receiver,
    ):
        until_heard(publisher, sink=1)
        rejects = receiver.rejects.counts

        def refused(reason: str, parts: list[Part]) -> None:
            before = rejects.get(reason, 0)
            until(lambda: publisher.send(parts), "room")
            until(lambda: receiver.poll(0.05) or rejects.get(reason, 0) > before, f"{reason} is refused")
            assert rejects.get(reason, 0) == before + 1

        def taken(generation: int, seq: int, stream_id: str) -> None:
            until(lambda: publisher.send(of(generation, seq, "every", stream_id)), "room")
            got: list[object] = []
            until(lambda: got.extend(receiver.poll(0.05)) or got, f"{stream_id} {generation} is taken")

        names = [f"s{n}" for n in range(MOST_STREAMS)]
        for name in names:
            taken(1, 0, name)
        for n in range(3):
            refused("names", of(9, 0, "every", f"made-up-{n}"))
        topic, header, *rest = of(9, 1, "every", names[0])
        refused("header", [topic, bytes(header)[:-1], *rest])
        one = AttentionHeader(1, 1, 1, 1, 1)
        broken = prediction(1, "every", stream_id=names[0], generation=9, attention=one)
        refused("attention", encoding.encode_prediction(broken, np.full((1, 1), np.nan, np.float16)))
        assert receiver.generations == dict.fromkeys(names, 1)
        taken(2, 1, names[0])
        refused("generation", of(1, 2, "every", names[0]))
        assert receiver.generations == {**dict.fromkeys(names, 1), names[0]: 2}


@pytest.fixture(params=["ipc", "tcp"])
def endpoints(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    if request.param == "ipc":
        return [f"ipc://{tmp_path}/{name}" for name in ("old", "new")]
    return [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]


def sources(*texts: str) -> list[tuple[Role, str]]:
    return [("capture", text) for text in texts]


def test_a_receiver_goes_over_to_other_publishers_as_it_runs(endpoints: list[str]) -> None:
    old_at, new_at = endpoints
    with (
        Publisher(old_at, QUICK, OPEN) as old,
        Publisher(new_at, QUICK, OPEN) as new,
        FrameReceiver([old_at], "sink", QUICK, OPEN) as receiver,
    ):
        until(lambda: old.listeners()["sink"] == 1, "the old one hears it")
        receiver.replace_sources(sources(old_at, new_at))
        until(lambda: new.listeners()["sink"] == 1, "the new one hears it as well")
        assert old.listeners()["sink"] == 1, "and the old one has not lost it"
        receiver.replace_sources(sources(new_at))
        until(lambda: not receiver.poll(0.01) and not old.listeners(), "the old one hears it no more")
        old.send(packed(0, "every"))
        new.send(packed(1, "every"))
        assert seqs_of(receiver.poll(10.0)) == [1]
        receiver.replace_sources([])
        until(lambda: not receiver.poll(0.01) and not new.listeners(), "nobody hears it")
        receiver.replace_sources(sources(old_at))
        until(lambda: not receiver.poll(0.01) and old.listeners()["sink"] == 1, "it is back")
        old.send(packed(2, "every"))
        assert seqs_of(receiver.poll(10.0)) == [2]
        assert receiver.pop_link_events() == []


def test_a_link_that_nobody_wants_any_more_is_not_lost() -> None:
    gone, there = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    with Publisher(there, QUICK, OPEN), FrameReceiver([there, gone], "sink", QUICK, OPEN) as receiver:
        with Publisher(gone, QUICK, OPEN) as going:
            until(lambda: not receiver.poll(0.01) and going.listeners()["sink"] == 1, "it is heard")
            until(lambda: not receiver.poll(0.01) and set(receiver.links.values()) == {"up"}, "both are up")
        name = f"capture at {gone}"
        until(lambda: not receiver.poll(0.01) and receiver.links[name] == "lost", "one is lost")
        assert receiver.pop_link_events() == [f"{name}: link lost"]
        receiver.replace_sources(sources(there))
        assert receiver.links == {f"capture at {there}": "up"}
        for _ in range(12):  # longer than a link that libzmq has given up is left alone
            assert receiver.poll(0.1) == []
        assert receiver.pop_link_events() == []
        assert receiver.rejects.pop_reports() == []


def test_a_host_that_nobody_knows_is_looked_up_until_it_is_not_wanted() -> None:
    there, unknown = f"tcp://127.0.0.1:{free_port()}", "tcp://no-such-host.invalid:5555"
    open_to_all = security(insecure=True)
    with Publisher(there, QUICK, OPEN), FrameReceiver([there], "sink", QUICK, open_to_all) as receiver:
        receiver.replace_sources(sources(there, unknown))
        until(lambda: not receiver.poll(0.05) and receiver.rejects.counts, "it is reported")
        receiver.replace_sources(sources(there))
        receiver.poll(0.2)
        before = dict(receiver.rejects.counts)
        for _ in range(10):
            receiver.poll(0.1)
        assert receiver.rejects.counts == before


@pytest.mark.parametrize("text", ["tcp://host", "udp://127.0.0.1:1", "tcp://127.0.0.1:0"])
def test_an_endpoint_that_can_not_be_is_found_before_anything_changes(text: str) -> None:
    there = f"tcp://127.0.0.1:{free_port()}"
    with FrameReceiver([there], "sink", QUICK, OPEN) as receiver:
        with pytest.raises(TransportError):
            receiver.check_sources(sources(text))
        assert list(receiver.links) == [f"capture at {there}"]
