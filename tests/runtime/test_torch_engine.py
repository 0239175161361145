import copy
import math
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from pipeline.account.stats import WorkerStats
from pipeline.model.architecture import MATCH_CHANNELS
from pipeline.model.device import DeviceError
from pipeline.model.history import StreamHistory
from pipeline.runtime.base import Runtime
from pipeline.runtime.fold_batch_norms import fold_batch_norms
from pipeline.runtime.open_torch import TOLERANCE, largest_difference, open_torch
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Image, Memory, Result
from tests.model.reference import frame_by_frame
from tests.model.small import SIZE, clip, small

CPU = Options(device="cpu")


def pictures(count: int, seed: int = 0) -> list[Image]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (80, 100, 3), np.uint8) for _ in range(count)]


def play(runtime: Runtime, images: list[Image]) -> list[Result]:
    """One stream, frame by frame."""
    history, results = StreamHistory[int](runtime.num_past), []
    for n, image in enumerate(images):
        slots = [[slot and slot.entry for slot in history.select(n + 1)]]
        step = runtime.infer([image], slots, want_attention=True)
        history.append(n, n + 1, step.remember()[0].entry)
        results += step.results
    return results


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attention": "plain"},
        {"use_shared_weights": False, "num_past": 3, "scales": ("layer3", "layer4")},
    ],
    ids=str,
)
def test_results_are_those_of_the_model(options: dict[str, Any]) -> None:
    model, images = small(**options), pictures(6)
    results = play(open_torch(model, CPU), images)
    frames = Preprocessor(model.preprocessing, torch.device("cpu"), torch.float32)(images)
    expected, _ = frame_by_frame(model, frames[None])
    probabilities = expected.logits[0].softmax(-1)
    for n, result in enumerate(results):
        assert result.depth == min(n, model.num_past)
        assert result.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(result.probabilities, probabilities[n], atol=1e-4)
        assert result.attention.dtype == np.float16
        np.testing.assert_allclose(result.attention, expected.attention[0, n], atol=1e-3)


def test_a_batch_of_streams_equals_single_streams() -> None:
    runtime = open_torch(small(), CPU)
    streams = [pictures(4, seed) for seed in range(3)]
    alone = [play(runtime, images) for images in streams]
    histories = [StreamHistory[int](2) for _ in streams]
    for n in range(4):
        slots = [[slot and slot.entry for slot in history.select(n + 1)] for history in histories]
        step = runtime.infer([images[n] for images in streams], slots)
        for history, memory in zip(histories, step.remember(), strict=True):
            history.append(n, n + 1, memory.entry)
        for result, own in zip(step.results, alone, strict=True):
            np.testing.assert_allclose(result.probabilities, own[n].probabilities, atol=1e-4)
            assert result.attention is None


@pytest.mark.parametrize(("shared", "passes"), [(True, (1, 1)), (False, (1, 3))])
def test_a_step_counts_its_own_backbone_passes(shared: bool, passes: tuple[int, int]) -> None:
    runtime = open_torch(small(use_shared_weights=shared), CPU)
    for _ in range(2):
        step = runtime.infer(pictures(2), [[None, None]] * 2)
        assert step.backbone_passes == 2 * passes[0]
        assert step.remember() is step.remember()
        assert step.backbone_passes == 2 * passes[1]


def test_steps_can_be_remembered_in_any_order() -> None:
    runtime = open_torch(small(), CPU)
    one, other = pictures(2)
    first = runtime.infer([one], [[None, None]])
    second = runtime.infer([other], [[None, None]])
    for step, image in ((second, other), (first, one)):
        (alone,) = runtime.infer([image], [[None, None]]).remember()
        torch.testing.assert_close(step.remember()[0].entry, alone.entry)


