"""Describes a checkpoint without loading its weights, for runtimes with a compiled step."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from pipeline.model.architecture import Architecture
from pipeline.model.preprocessing import Preprocessing
from pipeline.model.shipped import CheckpointError, find_checkpoint, read_header

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class Description:
    """Properties of a network, named as in ``TemporalKVQResNetCBAM``.

    Attributes:
        architecture: The options that determine the weights.
        labels: Names of the classes.
        preprocessing: The input format.
        parameter_count: Number of trained parameters of all backbones and heads.
    """

    architecture: Architecture
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    parameter_count: int


def describe_checkpoint(path: str | Path) -> Description:
    """The description of a checkpoint's network; the weights are not read.

    Args:
        path: A file, or the name of a shipped checkpoint such as ``motion_resnet18``.

    Raises:
        CheckpointError: The file is missing, is not a checkpoint, or was written by an incompatible version.
    """
    path = find_checkpoint(path)
    header = read_header(path)
    try:
        preprocessing = json.loads(header["preprocessing"])
        with safe_open(path, framework="np") as file:
            trained = [name for name in file.keys() if not name.endswith(_STATISTICS)]  # noqa: SIM118
            return Description(
                Architecture(**json.loads(header["architecture"])),
                tuple(json.loads(header["labels"])),
                Preprocessing(
                    preprocessing["size"],
                    tuple(preprocessing["mean"]),
                    tuple(preprocessing["std"]),
                    bool(preprocessing.get("keep_aspect", False)),  # absent in older files
                ),
                sum(math.prod(file.get_slice(name).get_shape()) for name in trained),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: does not describe a network of this version: {error}") from None
