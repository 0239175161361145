"""The step on a CUDA GPU against torch in float32 on the CPU; these tests need the GPU."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.history import StreamHistory
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Memory, Result
from pipeline.runtime.torch_engine import TorchEngine
from tests.model.small import SIZE, small
from tests.runtime.test_torch_engine import CPU, pictures

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore"),  # torch's compiler warns a lot
    pytest.mark.timeout(300),
]
TOLERANCE = {"fp32": 0.02, "fp16": 0.02, "bf16": 0.1}  # of a probability; fp32 convolves in TF32


def open_fast(model: TemporalKVQResNetCBAM, **options: Any) -> Runtime:
    """A runtime with captured graphs; falling back to torch's own step, which also answers, is a failure."""
    lines: list[str] = []
    runtime = open_torch(model, Options(device="cuda", report=lines.append, **options))
    assert "kernels" in runtime.describe(), lines
    return runtime


def play(runtime: Runtime, streams: list[list[Any]], again: bool = False) -> tuple[list[list[Result]], int]:
    """Streams side by side in one batch, frame by frame; ``again`` hands known pictures in as such.

    Returns:
        The results of each stream, and all passes of a backbone.
    """
    histories = [StreamHistory[int](runtime.num_past) for _ in streams]
    last: list[tuple[Any, Memory] | None] = [None] * len(streams)
    found: list[list[Result]] = [[] for _ in streams]
    passes = 0
    for n, images in enumerate(zip(*streams, strict=True)):
        slots = [[slot and slot.entry for slot in history.select(n + 1)] for history in histories]
        known = [
            before[1] if again and before and np.array_equal(before[0], image) else None
            for before, image in zip(last, images, strict=True)
        ]
        step = runtime.infer(images, slots, want_attention=True, known=known)
        for row, memory in enumerate(step.remember()):
            histories[row].append(n, n + 1, memory.entry)
            last[row] = images[row], memory
            found[row].append(step.results[row])
        passes += step.backbone_passes
    return found, passes


def same_size(count: int, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in range(count)]


@pytest.mark.parametrize(
    ("precision", "options"),
    [
        ("fp16", {}),
        ("bf16", {}),
        ("fp32", {}),
        ("fp16", {"depth": 50, "attention": "plain"}),
        ("fp16", {"use_shared_weights": False, "num_past": 3, "scales": ("layer3", "layer4")}),
        ("fp32", {"motion": True}),
        ("fp16", {"motion": True}),
    ],
    ids=str,
)
def test_a_batch_of_streams_equals_the_cpu(precision: str, options: dict[str, Any]) -> None:
    torch._dynamo.reset()
    model = small(**options)
    if options.get("attention") == "plain":  # unbounded scores: one place would take all
        with torch.no_grad():
            model.temporal.layers[0].query.query_proj.weight *= 0.003
    streams = [same_size(5, seed) for seed in range(3)]
    expected, passes = play(open_torch(model, CPU), streams)
    found, counted = play(open_fast(model, precision=precision), streams)
    assert counted == passes
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.depth == b.depth
            np.testing.assert_allclose(a.probabilities, b.probabilities, atol=TOLERANCE[precision])
            np.testing.assert_allclose(a.attention, b.attention, atol=TOLERANCE[precision])
            assert_same_motion(a, b)


def assert_same_motion(one: Result, other: Result) -> None:
    """Dense motion agrees at nearly all places; a network that has learned nothing has close calls."""
    assert (one.motion is None) == (other.motion is None)
    if one.motion is None or other.motion is None:
        return
    for name, tolerance in {"flow": 0.5, "uncertainty": 0.2, "moving": 0.05, "camera": 0.02}.items():
        off = np.abs(getattr(one.motion, name) - getattr(other.motion, name))
        assert np.quantile(off, 0.9) < tolerance, (name, float(np.quantile(off, 0.9)), float(off.max()))


def test_dense_motion_of_unchanged_pictures_is_that_of_a_full_step() -> None:
    streams = [[images[i] for i in (0, 0, 1, 1, 2)] for images in (same_size(3, 0), same_size(3, 1))]
    full, saving = (open_fast(small(motion=True)) for _ in range(2))
    (expected, all_passes), (found, passes) = play(full, streams), play(saving, streams, again=True)
    assert (all_passes, passes) == (10, 6)
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert_same_motion(a, b)


def test_keys_of_dense_motion_are_those_of_the_cpu() -> None:
    keys = []
    for runtime in (open_fast(small(motion=True)), open_torch(small(motion=True), CPU)):
        memories = runtime.infer(same_size(2, 0), [[None, None]] * 2).remember()
        keys.append([runtime.match_keys(memory.entry) for memory in memories])
    for ours, theirs in zip(*keys, strict=True):
        assert ours is not None
        assert theirs is not None
        np.testing.assert_allclose(ours, theirs, atol=0.05)


@pytest.mark.parametrize("motion", [False, True])
def test_the_shipped_kinds_run_on_fused_kernels(motion: bool) -> None:
    lines: list[str] = []
    runtime = open_torch(small(motion=motion), Options(device="cuda", report=lines.append))
    runtime.warm_up()
    assert runtime.describe()["kernels"] == "fused", lines
    assert not any("slower" in line for line in lines)


