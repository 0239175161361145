"""Imports torchvision's models, with a readable error if torchvision does not match the installed torch."""

import torch

from pipeline.base.errors import UserError

try:
    import torchvision
except (ImportError, RuntimeError) as error:
    raise UserError(
        f"torchvision does not match torch {torch.__version__} ({str(error).splitlines()[0]}): "
        "install both from one index, either for the CPU or for the same CUDA version: "
        "pip install --force-reinstall torch torchvision, "
        "with --index-url https://download.pytorch.org/whl/cpu for the CPU"
    ) from error

models = torchvision.models
