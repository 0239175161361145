"""The state of a stream between two steps: keys and values of past frames."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from pipeline.model.architecture import Architecture


class Entry(NamedTuple):
    """One cached frame; with a leading ``B`` in a batch, without it in a ``StreamHistory``.

    Attributes:
        keys: ``(B, L, V, S_k, D)``; variant ``v`` is for slot ``v`` if ``V`` is not 1.
        values: Of the same shape.
        match: Match map of dense motion, ``(B, C, rows, columns)``; None without dense motion.
        fine: Fine features and texture, in the same form as ``match``; see ``unpacked``.
    """

    keys: Tensor
    values: Tensor
    match: Tensor | None = None
    fine: Tensor | None = None

    def batched(self) -> "Entry":
        """A batch of one."""
        keys, values, match, fine = (None if part is None else part[None] for part in self)
        return Entry(cast(Tensor, keys), cast(Tensor, values), match, fine)

    def split(self) -> list["Entry"]:
        """The entries of a batch, one per stream, each with its own memory so that it can be freed."""
        tied = self.values is self.keys
        entries = []
        for row in range(len(self.keys)):
            parts = [x if x is None else x[row] if len(x) == 1 else x[row].clone() for x in self]
            keys, values, match, fine = parts
            entries.append(Entry(cast(Tensor, keys), cast(Tensor, keys if tied else values), match, fine))
        return entries


class State(NamedTuple):
    """The past of a batch of streams: input and output of a step.

    Attributes:
        keys: ``(B, L, T, V, S_k, D)``, slots oldest first.
        values: Of the same shape.
        valid: ``(B, T)`` bool: which slots hold a frame; the others hold arbitrary finite numbers.
        match: ``(B, T, C, rows, columns)``, see ``Entry``; None without dense motion.
        fine: Of the same form as ``match``.
    """

    keys: Tensor
    values: Tensor
    valid: Tensor
    match: Tensor | None = None
    fine: Tensor | None = None

    def parts(self) -> tuple[Tensor, ...]:
        """The parts that are present, in order."""
        return tuple(part for part in self if part is not None)

    def push(self, entry: Entry) -> "State":
        """The state one frame later: ``entry`` becomes t-1, and the oldest slot is dropped."""
        return State(
            torch.cat([self.keys[:, :, 1:], entry.keys.unsqueeze(2)], dim=2),
            torch.cat([self.values[:, :, 1:], entry.values.unsqueeze(2)], dim=2),
            torch.cat([self.valid[:, 1:], torch.ones_like(self.valid[:, :1])], dim=1),
            *(
                None if old is None or new is None else torch.cat([old[:, 1:], new.unsqueeze(1)], dim=1)
                for old, new in ((self.match, entry.match), (self.fine, entry.fine))
            ),
        )

    def cleared(self, rows: Tensor) -> "State":
        """The state without past frames for the streams where ``rows``, ``(B,)`` bool, is True."""
        return self._replace(valid=self.valid & ~rows[:, None])

    def slotwise(self) -> tuple[Tensor, Tensor]:
        """Keys and values ``(B, L, T, S_k, D)``, with the matching variant for each slot."""
        if self.keys.shape[3] == 1:
            return self.keys[:, :, :, 0], self.values[:, :, :, 0]
        slots = range(self.keys.shape[2])  # not diagonal(): OpenVINO can't convert it
        keys, values = (
            torch.stack([x[:, :, slot, slot] for slot in slots], dim=2) for x in (self.keys, self.values)
        )
        return keys, values


def empty_state(
    architecture: Architecture,
    batch_size: int,
    size: tuple[int, int] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> State:
    """The state of new streams: zeros, and no valid slot.

    Args:
        architecture: The network's options.
        batch_size: ``B``.
        size: Height and width of the frames in pixels; None for the model's own ``image_size``.
        dtype: Type of keys and values.
        device: Device of the state.
    """
    (layers, *each), maps = architecture.entry_shapes(size)
    keys = torch.zeros(batch_size, layers, architecture.num_past, *each, dtype=dtype, device=device)
    valid = torch.zeros(batch_size, architecture.num_past, dtype=torch.bool, device=device)
    state = State(keys, torch.zeros_like(keys), valid)
    if not architecture.motion:
        return state
    match, fine = (keys.new_zeros(batch_size, architecture.num_past, *shape) for shape in maps)
    return state._replace(match=match, fine=fine)


def gather(streams: Sequence[Sequence[Entry | None]], empty: State) -> State:
    """Builds the state of a batch from the selected entries of each stream; no gradient.

    Args:
        streams: For each stream its ``T`` slots, oldest first; None where there is no frame.
        empty: ``model.init_state(1)``, for shapes, dtype and device.

    Returns:
        The state of ``len(streams)`` streams.

    Raises:
        ValueError: A stream has the wrong number of slots, or an entry is from another model or
            for another frame size.
    """
    blank = _blank(empty)
    for slots in streams:
        if len(slots) != empty.valid.shape[1]:
            raise ValueError(f"{len(slots)} slots given, the model has {empty.valid.shape[1]}")
        if any(entry is not None and _shapes(entry) != _shapes(blank) for entry in slots):
            raise ValueError("a cached frame does not fit this model: reset the stream's history")
    filled = [[entry or blank for entry in slots] for slots in streams]
    keys, values = (
        cast(Tensor, _gathered(filled, part, getattr(empty, part), 1)) for part in ("keys", "values")
    )
    match, fine = (_gathered(filled, part, getattr(empty, part), 0) for part in ("match", "fine"))
    valid = [[entry is not None for entry in slots] for slots in streams]
    return State(keys, values, torch.tensor(valid, dtype=torch.bool, device=empty.valid.device), match, fine)


def entry_of(parts: Sequence[Tensor], empty: State) -> Entry:
    """An entry from its present parts, in order.

    Raises:
        ValueError: The parts are from another model, or for another frame size or dtype.
    """
    wanted = [(part.shape, part.dtype) for part in _blank(empty) if part is not None]
    if [(part.shape, part.dtype) for part in parts] != wanted:
        raise ValueError("cached by another model, or at another frame size or precision")
    return Entry(*(part.to(empty.keys.device) for part in parts))


def _blank(empty: State) -> Entry:
    """A zero entry, without a batch dimension."""
    return Entry(
        empty.keys[0, :, 0],
        empty.values[0, :, 0],
        *(None if part is None else part[0, 0] for part in (empty.match, empty.fine)),
    )


def _shapes(entry: Entry) -> list[torch.Size | None]:
    return [None if part is None else part.shape for part in entry]


def _gathered(streams: list[list[Entry]], part: str, empty: Tensor | None, dim: int) -> Tensor | None:
    """One part of all entries, with the slots as dimension ``dim`` of each stream's row."""
    if empty is None:
        return None
    whole = empty.new_empty(len(streams), *empty.shape[1:])
    for row, slots in enumerate(streams):  # written in place, so large batches are copied only once
        torch.stack([getattr(entry, part) for entry in slots], dim=dim, out=whole[row])
    return whole