def test_unchanged_pictures_get_what_a_full_step_gives() -> None:
    streams = [[images[i] for i in (0, 0, 1, 1, 1, 2)] for images in (same_size(3, 0), same_size(3, 1))]
    streams[1] = [streams[1][i] for i in (0, 2, 2, 5, 5, 5)]
    full, saving = (open_fast(small()) for _ in range(2))
    (expected, all_passes), (found, passes) = play(full, streams), play(saving, streams, again=True)
    assert (all_passes, passes) == (12, 6)
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.probabilities, b.probabilities, atol=0.01)
            np.testing.assert_allclose(a.attention, b.attention, atol=0.01)


def test_pictures_of_other_sizes_are_resized_on_the_device() -> None:
    streams = [pictures(3), same_size(3, 1), pictures(3, seed=2)]
    expected, _ = play(open_torch(small(), CPU), streams)
    found, _ = play(open_fast(small()), streams)
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.probabilities, b.probabilities, atol=0.02)


@pytest.mark.timeout(900)  # compiles dense motion for two sizes
def test_the_shipped_network_sees_motion_in_pictures_of_several_aspects() -> None:
    scene = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8), (0, 0), 4)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    sizes = [(360, 640), (640, 480)]
    streams = [[scene[8 * n : 8 * n + h, 12 * n : 12 * n + w] for n in range(4)] for h, w in sizes]
    model = load_checkpoint("motion_resnet18")
    expected, _ = play(open_torch(model, Options(device="cpu", longer_side_px=256)), streams)
    found, _ = play(open_fast(model, longer_side_px=256), streams)
    for (height, width), ours, theirs in zip(sizes, found, expected, strict=True):
        a, b = ours[-1].motion, theirs[-1].motion
        assert a is not None
        assert b is not None
        assert a.flow.shape == b.flow.shape
        scale = 256 / max(height, width)
        seen = np.median(a.flow[-1], axis=(1, 2)) / scale
        np.testing.assert_allclose(seen, (12, 8), atol=1)
        assert np.abs(a.flow - b.flow).mean() < 0.1
        assert np.abs(a.moving - b.moving).mean() < 0.02
        np.testing.assert_allclose(a.camera, b.camera, atol=0.02)


def test_a_step_is_remembered_before_the_next_uses_its_memory() -> None:
    runtime = open_fast(small())
    first = runtime.infer(same_size(2, 0), [[None, None]] * 2)
    second = runtime.infer(same_size(1, 1), [[None, None]])
    with pytest.raises(ValueError, match="call remember before the next infer"):
        first.remember()
    assert second.remember() is second.remember()


def test_memory_is_flat_over_a_thousand_steps() -> None:
    runtime = open_fast(small())
    images = [same_size(1, seed)[0] for seed in range(3)]
    histories = [StreamHistory[int](2) for _ in images]

    def steps(first: int, count: int) -> None:
        for n in range(first, first + count):
            slots = [[slot and slot.entry for slot in history.select(n + 1)] for history in histories]
            memories = runtime.infer(images, slots).remember()
            for history, memory in zip(histories, memories, strict=True):
                history.append(n, n + 1, memory.entry)

    steps(0, 100)
    before = torch.cuda.memory_allocated()
    steps(100, 1000)
    assert torch.cuda.memory_allocated() == before


def test_a_broken_compiler_is_reported_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    import pipeline.runtime.cuda.fused_backbone as fused

    def broken(*_: Any) -> None:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(fused, "fuse_backbones", broken)
    lines: list[str] = []
    runtime = open_torch(small(), Options(device="cuda", report=lines.append))
    assert runtime.describe()["kernels"] == "torch"
    assert any("Failed to find C compiler" in line for line in lines)
    streams = [same_size(3, 0)]
    (found,), _ = play(runtime, streams)
    (expected,), _ = play(open_torch(small(), CPU), streams)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=0.02)


def test_graphs_that_fail_or_are_not_wanted_leave_torchs_own_step(monkeypatch: pytest.MonkeyPatch) -> None:
    import pipeline.runtime.open_torch as opening

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(opening, "cuda_engines", broken)
    lines: list[str] = []
    assert isinstance(open_torch(small(), Options(device="cuda", report=lines.append)).engine, TorchEngine)
    preparing, failed = lines
    assert "preparing kernels and graphs" in preparing
    assert "no CUDA graphs" in failed
    assert "out of memory" in failed
    lines.clear()
    plain = open_torch(small(), Options(device="cuda", graphs=False, report=lines.append))
    assert isinstance(plain.engine, TorchEngine)
    assert lines == []


@pytest.mark.parametrize("motion", [True, False])
def test_what_is_remembered_can_be_taken_out_and_put_in_again(motion: bool) -> None:
    runtime = open_fast(small(motion=motion), precision="fp16")
    first, second, third = pictures(3)
    past: list[Any] = [None] * runtime.num_past
    for image in (first, second):
        (memory,) = runtime.infer([image], [past]).remember()
        past = [*past[1:], memory.entry]
    again = [runtime.entry(entry.size, runtime.parts(entry)) for entry in past]
    expected, found = (
        runtime.infer([third], [slots], want_attention=True).results[0] for slots in (past, again)
    )
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert found.attention is not None
    assert expected.attention is not None
    np.testing.assert_array_equal(found.attention, expected.attention)
