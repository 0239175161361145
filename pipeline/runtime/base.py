"""A loaded model on a device: what the rest of the program uses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pipeline.model.description import Description
from pipeline.runtime.engine import About, Answer, Engine, Remember
from pipeline.runtime.step import Image, Memory, Motion, Result, Step


class Runtime:
    """One loaded model on one device.

    Args:
        model: What is known of the network.
        engine: Computes.
        name: Of the model, human-readable.
        why: Why this backend runs, human-readable; empty where nobody chose.

    Attributes:
        engine: See above.
        labels: Names of the classes.
        num_past: ``T``.
        query_grid: Rows and columns of the new frame's positions, ``rows * columns = S``.
        most_streams: In one step; a larger batch gains nothing.
    """

    def __init__(self, model: Description, engine: Engine, name: str, why: str = "") -> None:
        self.engine, self.labels = engine, model.labels
        self.num_past, self.query_grid = model.architecture.num_past, model.architecture.grid("layer4")
        self.most_streams = engine.most_streams
        self._model, self._name, self._why = model, name, why

    def warm_up(self, batch_size: int = 1) -> None:
        """Runs blank steps, so that the first real one of that many streams is as fast as the others."""
        size = self._model.preprocessing.size
        for streams in self.engine.sizes_to_warm_up(batch_size):
            blank = [np.zeros((size, size, 3), np.uint8)] * streams
            entries: list[Any] = [None] * streams
            for _ in range(3):
                step = self.infer(blank, [[entry] * self.num_past for entry in entries], want_attention=True)
                entries = [memory.entry for memory in step.remember()]

    def infer(
        self,
        images: Sequence[Image],
        past: Sequence[Sequence[Any]],
        *,
        want_attention: bool = False,
        known: Sequence[Memory | None] = (),
    ) -> Step:
        """One step for one new picture of each of several streams.

        Known pictures are a batch of their own, after the new ones.

        Args:
            images: A picture of each stream, of any size.
            past: For each stream the ``T`` entries of its past frames, oldest first, None where there is
                none.
            want_attention: Whether results carry the weights.
            known: For each picture the memory of one that was the same, with its ``features``: the backbone
                is left out, and the result is that of a full step. None for a new picture; nothing at all
                where all are new.

        Raises:
            ValueError: Not as many streams as pictures, entries of another model, or a known picture
                without features.
        """
        known = known or [None] * len(images)
        if not len(images) == len(past) == len(known):
            raise ValueError(f"{len(images)} pictures of {len(past)} streams, {len(known)} of them known")
        if any(memory is not None and memory.features is None for memory in known):
            raise ValueError("a known picture needs features: this runtime keeps none")
        new = [row for row, memory in enumerate(known) if memory is None]
        again = [row for row, memory in enumerate(known) if memory is not None]
        results: dict[int, Result] = {}
        passes: int = 0
        remember: Remember = _nothing
        with torch.inference_mode():
            if new:
                answer, passes, remember = self.engine.infer(
                    [images[row] for row in new], [past[row] for row in new], want_attention
                )
                results.update(zip(new, _results(answer, [past[row] for row in new]), strict=True))
            if again:
                features = [memory.features for memory in known if memory is not None]
                answer = self.engine.infer_known(features, [past[row] for row in again], want_attention)
                results.update(zip(again, _results(answer, [past[row] for row in again]), strict=True))

        def memories() -> tuple[list[Memory], int]:
            with torch.inference_mode():
                fresh, passes = remember()
            unused = iter(fresh)
            return [next(unused) if memory is None else memory for memory in known], passes

        ordered = [results[row] for row in range(len(images))]
        return Step(ordered, passes, memories)

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
            "num_past": self.num_past,
            "classes": len(self.labels),
        }


def _nothing() -> tuple[list[Memory], int]:
    return [], 0


def _results(answer: Answer, past: Sequence[Sequence[Any]]) -> list[Result]:
    probabilities, attention = answer.probabilities.cpu().numpy(), answer.attention
    weights = [None] * len(past) if attention is None else list(attention.cpu().numpy())
    depths = [sum(entry is not None for entry in slots) for slots in past]
    motions: list[Motion | None] = [None] * len(past)
    if answer.motion is not None:
        fields = [field.float().cpu().numpy() for field in answer.motion]
        motions = [Motion(*(field[row] for field in fields)) for row in range(len(past))]
    return [Result(*row) for row in zip(probabilities, weights, depths, motions, strict=True)]
