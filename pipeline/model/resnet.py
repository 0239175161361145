"""ResNet with CBAM, built from torchvision's blocks.

Source: He et al., "Deep Residual Learning", arXiv 1512.03385; Woo et al., arXiv 1807.06521.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from pipeline.model.architecture import PICTURE, CBAMStart
from pipeline.model.cbam import CBAM
from pipeline.model.torchvision_models import models

STAGES = ("layer1", "layer2", "layer3", "layer4")
_BLOCKS_BY_DEPTH = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class _GatedBasicBlock(models.resnet.BasicBlock):  # type: ignore[misc]
    """torchvision's ``BasicBlock`` with gates between its last batch norm and the residual addition."""

    cbam: CBAM  # set by ResNetCBAM

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.cbam(self.bn2(self.conv2(out)))
        out += x if self.downsample is None else self.downsample(x)
        return cast(Tensor, self.relu(out))


class _GatedBottleneck(models.resnet.Bottleneck):  # type: ignore[misc]
    """torchvision's ``Bottleneck`` with gates between its last batch norm and the residual addition."""

    cbam: CBAM  # set by ResNetCBAM

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.cbam(self.bn3(self.conv3(out)))
        out += x if self.downsample is None else self.downsample(x)
        return cast(Tensor, self.relu(out))


class ResNetCBAM(models.ResNet):  # type: ignore[misc]
    """ResNet-18, 34, 50 or 101 with CBAM in every block.

    Args:
        depth: 18, 34, 50 or 101.
        num_classes: Adds average pooling and a linear classifier; None makes ``forward`` return the
            last feature map instead.
        start: Initialisation of the gates, see ``CBAMStart``.
        identity_blocks: Residual branches start at zero (last batch norm's weight is 0), so that each
            block starts as the identity; helps when deep networks are trained from scratch.
        gradient_checkpointing: In training, keep only the input of each stage and recompute the rest in
            the backward pass: less memory, about a third more time.

    Raises:
        ValueError: Unsupported depth.
    """

    def __init__(
        self,
        depth: int = 50,
        num_classes: int | None = None,
        *,
        start: CBAMStart = "identity",
        identity_blocks: bool = False,
        gradient_checkpointing: bool = False,
    ) -> None:
        if depth not in _BLOCKS_BY_DEPTH:
            raise ValueError(f"depth {depth}: choose one of {', '.join(map(str, _BLOCKS_BY_DEPTH))}")
        super().__init__(
            block=_GatedBottleneck if depth >= 50 else _GatedBasicBlock,
            layers=list(_BLOCKS_BY_DEPTH[depth]),
            num_classes=num_classes or 1,
            zero_init_residual=identity_blocks,
        )
        self.channels = {f"layer{i + 1}": 64 * 2**i * (4 if depth >= 50 else 1) for i in range(4)}
        self.gradient_checkpointing = gradient_checkpointing
        # added last, because torchvision's constructor sets the weight of every batch norm to 1
        for stage, channels in self.channels.items():
            for block in getattr(self, stage):
                block.cbam = CBAM(channels, start=start)
        if num_classes is None:
            self.avgpool = self.fc = nn.Identity()

    def features(self, images: Tensor, stages: Sequence[str] = ("layer4",)) -> dict[str, Tensor]:
        """Feature maps of the named stages.

        Args:
            images: ``(B, 3, height, width)``.
            stages: Any of ``picture`` and ``layer1`` to ``layer4``; stages after the last one are skipped.

        Returns:
            Maps ``(B, channels, rows, columns)`` by stage, at stride 1, 4, 8, 16 and 32.
        """
        found: dict[str, Tensor] = {PICTURE: images} if PICTURE in stages else {}
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for name in STAGES[: 1 + max(STAGES.index(stage) for stage in stages if stage != PICTURE)]:
            stage = getattr(self, name)
            if self.gradient_checkpointing and self.training:
                x = checkpoint(stage, x, use_reentrant=False, context_fn=partial(_contexts, stage))
            else:
                x = stage(x)
            if name in stages:
                found[name] = x
        return found

    def _forward_impl(self, x: Tensor) -> Tensor:
        x = self.features(x)["layer4"]
        if isinstance(self.fc, nn.Identity):
            return x
        return cast(Tensor, self.fc(self.avgpool(x).flatten(1)))

    def get_low_level_features(self, images: Tensor) -> Tensor:
        """The map of ``layer2``, averaged onto the grid of ``layer4`` so that both can be concatenated.

        ``(B, 3, height, width)`` to ``(B, 512 or 128, rows, columns)``.
        """
        fine = self.features(images, ("layer2",))["layer2"]
        rows, columns = ((size + 3) // 4 for size in fine.shape[-2:])
        return F.adaptive_avg_pool2d(fine, (rows, columns))

    def get_high_level_features(self, images: Tensor) -> Tensor:
        """The map of ``layer4``, ``(B, C, rows, columns)``."""
        return self.features(images)["layer4"]

    def load_plain(self, weights: Mapping[str, Tensor]) -> None:
        """Loads the weights of a torchvision ResNet; the gates are left unchanged.

        Args:
            weights: For example ``torchvision.models.resnet50(weights="IMAGENET1K_V2").state_dict()``.

        Raises:
            ValueError: The weights belong to another network.
        """
        own = self.state_dict()
        taken = {n: value for n, value in weights.items() if n in own and value.shape == own[n].shape}
        wanted = {n for n in own if ".cbam." not in n and not n.startswith("fc.")}
        strange = {n for n in weights if n not in own and not n.startswith("fc.")}
        unfit = sorted((wanted - taken.keys()) | strange)
        if unfit:
            raise ValueError(f"these are not the weights of this ResNet: {unfit[0]} does not fit")
        self.load_state_dict(taken, strict=False)


def _contexts(stage: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts of a checkpointed stage: none for the first run, frozen statistics when it is recomputed."""
    return nullcontext(), _frozen_statistics(stage)


@contextmanager
def _frozen_statistics(stage: nn.Module) -> Iterator[None]:
    """Prevents batch norm from counting the same batch twice."""
    norms = [module for module in stage.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.momentum, cast(Tensor, norm.num_batches_tracked).clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum = momentum
            cast(Tensor, norm.num_batches_tracked).copy_(batches)
