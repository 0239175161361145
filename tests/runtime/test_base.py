import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime import base
from pipeline.runtime.base import Runtime
from pipeline.runtime.exported.open_onnx import open_onnx
from pipeline.runtime.exported.open_openvino import open_openvino
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Image
from tests.model.small import small
from tests.runtime.exported.test_exported_engine import need
from tests.runtime.test_torch_engine import pictures

WIDE, TALL = (120, 160), (160, 120)
SIZES = {WIDE: (96, 128), TALL: (128, 96)}
OPTIONS = Options(device="cpu", precision="fp32", threads=1, longer_side_px=128, report=lambda line: None)
FIELDS = ("flow", "uncertainty", "moving", "camera")


def drifting(camera: tuple[int, int], count: int, seed: int = 0) -> list[Image]:
    """A drifting picture, so that there is motion to find."""
    rows, columns = camera
    noise = np.random.default_rng(seed).integers(0, 256, (rows // 4 + 8, columns // 4 + 8, 3), np.uint8)
    whole = cv2.resize(noise, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(whole[n : n + rows, 2 * n : 2 * n + columns]) for n in range(count)]


def expected(model: TemporalKVQResNetCBAM, images: list[Image]) -> list[Any]:
    """Output of the network itself for one stream."""
    size = SIZES[images[0].shape[:2]]
    preprocess = Preprocessor(model.preprocessing, torch.device("cpu"), torch.float32, size=size)
    state, outputs = model.init_state(1, size), []
    with torch.inference_mode():
        for image in images:
            output, state = model.step(preprocess([image]), state, return_attention=True)
            outputs.append(output)
    return outputs


def same(result: Any, output: Any, off_px: float) -> None:
    rows, columns = result.grid
    assert result.attention.shape == (rows * columns, 2 * rows * columns)
    np.testing.assert_allclose(result.probabilities, output.logits[0].softmax(-1), atol=1e-4)
    np.testing.assert_allclose(result.attention, output.attention[0], atol=1e-3)
    assert (result.motion is None) == (output.flow is None)
    for name in FIELDS if result.motion else ():
        np.testing.assert_allclose(getattr(result.motion, name), getattr(output, name)[0], atol=off_px)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("backend", "motion", "aspects"),
    [("torch", True, 2), ("openvino", True, 2), ("onnxruntime", False, 1)],  # ONNX: 15 s for each size
    ids=str,
)
def test_streams_of_other_aspects_get_what_the_network_gives_at_their_sizes(
    backend: str, motion: bool, aspects: int
) -> None:
    opens: dict[str, Callable[..., Runtime]] = {"openvino": open_openvino, "onnxruntime": open_onnx}
    if backend != "torch":
        need(backend)
    model = small(motion=motion)
    runtime = opens.get(backend, open_torch)(model, OPTIONS)
    streams = [drifting(WIDE, 4), drifting(TALL, 4, seed=1)][:aspects]
    wanted = [expected(model, images) for images in streams]
    past: list[list[Any]] = [[None, None]] * aspects
    for n in range(4):
        images = [images[n] for images in streams]
        step = runtime.infer(images, past, want_attention=True)
        assert [result.grid for result in step.results] == [(3, 4), (4, 3)][:aspects]
        for result, outputs in zip(step.results, wanted, strict=True):
            same(result, outputs[n], off_px=2e-3)
        memories = step.remember()
        again = runtime.infer(images, past, want_attention=True, known=[memories[0], None][:aspects])
        same(again.results[0], wanted[0][n], off_px=2e-3)
        past = [[*slots[1:], new.entry] for slots, new in zip(past, memories, strict=True)]


def test_a_stream_keeps_its_size_while_it_remembers() -> None:
    """Capture may shrink a picture by a few pixels, which can change what its aspect is rounded to."""
    runtime = open_torch(small(), OPTIONS)
    (first,) = runtime.infer(drifting(WIDE, 1), [[None, None]]).remember()
    step = runtime.infer(drifting(TALL, 1), [[None, first.entry]], want_attention=True)
    assert step.results[0].grid == (3, 4)
    alone = runtime.infer(drifting(TALL, 1), [[None, None]], want_attention=True)
    assert alone.results[0].grid == (4, 3)
    with pytest.raises(ValueError, match="several sizes"):
        runtime.infer(drifting(TALL, 1), [[first.entry, alone.remember()[0].entry]])


def test_beyond_the_most_sizes_a_picture_is_stretched_to_the_nearest_aspect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "MOST_SIZES", 2)
    runtime = open_torch(small(), OPTIONS)
    assert runtime.is_ready((96, 128))
    assert runtime.size_of(300, 100) == (128, 32), "there is room for one more"
    runtime.warm_up(size=(128, 32))
    assert runtime.size_of(200, 100) == (128, 32)
    assert runtime.size_of(100, 100) == (96, 128)
    assert runtime.infer(drifting((40, 40), 1), [[None, None]]).results[0].grid == (3, 4)


def test_without_the_option_the_checkpoint_decides() -> None:
    model = small()
    own = dataclasses.replace(OPTIONS, longer_side_px=0)
    assert open_torch(model, own).usual_size == (64, 64)
    model.preprocessing = dataclasses.replace(model.preprocessing, size=128, keep_aspect=True)
    assert open_torch(model, own).usual_size == (96, 128)


def test_known_and_new_pictures_keep_their_places_in_any_mix() -> None:
    runtime = open_torch(small(), Options(device="cpu"))
    images, empty = pictures(4), [[None, None]] * 4
    alone = [runtime.infer([image], empty[:1]).results[0].probabilities for image in images]
    memories = runtime.infer(images, empty).remember()
    known = [memories[0], None, memories[2], None]
    step = runtime.infer(images, empty, known=known)
    for result, expected in zip(step.results, alone, strict=True):
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-5)
    assert len({probabilities.tobytes() for probabilities in alone}) == 4, "each has an answer of its own"
    found = step.remember()
    assert (found[0], found[2]) == (memories[0], memories[2])
    for new in (1, 3):
        np.testing.assert_allclose(found[new].entry.entry.keys, memories[new].entry.entry.keys, atol=1e-4)
