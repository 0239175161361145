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
"""Maximum number of engines, each for one size: opening one takes seconds, and senders choose the sizes."""


class Runtime:
    """One loaded model on one device.

    There is one engine per size at which the model sees images: only one if all images become squares,
    otherwise one per aspect ratio. A stream keeps its size while it has a cached frame, even if the size of
    its images changes.

    Args:
        model: Description of the network.
        open_engine: Opens the engine for a size.
        name: Name of the model, human-readable.
        why: Why this backend was chosen, human-readable; empty if it was not chosen automatically.

    Attributes:
        usual_size: Size of images from a typical camera, as the model sees them.
        engine: The engine for this size.
        labels: Names of the classes.
        num_past: ``T``.
        most_streams: Maximum streams per step; a larger batch is no faster.
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
        """The size at which the model sees an image of a stream without a past.

        If ``MOST_SIZES`` engines are open, it is the size of the one with the nearest aspect ratio.
        """
        rows, columns = size = self._model.preprocessing.picture_size(height, width)
        if size in self._engines or len(self._engines) < MOST_SIZES:
            return size
        return min(self._engines, key=lambda used: abs(math.log(used[0] * columns / (used[1] * rows))))

    def is_ready(self, size: Size) -> bool:
        """Whether a step of that size can start at once; otherwise its engine must be opened (seconds)."""
        return size in self._engines

    def warm_up(self, batch_size: int = 1, size: Size | None = None) -> None:
        """Runs blank steps, so that the first real one with that many streams is not slower.

        Includes known images, so that the first camera with a still image does not hold up the others.

        Args:
            batch_size: Number of streams.
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
        """One step for one new image from each of several streams.

        Images of each size are batched separately, and known images are batched after new ones.

        Args:
            images: An image from each stream, of any size.
            past: For each stream the ``T`` entries of its past frames, oldest first, None where there is
                none.
            want_attention: Whether results include the attention weights.
            known: For each image the memory of an identical one, with its ``features``: the backbone is
                skipped, and the result is that of a full step. None for a new image; may be empty if all are
                new.

        Raises:
            ValueError: Numbers of images and streams differ, entries are from another model, a known image
                has no features, or a stream has entries of several sizes.
        """
        known = known or [None] * len(images)
        if not len(images) == len(past) == len(known):
            raise ValueError(f"{len(images)} images, {len(past)} streams, {len(known)} known: must be equal")
        if any(memory is not None and memory.features is None for memory in known):
            raise ValueError("a known image needs features, which this runtime does not keep")
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
        """The keys of dense motion, ``(rows, columns, 64)``, each of length 1.

        None from a network without dense motion.

        Args:
            entry: Entry of an image, see ``Memory``.
        """
        keys = self._engine(entry.size).match_keys(entry.entry)
        return None if keys is None else keys.transpose(1, 2, 0)

    def parts(self, entry: SizedEntry) -> list[Part]:
        """The cached state of an image, to send to a process with the same model, backend and precision."""
        return self._engine(entry.size).parts(entry.entry)

    def entry(self, size: Size, parts: Sequence[Part]) -> SizedEntry:
        """The entry of an image from the parts of another process; ``size`` is that of the model's input.

        Raises:
            ValueError: The parts are damaged or from another model, size or precision, or no engine is open
                for the size.
        """
        if not self.is_ready(size):
            raise ValueError(f"no engine is open for images of {size[1]}x{size[0]} px")
        for part in parts:
            _check(part)
        return SizedEntry(size, self._engine(size).entry(parts))

    def describe(self) -> About:
        """``backend``, ``device`` and ``precision``, and other facts worth showing."""
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
            raise ValueError("cached frames of several sizes: reset the stream's history")
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
"""By number type: the unsigned type of the same size, and the bits that are all set in non-finite values."""


def _check(part: Part) -> None:
    """Rejects invalid parts.

    Raises:
        ValueError: The part is damaged or contains non-finite values.
    """
    kind, exponent = _EXPONENTS.get(part.number, ("<u1", 0))
    if (
        not exponent
        or len(part.data) != math.prod(part.shape) * np.dtype(kind).itemsize
        or min(part.shape, default=0) < 1
    ):
        raise ValueError("the cached frame is damaged")
    if ((np.frombuffer(part.data, kind) & exponent) == exponent).any():
        raise ValueError("the cached frame contains non-finite numbers")


def _entries(past: Sequence[Sequence[SizedEntry | None]]) -> list[list[Any]]:
    """The entries without their sizes."""
    return [[slot and slot.entry for slot in slots] for slots in past]
