"""The cost of one new frame of one stream for a variant, with everything possible cached."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.step_time import median, take_turns
from benchmarks.temporal.shape import Shape
from benchmarks.temporal.variants import ours
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.resnet import ResNetCBAM
from pipeline.model.state import State

Step = Callable[[], Tensor]


def streaming_cost(model: nn.Module, shape: Shape, device: str, repeats: int) -> dict[str, float]:
    """Measures one streaming step, in alternation with our unmodified network and a plain ResNet.

    Args:
        model: Any variant; not modified.
        shape: The sizes it was built with.
        device: ``cpu`` (float32) or CUDA (bfloat16), eager.
        repeats: Number of rounds.

    Returns:
        ``gflops`` (a multiply-add is two), ``backbone_passes`` for one new frame, ``cache_kib`` of past
        frames in float32, medians ``step_ms``, ``ours_ms`` and ``resnet_ms``, and the ratios ``over_ours``
        and ``over_resnet``.
    """
    frame = torch.zeros(1, 3, shape.size_px, shape.size_px)
    cold = deepcopy(model).float().cpu().eval()
    step, cached = streaming_step(cold, frame)
    passes = [0]
    stem = cast(nn.Module, _backbone(cold).conv1)
    stem.register_forward_hook(lambda *_: passes.__setitem__(0, passes[0] + 1))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        step()

    where = torch.device(device)
    dtype = torch.bfloat16 if where.type == "cuda" else torch.float32
    resnet = torchvision.models.get_model(f"resnet{shape.depth}", weights=None, num_classes=shape.classes)
    frame = frame.to(where, dtype, memory_format=torch.channels_last)
    there = [
        deepcopy(network).eval().to(where, dtype).to(memory_format=torch.channels_last)
        for network in (model, ours(shape), resnet)
    ]
    steps = [streaming_step(there[0], frame)[0], streaming_step(there[1], frame)[0]]
    steps.append(lambda: cast(Tensor, there[2](frame)))
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        mine, unchanged, plain = map(median, take_turns([_waited(step) for step in steps], repeats))
    return {
        "gflops": round(counter.get_total_flops() / 1e9, 3),
        "backbone_passes": passes[0],
        "cache_kib": round(sum(x.numel() * x.element_size() for x in cached) / 1024, 1),
        "step_ms": round(mine, 3),
        "ours_ms": round(unchanged, 3),
        "resnet_ms": round(plain, 3),
        "over_ours": round(mine / unchanged, 3),
        "over_resnet": round(mine / plain, 3),
    }


@torch.no_grad()
def streaming_step(model: nn.Module, frame: Tensor) -> tuple[Step, list[Tensor]]:
    """A function that takes one step with a full cache, and the floating-point tensors of that cache.

    Args:
        model: A network in evaluation mode, on the frame's device.
        frame: The input ``(B, 3, height, width)``, used for all frames.
    """
    take: Callable[[Tensor, Any], tuple[Tensor, Any]]
    memory: Any
    if isinstance(model, TemporalKVQResNetCBAM):
        take, memory = _our_step(model), _our_memory(model, frame)
    else:
        take, memory = cast(Any, model).step, None
        for _ in range(cast(int, model.num_past)):
            memory = take(frame, memory)[1]
    return lambda: take(frame, memory)[0], _floats(memory)


def _our_step(model: TemporalKVQResNetCBAM) -> Callable[[Tensor, State], tuple[Tensor, State]]:
    def take(frame: Tensor, state: State) -> tuple[Tensor, State]:
        output, state = model.step(frame, state)
        return output.logits, state

    return take


def _our_memory(model: TemporalKVQResNetCBAM, frame: Tensor) -> State:
    # not from init_state, which ignores a truncated backbone
    features = _backbone(model).features(frame, tuple({"layer4", *model.architecture.scales}))
    entry = model.remember(frame, features)
    keys = torch.stack([entry.keys] * model.num_past, dim=2)
    tied = entry.values is entry.keys
    values = keys if tied else torch.stack([entry.values] * model.num_past, dim=2)
    valid = torch.ones(len(frame), model.num_past, dtype=torch.bool, device=frame.device)
    return State(keys, values, valid)


def _backbone(model: nn.Module) -> ResNetCBAM:
    found = model.backbones[-1] if isinstance(model, TemporalKVQResNetCBAM) else model.backbone
    return cast(ResNetCBAM, found)


def _floats(memory: Any) -> list[Tensor]:
    """Distinct floating-point tensors of nested tuples; a repeated tensor is listed once, None is skipped."""
    if memory is None:
        return []
    if isinstance(memory, Tensor):
        return [memory] if memory.is_floating_point() else []
    found = {id(x): x for part in memory for x in _floats(part)}
    return list(found.values())


def _waited(step: Step) -> Callable[[], None]:
    """The step followed by a copy of the result to the host, which waits for the GPU."""

    @torch.inference_mode()
    def run() -> None:
        step().float().cpu()

    return run
