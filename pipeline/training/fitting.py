"""The state of a training run, and one step of it."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.model.attention import AttentionKind
from pipeline.model.checkpoint import save_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.correspondence import match_loss
from pipeline.training.evaluate import validate
from pipeline.training.motion import LABELS, MotionRenderer, Scene
from pipeline.training.optimise import AveragedModel, compiled_or_eager, learning_rate, parameter_groups
from pipeline.training.options import FitOptions
from pipeline.training.pictures import seeded
from pipeline.training.samples import Clips

VALIDATION_SEED = 500_009
Forward: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Frames and which past ones may be seen, to logits and attention."""


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one.

    Raises:
        ValueError: a device that torch does not know or this machine lacks.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device {name!r}: choose auto, cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: torch sees no CUDA device here; choose cpu")
    return device


class Fitting:
    """One training run: weights, their average, optimiser and renderer, and how far it has come.

    A step's randomness depends on the seed and the step number alone, so a run that goes on from ``last.pt``
    computes what the unbroken run would have computed.
    """

    def __init__(self, options: FitOptions) -> None:
        """Builds everything from the options; see `FitOptions`.

        Raises:
            ValueError: an option that does not fit the machine or the files.
        """
        self.options, self.device = options, pick_device(options.device)
        self.out = Path(options.out)
        torch.manual_seed(options.seed)
        model = TemporalKVQResNetCBAM(
            depth=options.depth,
            num_classes=len(LABELS),
            d_model=options.d_model,
            num_heads=options.num_heads,
            num_layers=options.num_layers,
            num_past=2,
            attention=cast(AttentionKind, options.attention),
            image_size=options.size_px,
            identity_blocks=options.identity_blocks,
            labels=list(LABELS),
        )
        self.model = model.to(memory_format=torch.channels_last).to(self.device).train()
        self.average = AveragedModel(self.model, options.ema_decay)
        groups = parameter_groups(self.model, options.weight_decay)
        self.optimizer = torch.optim.AdamW(
            groups, lr=options.learning_rate, fused=self.device.type == "cuda", betas=(0.9, 0.99)
        )
        self.renderer = self._renderer(options.seed, options.bank_count, options.redraw_every_steps)
        self.validation = self._renderer(options.seed + VALIDATION_SEED, min(options.bank_count, 128), 0)
        self.forward: Forward = self._forward
        self.step, self.elapsed_s, self.best = 0, 0.0, -1.0

    def _renderer(self, seed: int, bank_count: int, redraw_every: int) -> MotionRenderer:
        o = self.options
        return MotionRenderer(
            self.device,
            o.size_px,
            seed,
            Path(o.pictures) if o.pictures else None,
            photo_share=o.photo_share,
            bank_count=bank_count,
            redraw_every=redraw_every,
            supersample=o.supersample,
            scene=Scene(object_share=o.object_share, overlay_share=o.overlay_share),
            speeds=(o.min_speed, o.max_speed),
        )

    @property
    def progress(self) -> float:
        """Part of the budget that is used up, 0 to 1."""
        by_step = self.step / self.options.steps if self.options.steps else 0.0
        by_time = self.elapsed_s / (60 * self.options.minutes) if self.options.minutes else 0.0
        return min(max(by_step, by_time), 1.0)

    def _forward(self, frames: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and attention."""
        images = [frame.contiguous(memory_format=torch.channels_last) for frame in frames.unbind(dim=1)]
        logits, info = self.model(*images, past_mask=past)
        return logits, info["attention_weights"]

    def _loss(self, forward: Forward, clips: Clips, past: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits, weights = forward(clips.frames, past)
        loss = F.cross_entropy(logits.float(), clips.labels, label_smoothing=self.options.label_smoothing)
        if self.options.match_weight and clips.windows is not None:
            matched = match_loss(weights, clips.windows, past, self.model.architecture.grid("layer4"))
            loss = loss + self.options.match_weight * matched
        return loss

    @property
    def bf16(self) -> bool:
        """Whether passes run in bfloat16."""
        return self.options.bf16 and self.device.type == "cuda"

    def compile(self, say: Callable[[str], None]) -> None:
        """Compiles the training pass, if this machine can; leaves weights and randomness as they were."""
        clips, past = self.renderer.clips(self.options.batch_size), self._past()
        self.renderer.seek(self.step)
        before = {name: value.clone() for name, value in self.model.state_dict().items()}

        def probe(forward: Forward) -> None:
            self._loss(forward, clips, past).backward()  # type: ignore[no-untyped-call]
            gradients = [p.grad.isfinite().all() for p in self.model.parameters() if p.grad is not None]
            if not torch.stack(gradients).all():
                raise FloatingPointError("compiled gradients are not finite")

        self.forward = compiled_or_eager(self._forward, probe, say)
        self.model.load_state_dict(before)
        self.optimizer.zero_grad(set_to_none=True)

    def advance(self) -> Tensor:
        """One optimiser step.

        Returns:
            The loss, a scalar still on the device.
        """
        o = self.options
        if o.curriculum_share:
            easy = max(0.0, 1 - self.progress / o.curriculum_share)
            self.renderer.speeds = (o.min_speed * (o.max_speed / o.min_speed) ** (0.7 * easy), o.max_speed)
        clips = self.renderer.clips(o.batch_size)
        rate = learning_rate(o.learning_rate, self.step, o.warmup_steps, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(self.forward, clips, self._past())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), o.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.model, self.step)
        self.step += 1
        return loss.detach()

    def _past(self) -> Tensor:
        """Which past frames each sample may see, ``(B, 2)``: the first frames of a stream have fewer."""
        chance = torch.rand(
            (self.options.batch_size, 1),
            generator=seeded(self.device, self.options.seed, 3, self.step),
            device=self.device,
        )
        none, one = self.options.no_past_share, self.options.no_past_share + self.options.one_past_share
        return torch.cat((chance >= one, chance >= none), dim=1)

    def save(self) -> None:
        """Writes ``last.pt``, from which the run can go on."""
        state = {
            "recipe": self.options.recipe(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "best": self.best,
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        unfinished = self.out / "last.pt.tmp"
        torch.save(state, unfinished)
        unfinished.replace(self.out / "last.pt")

    def resume(self) -> None:
        """Goes on from ``last.pt``.

        Raises:
            ValueError: there is none, or it was made with other options.
        """
        path = self.out / "last.pt"
        if not path.is_file():
            raise ValueError(f"nothing to resume: there is no {path}")
        state = torch.load(path, map_location=self.device, weights_only=True)
        recipe = self.options.recipe()
        changed = [
            key for key in recipe if key not in ("minutes", "steps") and recipe[key] != state["recipe"][key]
        ]
        if changed:
            raise ValueError(f"cannot resume {path}: it was made with another {', '.join(changed)}")
        self.step, self.elapsed_s, self.best = state["step"], state["elapsed_s"], state["best"]
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"].cpu())
        self.renderer.seek(self.step)

    def keep_if_best(self) -> float:
        """Validates the averaged weights and keeps them as ``best.safetensors`` if none were better."""
        model = self.average.model
        assert isinstance(model, TemporalKVQResNetCBAM)
        accuracy = validate(model, self.validation, self.options.validate_samples, self.bf16)
        if accuracy >= self.best:
            self.best = accuracy
            facts = {"step": self.step, "validation_accuracy": round(accuracy, 4)}
            save_checkpoint(self.out / "best.safetensors", model, metadata=facts)
        return accuracy
