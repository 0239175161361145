"""Rows of numbers on any device: what is packed comes back in its place, and steps as it would have."""

import pytest
import torch

from pipeline.model.state import Entry, entry_of
from pipeline.runtime.cuda.entry_layout import EntryLayout
from tests.model.small import clip, small

OPTIONS = {
    "keys and values": {},
    "dense motion": {"motion": True},
    "two layers on two scales": {"num_layers": 2, "scales": ("layer3", "layer4"), "num_past": 3},
    "unshared": {"use_shared_weights": False},
}


@torch.no_grad()
@pytest.mark.parametrize("name", OPTIONS)
def test_a_state_from_rows_is_the_state_of_those_entries(name: str) -> None:
    model = small(**OPTIONS[name])
    layout, state, rows = EntryLayout(model.init_state(1)), model.init_state(2), []
    for frame in clip(2, model.num_past).unbind(1):
        entry = model.remember(frame, model.encode(frame))
        state = state.push(entry)
        rows.append(layout.pack(entry))
        assert rows[-1].shape == (2, layout.length)
    unpacked = layout.state(torch.stack(rows, dim=1), state.valid)
    assert len(unpacked.parts()) == len(state.parts()) == (5 if "motion" in OPTIONS[name] else 3)
    for part, expected in zip(unpacked.parts(), state.parts(), strict=True):
        assert torch.equal(part, expected)


@torch.no_grad()
def test_parts_lie_one_after_another_in_each_row() -> None:
    model = small(motion=True)
    empty = model.init_state(1)
    layout = EntryLayout(empty)
    entry = Entry(
        *(
            torch.full((1, *size), float(n))
            for n, size in enumerate(
                ((1, 1, 4, 32), (1, 1, 4, 32), empty.match.shape[2:], empty.fine.shape[2:]), start=1
            )
        )
    )
    row = layout.pack(entry)[0]
    assert [int((row == n).sum()) for n in range(1, 5)] == [128, 128, 64 * 8 * 8, 64 * 16 * 16]
    assert (row.diff() >= 0).all()
    assert layout.length == len(row)


@torch.no_grad()
def test_the_state_shares_the_memory_of_the_rows() -> None:
    model = small(motion=True)
    layout = EntryLayout(model.init_state(1))
    rows = torch.zeros(1, model.num_past, layout.length)
    state = layout.state(rows, torch.ones(1, model.num_past, dtype=torch.bool))
    rows.fill_(7)
    assert all(part.eq(7).all() for part in (state.keys, state.values, state.match, state.fine))


@torch.no_grad()
@pytest.mark.parametrize("name", OPTIONS)
def test_an_entry_can_be_taken_out_of_its_row_and_put_into_another(name: str) -> None:
    model = small(**OPTIONS[name])
    empty = model.init_state(1)
    layout, (frame, *_) = EntryLayout(empty), clip(1, 1).unbind(1)
    entry = model.remember(frame, model.encode(frame))
    (row,) = layout.pack(entry)
    parts = layout.parts(row)
    whole = [part[0] for part in entry if part is not None]
    assert all(torch.equal(part, expected) for part, expected in zip(parts, whole, strict=True))
    assert torch.equal(layout.pack(entry_of(parts, empty).batched())[0], row)
