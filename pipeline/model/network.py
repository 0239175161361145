"""The network: a ResNet-CBAM with attention over past frames, and its step for one new frame."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from pipeline.model.architecture import MOTION_STAGES, PICTURE, Architecture
from pipeline.model.debug import kqv_info
from pipeline.model.description import Description
from pipeline.model.motion.motion_head import Motion, MotionHead, Trace
from pipeline.model.preprocessing import Preprocessing
from pipeline.model.resnet import STAGES, ResNetCBAM
from pipeline.model.state import Entry, State, empty_state
from pipeline.model.temporal import Attended, Features, TemporalAttention


class StepOutput(NamedTuple):
    """The prediction for the new frame of each stream.

    Attributes:
        logits: ``(B, num_classes)``.
        attention: Weights over the past, mean over heads, of the last layer, ``(B, S, T * S_k)``; slots
            oldest first, zeros for a slot without a frame; None if not requested.
        depth: Number of past frames used, ``(B,)``.
        flow: See ``Motion``, like the fields below; None for a network without dense motion.
        uncertainty: Expected error of the flow.
        moving: Probability of independent motion.
        camera: Camera motion.
    """

    logits: Tensor
    attention: Tensor | None
    depth: Tensor
    flow: Tensor | None = None
    uncertainty: Tensor | None = None
    moving: Tensor | None = None
    camera: Tensor | None = None


class TemporalKVQResNetCBAM(nn.Module):
    """Queries from frame t attend to keys and values of frames t-T ... t-1.

    ``forward`` takes a whole clip. ``step`` takes one new frame and the state of its stream, and costs
    one backbone pass; both give the same result. ``predict`` and ``remember`` are the two halves of a
    step: the prediction, then the work that only later frames need.

    Keyword options, as in ``TemporalKVQResNetCBAM(num_classes=9, d_model=256)``, are the fields of
    ``Architecture``; the rest of the program passes an ``Architecture``.

    Args:
        architecture: The options that determine the weights; None builds it from ``options``.
        labels: Names of the classes; None numbers them.
        gradient_checkpointing: Saves memory in training, see ``ResNetCBAM``.
        identity_blocks: Residual branches start at zero, see ``ResNetCBAM``.
        **options: Fields of ``Architecture``.

    Attributes:
        architecture: The options that determine the weights.
        labels: Names of the classes.
        num_past: ``T``.
        preprocessing: The input format.
        metadata: Other data in the checkpoint, such as the training recipe.

    Raises:
        TypeError: An unknown option, or both options and an architecture.
        ValueError: An option is invalid.
    """

    def __init__(
        self,
        architecture: Architecture | None = None,
        *,
        labels: Sequence[str] | None = None,
        gradient_checkpointing: bool = False,
        identity_blocks: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        if architecture is not None and options:
            raise TypeError(f"{', '.join(options)}: give an architecture or its fields, not both")
        self.architecture = architecture = architecture or Architecture(**options)
        self.labels = tuple(map(str, range(architecture.num_classes)) if labels is None else labels)
        if len(self.labels) != architecture.num_classes:
            raise ValueError(f"{len(self.labels)} labels for num_classes {architecture.num_classes}")
        self.num_past = architecture.num_past
        self.preprocessing = Preprocessing(architecture.image_size)
        self.metadata: dict[str, Any] = {}
        backbone = ResNetCBAM(
            architecture.depth,
            start=architecture.cbam_start,
            identity_blocks=identity_blocks,
            gradient_checkpointing=gradient_checkpointing,
        )
        copies = 0 if architecture.use_shared_weights else architecture.num_past
        self.backbones = nn.ModuleList([*(deepcopy(backbone) for _ in range(copies)), backbone])
        self.temporal = TemporalAttention(architecture, backbone.channels)
        self.motion: MotionHead | None = None
        if architecture.motion:
            self.motion = MotionHead(backbone.channels, architecture.num_past)
            last = nn.Linear(64, architecture.num_classes)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.motion_votes = nn.Sequential(nn.Linear(self.motion.summary_width, 64), nn.GELU(), last)

    @property
    def shared(self) -> bool:
        """Whether all frames use the same backbone."""
        return len(self.backbones) == 1

    @property
    def description(self) -> Description:
        """The description of the network, without its weights."""
        count = sum(weights.numel() for weights in self.parameters())
        return Description(self.architecture, self.labels, self.preprocessing, count)

    def forward(self, *frames: Tensor, past_mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Processes a whole clip: ``model(img_t_minus_2, img_t_minus_1, img_t)``.

        Args:
            *frames: ``T + 1`` tensors ``(B, 3, height, width)``, oldest first.
            past_mask: ``(B, T)`` bool, True where the past frame is present; None if all are.

        Returns:
            Logits ``(B, num_classes)``, and the intermediate results by name, see
            ``pipeline.model.debug``.

        Raises:
            ValueError: The number of frames is not ``T + 1``.
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
        logits = attended.logits
        if self.motion is not None:
            past = [torch.stack([f[stage] for f in features[:-1]], dim=1) for stage in ("match", "fine")]
            with torch.no_grad():  # the classification loss does not train the motion head
                summary = self.motion(features[-1], *past, past_mask).summary
            logits = logits + self.motion_votes(summary.to(logits.dtype))
        maps = [feature["layer4"] for feature in features]
        return logits, kqv_info(
            maps, keys[:, -1], values[:, -1], attended.query, attended.found, attended.weights
        )

    def init_state(self, batch_size: int, size: tuple[int, int] | None = None) -> State:
        """The state of new streams, without past frames.

        Args:
            batch_size: ``B``.
            size: Height and width of the frames in pixels; None for the model's own ``image_size``.

        Returns:
            Zero keys and values, in the model's dtype and on its device, and no valid slot.
        """
        like = self.temporal.classifier.weight
        return empty_state(self.architecture, batch_size, size, dtype=like.dtype, device=like.device)

    def predict(
        self, frame: Tensor, state: State, return_attention: bool = False
    ) -> tuple[StepOutput, Features]:
        """The prediction for a new frame: one backbone pass, then the attention.

        Args:
            frame: ``(B, 3, height, width)``.
            state: State of the same streams.
            return_attention: Include the attention weights in the output.

        Returns:
            The output, and the frame's features for ``remember``.

        Raises:
            ValueError: The state is for another frame size.
        """
        features = self.encode(frame)
        return self.answer(features, state, return_attention), features

    def encode(self, frame: Tensor) -> Features:
        """The first part of ``predict``: one backbone pass."""
        return self._encode(frame, slot=-1)

    def answer(self, features: Features, state: State, return_attention: bool = False) -> StepOutput:
        """The second part of ``predict``: the attention; enough for a frame whose features are known."""
        attended: Attended = self.temporal(features, *state.slotwise(), state.valid)
        depth = state.valid.sum(dim=1)
        output = StepOutput(attended.logits, attended.weights if return_attention else None, depth)
        if self.motion is None:
            return output
        motion = self.motion_of(features, state)
        return output._replace(
            logits=output.logits + self.motion_votes(motion.summary.to(output.logits.dtype)),
            flow=motion.flow,
            uncertainty=motion.uncertainty,
            moving=motion.moving,
            camera=motion.camera,
        )

    def motion_of(self, features: Features, state: State) -> Motion:
        """Dense motion of a frame against the state.

        Raises:
            ValueError: The network has no dense motion, or the state is for another frame size.
        """
        if self.motion is None or state.match is None or state.fine is None:
            raise ValueError("this network has no dense motion: build it with motion=True")
        if state.fine.shape[-2:] != features["fine"].shape[-2:]:
            raise ValueError("the state is for another frame size: use init_state(batch_size, size)")
        motion: Motion = self.motion(features, state.match, state.fine, state.valid)
        return motion

    def motion_trace(self, frames: Tensor, past_mask: Tensor) -> tuple[Motion, Trace]:
        """Dense motion of whole clips with the intermediate results for training.

        Args:
            frames: ``(B, T + 1, 3, height, width)``, oldest first.
            past_mask: ``(B, T)`` bool: which past frames are visible.

        Raises:
            ValueError: The network has no dense motion.
        """
        if self.motion is None:
            raise ValueError("this network has no dense motion: build it with motion=True")
        features = self._encode(frames.flatten(0, 1), slot=-1)
        clips = {
            stage: features[stage].view(*frames.shape[:2], *features[stage].shape[1:])
            for stage in MOTION_STAGES
        }
        new = {stage: maps[:, -1] for stage, maps in clips.items()}
        trace = Trace()
        motion: Motion = self.motion(new, clips["match"][:, :-1], clips["fine"][:, :-1], past_mask, trace)
        return motion, trace

    def remember(self, frame: Tensor, features: Features) -> Entry:
        """The data of this frame for later steps; unshared weights take ``T`` more backbone passes.

        Args:
            frame: ``(B, 3, height, width)``.
            features: From ``predict`` for the same frame.

        Returns:
            Keys and values ``(B, L, V, S_k, D)``; with dense motion also the maps, see ``Entry``.
        """
        if self.shared:
            variants = [self.temporal.project(features)]
        else:
            variants = [self.temporal.project(self._encode(frame, slot)) for slot in range(self.num_past)]
        keys = torch.stack([keys for keys, _ in variants], dim=2)
        tied = variants[0][0] is variants[0][1]
        values = keys if tied else torch.stack([values for _, values in variants], dim=2)
        return Entry(keys, values, features.get("match"), features.get("fine"))

    def step(self, frame: Tensor, state: State, return_attention: bool = False) -> tuple[StepOutput, State]:
        """One new frame of each stream: ``predict``, then ``remember``.

        Args:
            frame: ``(B, 3, height, width)``.
            state: State of the same streams; ``init_state`` for new ones.
            return_attention: Include the attention weights in the output.

        Returns:
            The output and the state for the next frame.
        """
        output, features = self.predict(frame, state, return_attention)
        return output, state.push(self.remember(frame, features))

    def load_backbone(self, weights: Mapping[str, Tensor]) -> None:
        """Initialises every backbone from a torchvision ResNet, see ``ResNetCBAM.load_plain``."""
        for backbone in self.backbones:
            cast(ResNetCBAM, backbone).load_plain(weights)

    def _encode(self, frames: Tensor, slot: int) -> Features:
        backbone = cast(ResNetCBAM, self.backbones[0 if self.shared else slot])
        wanted = {"layer4", *self.architecture.scales}
        if self.motion is None:
            return backbone.features(frames, tuple(wanted))
        features = backbone.features(frames, (PICTURE, *STAGES))
        if "fine" in features:  # an exported backbone already includes the motion maps
            return features
        maps: Features = self.motion.pyramid(features)
        return {stage: features[stage] for stage in wanted} | maps
