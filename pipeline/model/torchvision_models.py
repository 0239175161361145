"""Imports torchvision's models, with a readable error if it does not fit the installed torch."""

import torch

from pipeline.base.errors import UserError

try:
    import torchvision
except (ImportError, RuntimeError) as error:
    raise UserError(
        f"torchvision can't be loaded beside torch {torch.__version__} ({str(error).splitlines()[0]}): "
        "install both from one index, both for the CPU or both for one CUDA version: "
        "pip install --force-reinstall torch torchvision, "
        "with --index-url https://download.pytorch.org/whl/cpu for a CPU"
    ) from error

models = torchvision.models
