"""Checkpoints: safetensors files with the weights and everything needed to use them.

Loading a checkpoint neither runs code nor unpickles anything. Weights are stored as float16, batch-norm
statistics as float32. The metadata holds the network's options, labels, preprocessing and training recipe as
JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.base.files import write_whole
from pipeline.model.description import describe_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.shipped import FORMAT, CheckpointError, find_checkpoint, read_header

_LENGTH = 8  # bytes of the header's length at the start of a safetensors file, little-endian


def save_checkpoint(
    path: str | Path, model: TemporalKVQResNetCBAM, *, metadata: Mapping[str, Any] | None = None
) -> None:
    """Writes a checkpoint; an existing file is replaced atomically.

    The same network always gives the same bytes, so a compiled model cached for one file also fits an
    identical file.

    Args:
        path: The ``.safetensors`` file; its folder is created if missing.
        model: The network, with its ``labels`` and ``preprocessing``.
        metadata: Any other JSON-serialisable data, such as the recipe and its results; None keeps
            ``model.metadata``.

    Raises:
        CheckpointError: A weight is not finite as float16, so the file would be unusable.
        OSError: The file can't be written.
    """
    path = Path(path)
    floats = {name for name, _ in model.named_buffers()}
    tensors: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        stored = value if name in floats else value.half()
        if stored.is_floating_point() and not stored.isfinite().all():
            raise CheckpointError(f"{name} is not finite as float16: the training diverged")
        tensors[name] = stored.detach().cpu().contiguous()
    header = {
        "format": FORMAT,
        "architecture": json.dumps(asdict(model.architecture)),
        "labels": json.dumps(model.labels, ensure_ascii=False),
        "preprocessing": json.dumps(asdict(model.preprocessing)),
        "metadata": json.dumps(model.metadata if metadata is None else dict(metadata), ensure_ascii=False),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, _in_order(save(tensors, metadata=header)))


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> TemporalKVQResNetCBAM:
    """Reads a checkpoint.

    Args:
        path: A file, or the name of a shipped checkpoint such as ``motion_resnet18``.
        device: Device to load the network on.

    Returns:
        The network in float32 and eval mode, with ``labels``, ``preprocessing`` and ``metadata``.

    Raises:
        CheckpointError: The file is missing, is not a checkpoint, or does not match this version of
            the program.
    """
    path = find_checkpoint(path)
    about = describe_checkpoint(path)
    header, tensors = _read(path)
    try:
        with torch.device("meta"):
            model = TemporalKVQResNetCBAM(about.architecture, labels=about.labels)
        model.preprocessing = about.preprocessing
        model.metadata = dict(json.loads(header["metadata"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: does not describe a network of this version: {error}") from None
    wanted = model.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        shapes = [list(group[name].shape) if name in group else None for group in (tensors, wanted)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(f"{path}: does not fit: {name} is {shapes[0]}, expected {shapes[1]}")
    model.load_state_dict(tensors, assign=True)
    return model.to(device).eval()


def _in_order(file: bytes) -> bytes:
    """The file with its metadata sorted; the safetensors library writes it in random order."""
    end = _LENGTH + int.from_bytes(file[:_LENGTH], "little")
    header = json.loads(file[_LENGTH:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH)  # pads the header, so that the tensors are aligned
    return len(text).to_bytes(_LENGTH, "little") + text + file[end:]


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors; floating-point tensors are converted to float32."""
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return header, {name: x.float() if x.is_floating_point() else x for name, x in tensors.items()}
