"""The state of an exported step as arrays: cached frames, gathered into a batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.model.architecture import Architecture
from pipeline.model.preprocessing import Size
from pipeline.runtime.step import Part

Array = npt.NDArray[Any]
Entry = tuple[npt.NDArray[np.float32], ...]
"""One cached frame: keys, values and, with dense motion, ``match`` and ``fine``; see
``pipeline.model.state.Entry``."""
_NUMBER = np.dtype("<f4")


class ArrayState:
    """Builds states from entries, as ``pipeline.model.state`` does with tensors.

    Args:
        architecture: Architecture of the network.
        size: Size of the images.
    """

    def __init__(self, architecture: Architecture, size: Size) -> None:
        (layers, *each), maps = architecture.entry_shapes(size)
        self._num_past = past = architecture.num_past
        self._entry = [(layers, *each), (layers, *each), *maps]
        self._row = [(layers, past, *each)] * 2 + [(past, *shape) for shape in maps]

    def gather(self, streams: Sequence[Sequence[Entry | None]]) -> list[Array]:
        """The state of a batch, in the order of ``Ports.state``.

        Args:
            streams: For each stream its ``T`` slots, oldest first; None where there is no frame.

        Raises:
            ValueError: A stream has the wrong number of slots, or an entry is from another
                model or image size.
        """
        for slots in streams:
            if len(slots) != self._num_past:
                raise ValueError(f"{len(slots)} slots given, the model has {self._num_past}")
            if any(entry is not None and [part.shape for part in entry] != self._entry for entry in slots):
                raise ValueError("a cached frame does not fit this model: reset the stream's history")
        valid = np.array([[entry is not None for entry in slots] for slots in streams], dtype=bool)
        keys, values, *maps = (np.zeros((len(streams), *shape), np.float32) for shape in self._row)
        for row, slots in enumerate(streams):
            for slot, entry in enumerate(slots):
                if entry is not None:
                    places = keys[row, :, slot], values[row, :, slot], *(part[row, slot] for part in maps)
                    for place, part in zip(places, entry, strict=True):
                        place[...] = part
        return [keys, values, valid, *maps]

    def entries(self, after: Sequence[Array]) -> list[Entry]:
        """The entries for the newest frame of each stream, copied.

        Args:
            after: The state after a step, in the order of ``Ports.state``.
        """
        keys, values, _, *maps = after
        newest = [keys[:, :, -1], values[:, :, -1], *(part[:, -1] for part in maps)]
        return [tuple(part[row].copy() for part in newest) for row in range(len(keys))]

    def match(self, entry: Entry) -> npt.NDArray[np.float32] | None:
        """The map ``match`` of an entry; None if the network has no dense motion."""
        return entry[2] if len(entry) > 2 else None

    def parts(self, entry: Entry) -> list[Part]:
        """Copies of an entry's arrays for another process."""
        return [Part(part.dtype.name, part.shape, part.astype(_NUMBER).tobytes()) for part in entry]

    def entry(self, parts: Sequence[Part]) -> Entry:
        """Builds an entry from valid parts.

        Raises:
            ValueError: They are from another model, image size or precision.
        """
        if [(part.number, part.shape) for part in parts] != [("float32", shape) for shape in self._entry]:
            raise ValueError("cached by another model, or at another image size or precision")
        return tuple(np.frombuffer(part.data, _NUMBER).reshape(part.shape) for part in parts)


def probabilities(logits: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Softmax of logits ``(B, num_classes)``, computed in float64 and rounded once."""
    shares = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    rounded: npt.NDArray[np.float32] = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return rounded
