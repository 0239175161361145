"""Folds batch norm into the preceding convolution."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_PAIRS = {"conv": "bn", "conv1": "bn1", "conv2": "bn2", "conv3": "bn3"}


def fold_batch_norms(model: nn.Module) -> None:
    """Folds, in place, every batch norm of an eval-mode model into its convolution."""
    for module in list(model.modules()):
        for conv_name, norm_name in _PAIRS.items():
            conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
        if isinstance(module, nn.Sequential) and len(module) == 2:
            conv, norm = module
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[0], module[1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
