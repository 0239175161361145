"""The network: a gated ResNet, attention over past frames, and one step of it for one new frame."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from pipeline.model.architecture import Architecture, HeadKind
from pipeline.model.attention import AttentionKind
from pipeline.model.cbam import CBAMStart
from pipeline.model.debug import describe
from pipeline.model.description import Description
from pipeline.model.preprocessing import Preprocessing
from pipeline.model.resnet import ResNetCBAM
from pipeline.model.state import Entry, State, empty_state
from pipeline.model.temporal import Attended, Features, TemporalAttention


class StepOutput(NamedTuple):
    """What the model says of the new frame of each stream.

    Attributes:
        logits: ``(B, num_classes)``.
        attention: Weights over the past, mean over heads, of the last layer, ``(B, S, T * S_k)``; slots
            oldest first, zeros for a slot without a frame; None if not asked for.
        depth: Number of past frames it saw, ``(B,)``.
    """

    logits: Tensor
    attention: Tensor | None
    depth: Tensor


class TemporalKVQResNetCBAM(nn.Module):
    """Frame t asks (query) what became of frames t-T ... t-1 (keys and values).

    ``forward`` takes a whole clip. ``step`` takes one new frame and the state of its stream, and costs
    one pass of the backbone; both give the same result. ``predict`` and ``remember`` are the two halves of
    a step: the answer, then the work that only later frames need.

    Args:
        depth: Of the ResNet: 18, 34, 50 or 101.
        num_classes: Size of the output.
        use_shared_weights: One backbone for all frames, or one for each time step (they start equal).
        d_model: ``D``.
        num_heads: ``H``; divides ``d_model``.
        num_layers: ``L``; each layer refines the queries of the one before.
        num_past: ``T``.
        attention: ``match`` or ``plain``, see ``pipeline.model.attention``.
        tied_values: Values are the keys; None means tied for ``plain`` and not for ``match``.
        scales: Stages that keys and values come from, each with projections of its own; queries
            come from ``layer4``.
        image_size: Height and width in pixels that positions are made for; others are interpolated.
        gradient_checkpointing: Saves memory in training, see ``ResNetCBAM``.
        cbam_start: How the gates start, see ``pipeline.model.cbam``.
        head: ``mean`` of the tokens, or ``grid``: a perceptron that sees every place apart, see
            ``pipeline.model.head``.
        identity_blocks: Residual branches start at zero, see ``ResNetCBAM``.
        labels: Names of the classes; None numbers them.

    Attributes:
        labels: Names of the classes.
        preprocessing: What pictures must look like.
        metadata: Whatever else travels in the checkpoint, such as the recipe of the training.
        architecture: The arguments that shape the weights, to build the same network again.
        backbone_passes: Pictures that went through a backbone since construction, counted in eager mode
            (a compiled or exported step is counted by who runs it).

    Raises:
        ValueError: An argument that does not make sense.
    """

    def __init__(
        self,
        *,
        depth: int = 50,
        num_classes: int = 1000,
        use_shared_weights: bool = True,
        d_model: int = 512,
        num_heads: int = 8,
        num_layers: int = 1,
        num_past: int = 2,
        attention: AttentionKind = "match",
        tied_values: bool | None = None,
        scales: Sequence[str] = ("layer4",),
        image_size: int = 224,
        gradient_checkpointing: bool = False,
        cbam_start: CBAMStart = "identity",
        head: HeadKind = "mean",
        identity_blocks: bool = False,
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.architecture = Architecture(
            depth=depth,
            num_classes=num_classes,
            use_shared_weights=use_shared_weights,
            d_model=d_model,
            num_heads=num_heads,
            num_layers=num_layers,
            num_past=num_past,
            attention=attention,
            tied_values=attention == "plain" if tied_values is None else tied_values,
            scales=tuple(scales),
            image_size=image_size,
            cbam_start=cbam_start,
            head=head,
        )
        self.labels = tuple(map(str, range(num_classes)) if labels is None else labels)
        if len(self.labels) != num_classes:
            raise ValueError(f"{len(self.labels)} labels for num_classes {num_classes}")
        self.preprocessing = Preprocessing(image_size)
        self.metadata: dict[str, Any] = {}
        self.backbone_passes = 0
        self.num_past = num_past
        backbone = ResNetCBAM(
            depth,
            start=cbam_start,
            identity_blocks=identity_blocks,
            gradient_checkpointing=gradient_checkpointing,
        )
        copies = 0 if use_shared_weights else num_past
        self.backbones = nn.ModuleList([*(deepcopy(backbone) for _ in range(copies)), backbone])
        self.temporal = TemporalAttention(self.architecture, backbone.channels)

    @property
    def shared(self) -> bool:
        """Whether all frames go through one backbone."""
        return len(self.backbones) == 1

    @property
    def description(self) -> Description:
        """What is known without the weights."""
        count = sum(weights.numel() for weights in self.parameters())
        return Description(self.architecture, self.labels, self.preprocessing, count)

    def forward(self, *frames: Tensor, past_mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """A whole clip: ``model(img_t_minus_2, img_t_minus_1, img_t)``.

        Args:
            *frames: ``T + 1`` tensors ``(B, 3, height, width)``, oldest first.
            past_mask: ``(B, T)`` bool, True where the past frame is there; None for all.

        Returns:
            Logits ``(B, num_classes)``, and the parts of the computation by the guide's names, see
            ``pipeline.model.debug.describe``.

        Raises:
            ValueError: Another number of frames.
        """
        if len(frames) != self.num_past + 1:
            raise ValueError(f"{len(frames)} frames given, this model takes {self.num_past + 1}")
        batch = len(frames[-1])
        if self.shared:
            together = self._encode(torch.cat(frames), slot=-1)
            features = [{n: x[i * batch :][:batch] for n, x in together.items()} for i in range(len(frames))]
        else:
            features = [self._encode(frame, slot=i) for i, frame in enumerate(frames)]
        entries = [self.temporal.project(past) for past in features[:-1]]
        keys = torch.stack([entry[0] for entry in entries], dim=2)
        values = torch.stack([entry[1] for entry in entries], dim=2)
        if past_mask is None:
            past_mask = torch.ones(batch, self.num_past, dtype=torch.bool, device=keys.device)
        attended: Attended = self.temporal(features[-1], keys, values, past_mask)
        maps = [feature["layer4"] for feature in features]
        return attended.logits, describe(
            maps, keys[:, -1], values[:, -1], attended.query, attended.found, attended.weights
        )

    def init_state(self, batch_size: int, size: tuple[int, int] | None = None) -> State:
        """The state of streams that have seen nothing yet.

        Args:
            batch_size: ``B``.
            size: Height and width of the frames in pixels; None for the model's own ``image_size``.

        Returns:
            Keys and values of zeros, in the model's type and on its device, and no valid slot.
        """
        like = self.temporal.classifier.weight
        return empty_state(self.architecture, batch_size, size, dtype=like.dtype, device=like.device)

    def predict(
        self, frame: Tensor, state: State, return_attention: bool = False
    ) -> tuple[StepOutput, Features]:
        """The answer to a new frame: one pass of the backbone, then the attention.

        Args:
            frame: ``(B, 3, height, width)``.
            state: Of the same streams.
            return_attention: Whether the output carries the weights.

        Returns:
            The output, and the frame's features for ``remember``.

        Raises:
            ValueError: The state is of frames of another size.
        """
        features = self.encode(frame)
        return self.answer(features, state, return_attention), features

    def encode(self, frame: Tensor) -> Features:
        """The first part of ``predict``: one pass of the backbone."""
        return self._encode(frame, slot=-1)

    def answer(self, features: Features, state: State, return_attention: bool = False) -> StepOutput:
        """The second part of ``predict``: the attention; all that a picture with known features takes."""
        attended: Attended = self.temporal(features, *state.slotwise(), state.valid)
        depth = state.valid.sum(dim=1)
        return StepOutput(attended.logits, attended.weights if return_attention else None, depth)

    def remember(self, frame: Tensor, features: Features) -> Entry:
        """What later steps need of this frame; with unshared weights this takes ``T`` more passes.

        Args:
            frame: ``(B, 3, height, width)``.
            features: From ``predict`` of the same frame.

        Returns:
            Keys and values ``(B, L, V, S_k, D)``.
        """
        if self.shared:
            variants = [self.temporal.project(features)]
        else:
            variants = [self.temporal.project(self._encode(frame, slot)) for slot in range(self.num_past)]
        keys = torch.stack([keys for keys, _ in variants], dim=2)
        tied = variants[0][0] is variants[0][1]
        return Entry(keys, keys if tied else torch.stack([values for _, values in variants], dim=2))

    def step(self, frame: Tensor, state: State, return_attention: bool = False) -> tuple[StepOutput, State]:
        """One new frame of each stream: ``predict``, then ``remember``.

        Args:
            frame: ``(B, 3, height, width)``.
            state: Of the same streams; ``init_state`` for new ones.
            return_attention: Whether the output carries the weights.

        Returns:
            The output and the state for the next frame.
        """
        output, features = self.predict(frame, state, return_attention)
        return output, state.push(self.remember(frame, features))

    def steps(self, clip: Tensor, state: State, return_attention: bool = False) -> tuple[StepOutput, State]:
        """Several frames in a row, the backbone's work in one batch.

        Args:
            clip: ``(B, N, 3, height, width)``, oldest first.
            state: Before the first frame.
            return_attention: Whether the output carries the weights.

        Returns:
            The output with ``N`` after ``B`` in each shape, and the state after the last frame.

        Raises:
            ValueError: A clip without frames.
        """
        batch, length = clip.shape[:2]
        if length == 0:
            raise ValueError("a clip needs at least one frame")
        frames = clip.flatten(0, 1)
        features = self._encode(frames, slot=-1)
        memory = self.remember(frames, features)
        rows = {name: x.view(batch, length, *x.shape[1:]) for name, x in features.items()}
        keys, values = (x.view(batch, length, *x.shape[1:]) for x in memory)
        outputs = []
        for n in range(length):
            outputs.append(self.answer({name: x[:, n] for name, x in rows.items()}, state, return_attention))
            state = state.push(Entry(keys[:, n], values[:, n]))
        attention = [output.attention for output in outputs if output.attention is not None]
        return StepOutput(
            torch.stack([output.logits for output in outputs], dim=1),
            torch.stack(attention, dim=1) if return_attention else None,
            torch.stack([output.depth for output in outputs], dim=1),
        ), state

    def load_backbone(self, weights: Mapping[str, Tensor]) -> None:
        """Starts every backbone from a torchvision ResNet, see ``ResNetCBAM.load_plain``."""
        for backbone in self.backbones:
            cast(ResNetCBAM, backbone).load_plain(weights)

    def _encode(self, frames: Tensor, slot: int) -> Features:
        if not torch.compiler.is_compiling():
            self.backbone_passes += len(frames)
        backbone = cast(ResNetCBAM, self.backbones[0 if self.shared else slot])
        return backbone.features(frames, tuple({"layer4", *self.architecture.scales}))
