import msgspec
import pytest

from pipeline.account.stats import MOST_STREAMS
from pipeline.base.errors import WireError
from pipeline.wire.owners import Owners
from tests.wire.peers import bad_picture, end, prediction


@pytest.fixture
def owners() -> Owners:
    return Owners()


def ended(seq, policy, generation):
    return msgspec.structs.replace(end(seq, policy), generation=generation)


def refused(owners: Owners, message) -> str:
    with pytest.raises(WireError) as error:
        owners.check(message)
    assert error.value.reason == "generation"
    return str(error.value)


@pytest.mark.parametrize("late", [prediction, bad_picture, ended])
def test_a_former_owner_is_refused(owners, late):
    owners.check(prediction(0, "newest", generation=1))
    owners.check(prediction(1, "newest", generation=3))
    assert owners.generations == {"door": 3}
    assert "generation 2 is refused" in refused(owners, late(2, "newest", generation=2))


@pytest.mark.parametrize("answer", [prediction, bad_picture])
def test_what_the_former_owner_has_answered_is_not_answered_again(owners, answer):
    for seq in range(5):
        owners.check(prediction(seq, "newest"))
    for seq in (3, 4):
        assert f"frame {seq} is refused: the former" in refused(owners, answer(seq, "newest", generation=1))
    owners.check(answer(5, "newest", generation=1))
    refused(owners, answer(4, "newest", generation=1))
    refused(
        owners, prediction(6, "newest")
    )  # the first answer of the next owner counts, also where it is refused
    assert owners.generations == {"door": 1}


def test_other_streams_and_another_session_of_capture_are_not_concerned(owners):
    owners.check(prediction(9, "newest"))
    owners.check(prediction(3, "newest", generation=1, session=7))
    owners.check(prediction(3, "newest", generation=1, stream_id="yard"))


def test_the_owner_itself_may_answer_in_any_order_and_end(owners):
    for seq in (5, 3, 4):
        owners.check(prediction(seq, "newest"))
    owners.check(ended(2, "newest", generation=1))
    assert owners.generations == {"door": 1}


def test_names_without_end_are_not_kept(owners):
    for number in range(MOST_STREAMS + 5):
        owners.check(prediction(0, "newest", generation=1, stream_id=f"s{number}"))
    assert len(owners.generations) == MOST_STREAMS
