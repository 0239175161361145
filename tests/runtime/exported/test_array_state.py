"""States of arrays are those of tensors, part for part."""

from typing import Any

import numpy as np
import pytest
import torch

from pipeline.model import state as tensors
from pipeline.runtime.exported.array_state import ArrayState, Entry, probabilities
from pipeline.runtime.exported.ports import ports
from pipeline.runtime.step import Part
from tests.model.small import small

SIZE = (64, 96)
NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "motion": {"motion": True},
    "unshared": {"use_shared_weights": False, "num_past": 3, "num_layers": 2, "scales": ("layer3", "layer4")},
}


def pair(name: str) -> tuple[ArrayState, tensors.State]:
    """A state of arrays, and an empty one of tensors, for one network."""
    architecture = small(**NETWORKS[name]).architecture
    assert len(tensors.empty_state(architecture, 1, SIZE).parts()) == len(ports(architecture).state)
    return ArrayState(architecture, SIZE), tensors.empty_state(architecture, 1, SIZE)


def remembered(empty: tensors.State, count: int) -> list[tensors.Entry]:
    """Entries of random numbers, all different."""
    random = torch.Generator().manual_seed(0)
    blank = empty.keys[0, :, 0], empty.values[0, :, 0], *(part[0, 0] for part in empty.parts()[3:])
    return [
        tensors.Entry(*(torch.randn(part.shape, generator=random) for part in blank)) for _ in range(count)
    ]


def arrays(entry: tensors.Entry) -> Entry:
    return tuple(part.numpy() for part in entry if part is not None)


@pytest.mark.parametrize("name", NETWORKS)
def test_streams_are_gathered_and_taken_apart_as_tensors_are(name: str) -> None:
    state, empty = pair(name)
    past = empty.valid.shape[1]
    first, second, third = remembered(empty, 3)
    streams = [[None] * past, [*[None] * (past - 1), first], [second, *[first] * (past - 1)]]
    expected = tensors.gather(streams, empty)
    found = state.gather([[entry and arrays(entry) for entry in slots] for slots in streams])
    for ours, theirs in zip(found, expected.parts(), strict=True):
        assert ours.dtype == theirs.numpy().dtype
        np.testing.assert_array_equal(ours, theirs.numpy())

    newest = [third, second, first]
    together = tensors.Entry(
        *(torch.stack(parts) if parts[0] is not None else None for parts in zip(*newest, strict=True))
    )
    after = [part.numpy() for part in expected.push(together).parts()]
    entries = state.entries(after)
    for part in after:
        part.fill(0)  # the next step writes over what this one gave
    for ours, theirs in zip(entries, newest, strict=True):
        assert all(map(np.array_equal, ours, arrays(theirs)))
        match = state.match(ours)
        assert (match is None) == (theirs.match is None)
        assert match is None or np.array_equal(match, theirs.match.numpy())


@pytest.mark.parametrize("name", NETWORKS)
def test_an_entry_goes_to_another_process_and_no_further_than_its_own_kind(name: str) -> None:
    state, empty = pair(name)
    entry = arrays(remembered(empty, 1)[0])
    parts = state.parts(entry)
    assert all(map(np.array_equal, state.entry(parts), entry))
    shape = parts[0].shape
    for wrong in (
        parts[1:],
        [*parts, parts[0]],
        [Part("float16", shape, b"\0" * 2 * np.prod(shape)), *parts[1:]],
    ):
        with pytest.raises(ValueError, match="another model, or at another image size or precision"):
            state.entry(wrong)


def test_entries_and_slots_of_another_model_are_refused() -> None:
    state, empty = pair("motion")
    entry = arrays(remembered(empty, 1)[0])
    with pytest.raises(ValueError, match="3 slots given, the model has 2"):
        state.gather([[None, None, None]])
    with pytest.raises(ValueError, match="does not fit this model"):
        state.gather([[None, entry[:2]]])
    with pytest.raises(ValueError, match="does not fit this model"):
        state.gather([[None, (entry[0][:, :, 1:], *entry[1:])]])


def test_probabilities_are_those_of_torch() -> None:
    logits = np.random.default_rng(0).normal(0, 8, (100, 9)).astype(np.float32)
    logits[0] = 1e4  # none overflows
    logits[1, 3] = -np.inf
    found = probabilities(logits)
    assert found.dtype == np.float32
    exact = torch.from_numpy(logits).double().softmax(dim=1).numpy()
    np.testing.assert_allclose(found, exact, rtol=1e-7, atol=0)
