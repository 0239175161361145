import pytest
import torch

from pipeline.model.history import StreamHistory
from pipeline.model.state import Entry, gather
from tests.model.small import clip, small


@torch.no_grad()
@pytest.mark.parametrize(
    "options", [{}, {"use_shared_weights": False, "num_past": 3}, {"attention": "plain"}]
)
def test_batches_of_streams_with_histories_of_their_own_equal_single_streams(
    options: dict[str, object],
) -> None:
    """Streams join, pause and start again; each prediction is what ``forward`` gives for its own frames."""
    model, frames = small(**options), clip(3, 8)
    past, empty = model.num_past, model.init_state(1)
    histories = [StreamHistory[int](past) for _ in range(3)]
    present = [[0], [0, 1], [0, 1, 2], [2, 0], [2, 1, 0], [1], [0, 2], [2, 1]]
    for n, rows in enumerate(present):
        if n == 4:
            histories[2].reset()
        slots = [histories[row].select(n * 10**9) for row in rows]
        state = gather([[slot and slot.entry for slot in stream] for stream in slots], empty)
        output, features = model.predict(frames[rows, n], state, return_attention=True)
        entries = model.remember(frames[rows, n], features).split()
        for i, row in enumerate(rows):
            seen = [slot.key for slot in slots[i] if slot]
            mask = torch.tensor([[slot is not None for slot in slots[i]]])
            clip_of_row = [frames[row, 0]] * (past - len(seen)) + [frames[row, k] for k in [*seen, n]]
            logits, info = model(*(frame[None] for frame in clip_of_row), past_mask=mask)
            torch.testing.assert_close(output.logits[i], logits[0], atol=1e-4, rtol=0)
            torch.testing.assert_close(output.attention[i], info["attention_weights"][0], atol=1e-4, rtol=0)
            assert output.depth[i] == len(seen)
            histories[row].append(n, n * 10**9, entries[i])
    assert [history.depth for history in histories] == [past, past, min(past, 3)]


def test_entries_of_a_batch_can_be_freed_one_by_one() -> None:
    entries = Entry(torch.randn(3, 1, 1, 4, 8), torch.randn(3, 1, 1, 4, 8)).split()
    assert len({entry.keys.untyped_storage().data_ptr() for entry in entries}) == 3
    assert all(entry.keys.untyped_storage().nbytes() == 4 * 8 * 4 for entry in entries)


def test_gather_refuses_what_does_not_fit() -> None:
    model = small()
    empty = model.init_state(1)
    with pytest.raises(ValueError, match="3 slots given, the model has 2"):
        gather([[None, None, None]], empty)
    other = small(d_model=64).init_state(1)
    with pytest.raises(ValueError, match="reset the stream's history"):
        gather([[None, Entry(other.keys[0, :, 0], other.values[0, :, 0])]], empty)


@torch.no_grad()
def test_gather_refuses_dense_motion_of_pictures_of_another_size() -> None:
    model = small(motion=True)
    frame = torch.zeros(1, 3, 160, 96)
    entry = model.remember(frame, model.encode(frame)).split()[0]
    fits, other = model.init_state(1, (160, 96)), model.init_state(1, (96, 160))
    assert other.keys.shape == fits.keys.shape, "as many places in both"
    assert gather([[None, entry]], fits).valid.tolist() == [[False, True]]
    with pytest.raises(ValueError, match="reset the stream's history"):
        gather([[None, entry]], other)
    with pytest.raises(ValueError, match="reset the stream's history"):
        gather([[None, Entry(entry.keys, entry.values)]], fits)


def test_push_forgets_the_oldest() -> None:
    state = small().init_state(1)
    for number in range(3):
        ones = torch.full((1, 1, 1, 4, 32), float(number))
        state = state.push(Entry(ones, -ones))
    assert state.keys[0, 0, :, 0, 0, 0].tolist() == [1.0, 2.0]
    assert state.values[0, 0, :, 0, 0, 0].tolist() == [-1.0, -2.0]
    assert state.valid.tolist() == [[True, True]]