@pytest.mark.parametrize(
    "options", [{}, {"use_shared_weights": False, "scales": ("layer3", "layer4")}], ids=str
)
def test_known_pictures_get_what_a_full_step_gives(options: dict[str, Any]) -> None:
    full, saving = (open_torch(small(**options), CPU) for _ in range(2))
    first, second = pictures(2), pictures(2, seed=1)
    before = [[None, None], [None, None]]
    past = []
    for runtime in (full, saving):
        memories = runtime.infer(first, before).remember()
        past.append([[None, memory.entry] for memory in memories])
    mixed = [second[0], first[1]]
    expected = full.infer(mixed, past[0], want_attention=True)
    found = saving.infer(mixed, past[1], want_attention=True, known=[None, memories[1]])
    for a, b in zip(found.results, expected.results, strict=True):
        assert a.depth == b.depth == 1
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)
        np.testing.assert_allclose(a.attention, b.attention, atol=1e-3)
    for a, b in zip(found.remember(), expected.remember(), strict=True):
        torch.testing.assert_close(a.entry.entry.keys, b.entry.entry.keys, atol=1e-4, rtol=1e-4)
    assert found.backbone_passes == (1 if options.get("use_shared_weights", True) else 3)
    again = saving.infer([first[1]], [past[1][1]], known=[found.remember()[1]])  # reused, and reused again
    np.testing.assert_allclose(again.results[0].probabilities, found.results[1].probabilities, atol=1e-5)
    assert again.backbone_passes == 0
    assert again.remember() == [memories[1]]


@torch.no_grad()
@pytest.mark.parametrize("depth", [18, 50])
def test_folded_batch_norms_change_nothing(depth: int) -> None:
    model = small(depth=depth)
    folded = copy.deepcopy(model)
    fold_batch_norms(folded)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    frames = clip(1, 3).unbind(1)
    torch.testing.assert_close(folded(*frames)[0], model(*frames)[0], atol=1e-4, rtol=0)
    ours, plain = (m.backbones[0](frames[0]) for m in (folded, model))
    assert (ours - plain).abs().max() < 1e-4 * plain.abs().max()


def test_the_model_itself_is_left_alone() -> None:
    model = small().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    open_torch(model, Options(device="cpu", precision="bf16")).warm_up()
    after = model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert model.training


def test_remembered_entries_are_not_tied_to_the_batch() -> None:
    runtime = open_torch(small(), CPU)
    first = runtime.infer(pictures(2), [[None, None]] * 2).remember()
    kept = first[0].entry.entry.keys.clone()
    runtime.infer(pictures(2, seed=5), [[None, memory.entry] for memory in first]).remember()
    assert torch.equal(first[0].entry.entry.keys, kept)


def test_keys_of_dense_motion_are_those_of_the_entry() -> None:
    runtime = open_torch(small(motion=True), CPU)
    (memory,) = runtime.infer(pictures(1), [[None, None]]).remember()
    keys = runtime.match_keys(memory.entry)
    assert keys is not None
    assert (keys.shape, keys.dtype) == ((SIZE // 8, SIZE // 8, MATCH_CHANNELS), np.float32)
    np.testing.assert_allclose(np.linalg.norm(keys, axis=2), 1.0, atol=1e-3)
    np.testing.assert_array_equal(keys[1, 2], memory.entry.entry.match[:, 1, 2])
    without = open_torch(small(), CPU)
    (memory,) = without.infer(pictures(1), [[None, None]]).remember()
    assert without.match_keys(memory.entry) is None


def test_bf16_on_a_cpu_is_close() -> None:
    exact, rough = (
        play(open_torch(small(), Options(device="cpu", precision=p)), pictures(3)) for p in ("fp32", "bf16")
    )
    for a, b in zip(exact, rough, strict=True):
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=0.1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_cuda_is_close(precision: str) -> None:
    exact, other = (
        play(runtime, pictures(4))
        for runtime in (
            open_torch(small(), CPU),
            open_torch(small(), Options(device="cuda", precision=precision, graphs=False)),
        )
    )
    for a, b in zip(exact, other, strict=True):
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=0.1)


def test_it_says_what_it_is() -> None:
    runtime = open_torch(small(labels=[*"abcdefghi"]), Options(device="cpu", name="tiny"))
    about = runtime.describe()
    assert (about["backend"], about["device"], about["precision"]) == ("torch", "cpu", "fp32")
    model = runtime.describe_model()
    assert (model["name"], model["backbone"], model["classes"]) == ("tiny", "ResNet-18 + CBAM", 9)
    assert model["parameters"] == sum(weights.numel() for weights in small().parameters())
    assert runtime.labels == tuple("abcdefghi")
    assert runtime.infer(pictures(1), [[None, None]]).results[0].grid == (SIZE // 32, SIZE // 32)


def test_what_it_says_of_itself_can_be_sent_with_statistics() -> None:
    runtime = open_torch(small(), CPU)
    details = {"runtime": runtime.describe(), "model": runtime.describe_model()}
    sent = msgspec.msgpack.encode(WorkerStats("inference", "inference", 1, "host", 1, details=details))
    assert msgspec.msgpack.decode(sent, type=WorkerStats).details == details


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("toaster", "auto", "choose auto, cpu, cuda"),
        ("meta", "auto", "choose auto, cpu, cuda"),
        ("cuda:99", "auto", r"torch sees \S+ CUDA device"),
        ("cpu", "fp16", "fp16 needs a CUDA device"),
        ("cpu", "int8", "int8 requires OpenVINO on a CPU"),
        ("cpu", "int3", "choose auto, fp32, fp16, bf16"),
    ],
)
def test_impossible_wishes_are_one_readable_line(device: str, precision: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message) as caught:
        open_torch(small(), Options(device=device, precision=precision))
    assert "\n" not in str(caught.value)


