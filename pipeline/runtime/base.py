"""A loaded model on a device: the interface that workers use."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.model.description import Description
from pipeline.model.preprocessing import Size
from pipeline.runtime.engine import About, Answer, Engine, Remember
from pipeline.runtime.step import Image, Memory, Motion, Part, Result, SizedEntry, Step

MOST_SIZES = 8
"""Each has an engine, which holds weights and takes seconds to open; peers choose what shapes they send."""


class Runtime:
    """One loaded model on one device.

    There is an engine for each size at which the model sees pictures: one where all become squares, else one
    for each aspect. A stream keeps its size as long as it remembers a frame, whatever size its pictures have.

    Args:
        model: What is known of the network.
        open_engine: Opens what computes for a size.
        name: Of the model, human-readable.
        why: Why this backend runs, human-readable; empty where nobody chose.

    Attributes:
        usual_size: Of the pictures of a usual camera, as the model sees them.
        engine: That of this size.
        labels: Names of the classes.
        num_past: ``T``.
        most_streams: In one step; a larger batch gains nothing.
    """

    def __init__(
        self, model: Description, open_engine: Callable[[Size], Engine], name: str, why: str = ""
    ) -> None:
        self.labels, self.num_past = model.labels, model.architecture.num_past
        self._model, self._open_engine, self._name, self._why = model, open_engine, name, why
        self._engines: dict[Size, Engine] = {}
        self.usual_size = model.preprocessing.usual_size
        self.engine = self._engine(self.usual_size)
        self.most_streams = self.engine.most_streams

    def size_of(self, height: int, width: int) -> Size:
        """The size at which the model sees a picture of that height and width, of a stream without a past.

        With ``MOST_SIZES`` in use it is that of them whose aspect is nearest.
        """
        rows, columns = size = self._model.preprocessing.picture_size(height, width)
        if size in self._engines or len(self._engines) < MOST_SIZES:
            return size
        return min(self._engines, key=lambda used: abs(math.log(used[0] * columns / (used[1] * rows))))

    def is_ready(self, size: Size) -> bool:
        """Whether a step of that size can begin at once; else its engine is opened, which takes seconds."""
        return size in self._engines

    def warm_up(self, batch_size: int = 1, size: Size | None = None) -> None:
        """Runs blank steps, so that the first real one of that many streams is as fast as the others.

        Also one of known pictures: the first camera with a still picture must not hold up all others.

        Args:
            batch_size: How many.
            size: See ``size_of``; None for ``usual_size``.
        """
        size = size or self.usual_size
        for streams in self._engine(size).sizes_to_warm_up(batch_size):
            blank = [np.zeros((*size, 3), np.uint8)] * streams
            memories: list[Memory] = []
            entries: list[Any] = [None] * streams
            for _ in range(3):
                step = self.infer(blank, [[entry] * self.num_past for entry in entries], want_attention=True)
                memories = step.remember()
                entries = [memory.entry for memory in memories]
            if all(memory.features is not None for memory in memories):
                self.infer(blank, [[entry] * self.num_past for entry in entries], known=memories)

    def infer(
        self,
        images: Sequence[Image],
        past: Sequence[Sequence[SizedEntry | None]],
        *,
        want_attention: bool = False,
        known: Sequence[Memory | None] = (),
    ) -> Step:
        """One step for one new picture of each of several streams.

        Pictures of each size are a batch of their own, and known ones are others, after the new ones.

        Args:
            images: A picture of each stream, of any size.
            past: For each stream the ``T`` entries of its past frames, oldest first, None where there is
                none.
            want_attention: Whether results carry the weights.
            known: For each picture the memory of one that was the same, with its ``features``: the backbone
                is left out, and the result is that of a full step. None for a new picture; nothing at all
                where all are new.

        Raises:
            ValueError: Not as many streams as pictures, entries of another model, a known picture without
                features, or a stream whose entries are of several sizes.
        """
        known = known or [None] * len(images)
        if not len(images) == len(past) == len(known):
            raise ValueError(f"{len(images)} pictures of {len(past)} streams, {len(known)} of them known")
        if any(memory is not None and memory.features is None for memory in known):
            raise ValueError("a known picture needs features: this runtime keeps none")
        new: dict[Size, list[int]] = {}
        again: dict[Size, list[int]] = {}
        for row, (image, slots, memory) in enumerate(zip(images, past, known, strict=True)):
            group = new if memory is None else again
            group.setdefault(self._size(image, slots, memory), []).append(row)
        results: dict[int, Result] = {}
        passes: int = 0
        remember: list[tuple[Size, list[int], Remember]] = []
        for size, rows in new.items():
            entries = _entries([past[row] for row in rows])
            pictures = [images[row] for row in rows]
            answer, passed, later = self._engine(size).infer(pictures, entries, want_attention)
            passes += passed
            remember.append((size, rows, later))
            results.update(zip(rows, self._results(answer, entries, size), strict=True))
        for size, rows in again.items():
            entries = _entries([past[row] for row in rows])
            features = [memory.features for row in rows if (memory := known[row]) is not None]
            answer = self._engine(size).infer_known(features, entries, want_attention)
            results.update(zip(rows, self._results(answer, entries, size), strict=True))

        def memories() -> tuple[list[Memory], int]:
            found = dict(enumerate(known))
            passes = 0
            for size, rows, later in remember:
                fresh, passed = later()
                passes += passed
                for row, memory in zip(rows, fresh, strict=True):
                    found[row] = Memory(SizedEntry(size, memory.entry), memory.features)
            return [memory for memory in found.values() if memory is not None], passes

        ordered = [results[row] for row in range(len(images))]
        return Step(ordered, passes, memories)

    def match_keys(self, entry: SizedEntry) -> npt.NDArray[np.float32] | None:
        """What dense motion looks for in later pictures, ``(rows, columns, 64)``, each of length 1.

        None from a network without dense motion.

        Args:
            entry: Of a picture, see ``Memory``.
        """
        keys = self._engine(entry.size).match_keys(entry.entry)
        return None if keys is None else keys.transpose(1, 2, 0)

    def parts(self, entry: SizedEntry) -> list[Part]:
        """What is remembered of a picture, for another process with the same model, backend and precision."""
        return self._engine(entry.size).parts(entry.entry)

    def entry(self, size: Size, parts: Sequence[Part]) -> SizedEntry:
        """What another process has remembered of a picture that its model saw at a size.

        Raises:
            ValueError: It is of another model, size or precision, or damaged.
        """
        if not self.is_ready(size):
            raise ValueError(f"of pictures of {size[1]}x{size[0]} px, for which nothing is open here")
        for part in parts:
            _check(part)
        return SizedEntry(size, self._engine(size).entry(parts))

    def describe(self) -> About:
        """``backend``, ``device`` and ``precision``, and what else is worth showing."""
        engine = self.engine
        about: About = {
            "backend": engine.backend,
            "device": engine.device,
            "precision": engine.precision,
            "threads": engine.threads,
        }
        return about | engine.details() | ({"why": self._why} if self._why else {})

    def describe_model(self) -> About:
        """Name, size and kind of the model."""
        architecture = self._model.architecture
        return {
            "name": self._name,
            "backbone": f"ResNet-{architecture.depth} + CBAM",
            "attention": architecture.attention,
            "parameters": self._model.parameter_count,
            "image_size_px": self._model.preprocessing.size,
            "keeps_aspect": self._model.preprocessing.keep_aspect,
            "num_past": self.num_past,
            "classes": len(self.labels),
        }

    def _engine(self, size: Size) -> Engine:
        if size not in self._engines:
            self._engines[size] = self._open_engine(size)
        return self._engines[size]

    def _size(self, image: Image, slots: Sequence[SizedEntry | None], known: Memory | None) -> Size:
        sizes = {slot.size for slot in slots if slot} | ({known.entry.size} if known else set())
        if len(sizes) > 1:
            raise ValueError("remembered frames of several sizes: empty the stream's history")
        return sizes.pop() if sizes else self.size_of(*image.shape[:2])

    def _results(self, answer: Answer, past: Sequence[Sequence[Any]], size: Size) -> list[Result]:
        weights = [None] * len(past) if answer.attention is None else list(answer.attention)
        depths = [sum(entry is not None for entry in slots) for slots in past]
        grids = [self._model.architecture.grid("layer4", size)] * len(past)
        motions: list[Motion | None] = [None] * len(past)
        if answer.motion is not None:
            motions = [Motion(*(field[row] for field in answer.motion)) for row in range(len(past))]
        rows = zip(answer.probabilities, weights, depths, grids, motions, strict=True)
        return [Result(*row) for row in rows]


_EXPONENTS = {"float32": ("<u4", 0x7F800000), "float16": ("<u2", 0x7C00), "bfloat16": ("<u2", 0x7F80)}
"""By type of number: an unsigned one as long, and the bits that are all set in those that are not finite."""


def _check(part: Part) -> None:
    """Refuses a part that is not what it claims to be.

    Raises:
        ValueError: See above.
    """
    kind, exponent = _EXPONENTS.get(part.number, ("<u1", 0))
    if (
        not exponent
        or len(part.data) != math.prod(part.shape) * np.dtype(kind).itemsize
        or min(part.shape, default=0) < 1
    ):
        raise ValueError("what was remembered is damaged")
    if ((np.frombuffer(part.data, kind) & exponent) == exponent).any():
        raise ValueError("what was remembered has numbers that are not finite")


def _entries(past: Sequence[Sequence[SizedEntry | None]]) -> list[list[Any]]:
    """The entries as engines know them."""
    return [[slot and slot.entry for slot in slots] for slots in past]