def test_wrong_calls_are_readable() -> None:
    runtime = open_torch(small(), CPU)
    nothing = runtime.infer([], [])
    assert (nothing.results, nothing.remember(), nothing.backbone_passes) == ([], [], 0)
    with pytest.raises(ValueError, match="2 images, 1 streams"):
        runtime.infer(pictures(2), [[None, None]])
    with pytest.raises(ValueError, match="3 slots given, the model has 2"):
        runtime.infer(pictures(1), [[None, None, None]])
    (memory,) = runtime.infer(pictures(1), [[None, None]]).remember()
    with pytest.raises(ValueError, match="a known image needs features"):
        runtime.infer(pictures(1), [[None, None]], known=[Memory(memory.entry, None)])


def test_a_runtime_that_differs_is_told_from_one_that_agrees() -> None:
    runtime, same = open_torch(small(), CPU), open_torch(small(), CPU)
    assert largest_difference(runtime, same) == 0.0
    broken = small()
    with torch.no_grad():
        broken.temporal.layers[0].slots += 3.0  # only steps with a past show it
    assert largest_difference(runtime, open_torch(broken, CPU)) > TOLERANCE
    with torch.no_grad():
        broken.temporal.classifier.bias += float("nan")
    assert not largest_difference(runtime, open_torch(broken, CPU)) <= TOLERANCE


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("options", [{"motion": True}, {}, {"use_shared_weights": False}])
def test_what_is_remembered_can_be_taken_out_and_put_into_another_runtime(
    precision: Any, options: dict[str, Any]
) -> None:
    runtime, other = (
        open_torch(small(**options), Options(device="cpu", precision=precision)) for _ in range(2)
    )
    first, second, third = pictures(3)
    past: list[Any] = [None] * runtime.num_past
    for image in (first, second):
        (memory,) = runtime.infer([image], [past]).remember()
        past = [*past[1:], memory.entry]
    again = [other.entry(entry.size, runtime.parts(entry)) for entry in past]
    expected = runtime.infer([third], [past], want_attention=True).results[0]
    found = other.infer([third], [again], want_attention=True).results[0]
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert found.attention is not None
    assert expected.attention is not None
    np.testing.assert_array_equal(found.attention, expected.attention)
    with pytest.raises(ValueError, match="another model"):
        other.entry(past[0].size, runtime.parts(past[0])[::-1][:1])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_damaged_on_the_way_is_not_put_in(precision: str) -> None:
    runtime = open_torch(small(), Options(device="cpu", precision=precision))
    (memory,) = runtime.infer(pictures(1), [[None] * runtime.num_past]).remember()
    size, parts = memory.entry.size, runtime.parts(memory.entry)
    whole = parts[0]
    number = whole.data[-len(whole.data) // math.prod(whole.shape) :]
    endless = torch.tensor([math.inf], dtype=getattr(torch, whole.number)).view(torch.uint8).numpy().tobytes()
    assert len(endless) == len(number)
    for wrong in (
        whole._replace(data=whole.data[:-1]),
        whole._replace(number="complex64"),
        whole._replace(shape=(-1, -math.prod(whole.shape))),
        whole._replace(shape=(), data=b""),
    ):
        with pytest.raises(ValueError, match="is damaged"):
            runtime.entry(size, [wrong, *parts[1:]])
    with pytest.raises(ValueError, match="non-finite"):
        runtime.entry(size, [whole._replace(data=whole.data[: -len(endless)] + endless), *parts[1:]])
