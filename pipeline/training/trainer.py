"""The state of a training run, and one training step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.checkpoint import save_checkpoint
from pipeline.model.device import pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.resnet import ResNetCBAM
from pipeline.training.clip_sources import open_scenes, open_sources
from pipeline.training.evaluation.answers import answers, mixed
from pipeline.training.evaluation.metrics import scores
from pipeline.training.initial_weights import build_model, check_init, freeze_batch_norm
from pipeline.training.keep_motion import KeepMotion
from pipeline.training.optimise import (
    average_of,
    compile_features,
    learning_rate,
    parameter_groups,
    update_average,
)
from pipeline.training.parallel import Ranks
from pipeline.training.rendered.correspondence import match_loss
from pipeline.training.rendered.dense_loss import dense_loss
from pipeline.training.rendered.films_ahead import FilmsAhead
from pipeline.training.rendered.pictures import seeded
from pipeline.training.rendered.renderer import MotionRenderer
from pipeline.training.run_files import flat, read_state, write_state
from pipeline.training.samples import Clips, normalised
from pipeline.training.training_options import TrainingOptions, is_checkpoint

Build = Callable[[TrainingOptions, tuple[str, ...]], nn.Module]
"""Builds a model with ``model(*frames, past_mask=) -> (logits, info)`` from options and class names."""

_MAY_CHANGE = {"minutes", "steps", "patience"}


class Trainer:
    """One training run: weights, their average, optimiser, data and progress.

    The random numbers of a step depend only on the seed, the step number and the rank. So a run resumed from
    ``last.pt`` computes the same as an uninterrupted run, and no generator state is saved.

    Attributes:
        options: Options of the run.
        labels: Names of the classes.
        clips: For recorded clips, the keys of the clips in each part of the split; otherwise None.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        model: The network in training.
        average: Its averaged weights (in ``average.module``), which are validated and saved.
        step: Optimiser steps so far.
        elapsed_s: Training time so far.
        best: Validation accuracy of the best weights so far, -1 before the first validation.
        best_step: Step of the best weights, see ``validate``.
        stale: Validations since the last improvement.
        validation_s: Duration of the last validation; 0 before the first one in this process.
        pending: Metrics of the steps since the last log line: loss and training accuracy; with layered
            scenes also the loss, end-point error and mask overlap of dense motion.
    """

    def __init__(
        self,
        options: TrainingOptions,
        *,
        ranks: Ranks | None = None,
        build: Build = build_model,
        notify: Callable[[str], None] = print,
    ) -> None:
        """Opens the data and builds the run from the options; see `TrainingOptions`.

        Raises:
            ValueError: An option does not fit the machine or the files.
        """
        check_init(options)
        self.options = options
        self.ranks = ranks or Ranks(0, 1, pick_device(options.device))
        self.device, self.out = self.ranks.device, Path(options.out)
        if options.batch_size % self.ranks.count:
            raise ValueError(f"batch_size {options.batch_size} is not a multiple of {self.ranks.count} ranks")
        self.share = options.batch_size // self.ranks.count
        automatic = "bf16" if self.device.type == "cuda" else "fp32"
        self.precision = automatic if options.precision == "auto" else options.precision
        sources = open_sources(options, self.ranks, notify)
        self.source, self.validation, self.held_out, self.windows, self.clips = sources
        self.labels = self.source.labels
        torch.manual_seed(options.seed)
        model = build(options, self.labels)
        self.model = model.to(memory_format=torch.channels_last).to(self.device).train()
        if options.freeze_batch_norm:
            freeze_batch_norm(self.model)
        if options.backbone_rate == 0:
            for backbone in self._backbones():
                backbone.requires_grad_(False)
                freeze_batch_norm(backbone)
        self.scenes = open_scenes(options, self.ranks)
        self._keep_motion: KeepMotion | None = None
        if self.scenes is None and isinstance(model, TemporalKVQResNetCBAM) and model.motion is not None:
            model.motion.requires_grad_(False)  # without a loss, weight decay would still shrink it
            if is_checkpoint(options.init) and options.backbone_rate and options.keep_motion_weight:
                self._keep_motion = KeepMotion(model)
        self.average = average_of(self.model)
        groups = parameter_groups(self.model, options.weight_decay, options.backbone_rate)
        self.optimizer = torch.optim.AdamW(
            groups, lr=options.learning_rate, fused=self.device.type == "cuda", betas=(0.9, 0.99)
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.step, self.elapsed_s = 0, 0.0
        self.best, self.best_step, self.stale = -1.0, 0, 0
        self.validation_s = 0.0
        self.pending: list[Tensor] = []
        self._labelled = torch.zeros(2, device=self.device)  # loss and accuracy of the last labelled clips

    def _backbones(self) -> list[ResNetCBAM]:
        return [module for module in self.model.modules() if isinstance(module, ResNetCBAM)]

    @property
    def progress(self) -> float:
        """Used share of the budget, 0 to 1."""
        by_step = self.step / self.options.steps if self.options.steps else 0.0
        by_time = self.elapsed_s / (60 * self.options.minutes) if self.options.minutes else 0.0
        return min(max(by_step, by_time), 1.0)

    @property
    def _clips_every(self) -> int:
        return 1 if self.scenes is None else self.options.clips_every_steps

    @property
    def clip_batches(self) -> int:
        """Batches of labelled clips so far."""
        return -(-self.step // self._clips_every)

    @property
    def clips_seen(self) -> int:
        """Labelled clips and layered scenes so far, over all ranks."""
        return self.clip_batches * self.options.batch_size + self.step * self.options.scene_batch_size

    @property
    def stopped_early(self) -> bool:
        """Whether the validation accuracy has not improved for ``patience`` validations."""
        return 0 < self.options.patience <= self.stale

    def start(self, notify: Callable[[str], None]) -> None:
        """Compiles if enabled and possible, then synchronises the ranks."""
        if isinstance(self.scenes, FilmsAhead):
            self.scenes.start()
        if self.options.compile and self.device.type == "cuda":
            self.compile(notify)
        self.ranks.start_alike(self.model)

    def compile(self, notify: Callable[[str], None]) -> None:
        """Compiles the backbone, if this machine can; weights and random numbers are unaffected."""
        if self.options.gradient_checkpointing or not self._backbones():
            notify("not compiled: gradient checkpointing or custom networks are not supported")
            return
        self.source.seek(0)
        clips = self.source.clips(self.share)
        self.source.seek(self.clip_batches)
        before = {name: value.clone() for name, value in self.model.state_dict().items()}

        def probe() -> None:
            loss, _ = self._loss(self.model, clips, self._past(clips))
            loss.backward()  # type: ignore[no-untyped-call]
            gradients = [p.grad.isfinite().all() for p in self.model.parameters() if p.grad is not None]
            if not torch.stack(gradients).all():
                raise FloatingPointError("compiled gradients are not finite")

        notify(f"compiling for {self.device} ...")
        compile_features(self._backbones(), probe, notify)
        self.model.load_state_dict(before)
        self.optimizer.zero_grad(set_to_none=True)

    def _loss(self, network: nn.Module, clips: Clips, past: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and the accuracy."""
        frames = normalised(clips.frames, self.model)
        images = [frame.contiguous(memory_format=torch.channels_last) for frame in frames.unbind(dim=1)]
        with mixed(self.device, self.precision):
            logits, info = network(*images, past_mask=past)
        loss = F.cross_entropy(logits.float(), clips.labels, label_smoothing=self.options.label_smoothing)
        if self.options.match_weight and clips.windows is not None and "attention_weights" in info:
            shape = self.model.architecture
            grids = [shape.grid(scale, images[0].shape[-2:]) for scale in ("layer4", *shape.scales)]  # type: ignore
            matched = match_loss(info["attention_weights"], clips.windows, past, grids[0], grids[1:])
            loss = loss + self.options.match_weight * matched
        if self._keep_motion is not None:
            with mixed(self.device, self.precision):
                kept = self._keep_motion.loss(self.model, frames, past)  # type: ignore[arg-type]
            loss = loss + self.options.keep_motion_weight * kept
        return loss, (logits.argmax(dim=1) == clips.labels).float().mean()

    def advance(self) -> Tensor:
        """One optimiser step.

        Returns:
            The loss of this rank's share of labelled clips, a scalar on the device; in a step without
            labelled clips, the loss of the last ones.
        """
        o = self.options
        if o.curriculum_share and isinstance(self.source, MotionRenderer):
            easy = max(0.0, 1 - self.progress / o.curriculum_share)
            self.source.speeds = (o.min_speed * (o.max_speed / o.min_speed) ** (0.7 * easy), o.max_speed)
        torch.manual_seed((o.seed * 1_000_003 + self.step) * self.ranks.count + self.ranks.rank)
        rate = learning_rate(o.learning_rate, self.step, o.warmup_steps, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        if self.step % self._clips_every == 0:
            clips = self.source.clips(self.share)
            loss, right = self._loss(self.model, clips, self._past(clips))
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self._labelled = torch.stack((loss.detach(), right))
        dense = self._learn_scenes()
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.ranks.average_gradients(parameters)
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, o.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        update_average(self.average, self.model, o.ema_decay, self.step)
        self.step += 1
        self.pending.append(torch.cat((self._labelled, *(part[None] for part in dense))))
        return self._labelled[0]

    def _learn_scenes(self) -> tuple[Tensor, ...]:
        """Adds the gradient of a batch of layered scenes; returns loss, end-point error and mask overlap."""
        if self.scenes is None:
            return ()
        clips = self.scenes.clips(self.options.scene_batch_size // self.ranks.count)
        past = self._some_past(len(clips.frames), 6)
        with mixed(self.device, self.precision):
            motion, trace = self.model.motion_trace(normalised(clips.frames, self.model), past)  # type: ignore[operator]
        dense = dense_loss(motion, trace, clips.truth, past)
        self.scaler.scale(dense.total).backward()  # type: ignore[no-untyped-call]
        return tuple(part.detach() for part in dense)

    def _past(self, clips: Clips) -> Tensor:
        """Random mask of visible past frames, ``(B, T)``, because the first frames of a stream have fewer."""
        past = self._some_past(len(clips.labels), 3)
        return past if clips.present is None else past & clips.present

    def _some_past(self, n: int, purpose: int) -> Tensor:
        o, slots = self.options, self.options.model.num_past
        number = self.step * self.ranks.count + self.ranks.rank
        generator = seeded(self.device, o.seed, purpose, number)
        chance = torch.rand((n, 1), generator=generator, device=self.device)
        some = ((chance - o.no_past_share) / max(o.one_past_share, 1e-9) * (slots - 1)).floor() + 1
        depth = torch.where(
            chance < o.no_past_share + o.one_past_share, some.clamp_max(max(slots - 1, 1)), slots
        )
        depth = torch.where(chance < o.no_past_share, 0, depth)
        return depth >= torch.arange(slots, 0, -1, device=self.device)

    def validate(self) -> tuple[float, float]:
        """Scores the averaged weights on validation clips; saves the best as ``best.safetensors``.

        The best weights have the highest accuracy; of equal ones, the latest are kept. With layered scenes,
        the newest weights count as the best, because the accuracy does not measure dense motion.

        Returns:
            Accuracy and macro-F1.
        """
        found = {"accuracy": 0.0, "macro_f1": 0.0}
        if self.ranks.leads:
            logits, labels = answers(self.average.module, self.validation(), self.precision)
            found = scores(labels, logits.argmax(dim=1), len(self.labels))
        accuracy, macro_f1 = self.ranks.agree(found["accuracy"], found["macro_f1"])
        better = accuracy >= self.best or self.scenes is not None
        self.stale = 0 if accuracy > self.best else self.stale + 1
        if better:
            self.best, self.best_step = accuracy, self.step
            model = self.average.module
            if self.ranks.leads and isinstance(model, TemporalKVQResNetCBAM):
                validation = {"accuracy": accuracy, "macro_f1": macro_f1}
                save_checkpoint(
                    self.out / "best.safetensors",
                    model,
                    metadata={"step": self.step, "validation": validation},
                )
        return accuracy, macro_f1

    def save(self) -> None:
        """Writes ``last.pt``, from which the run can be resumed.

        Raises:
            FloatingPointError: A weight is not finite; the file is left unchanged.
        """
        if not torch.stack([weights.isfinite().all() for weights in self.model.parameters()]).all():
            raise FloatingPointError(f"weights are not finite at step {self.step}: lower learning_rate")
        state: dict[str, Any] = {
            "recipe": self.options.recipe(),
            "labels": self.labels,
            "windows": self.windows,
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "best": self.best,
            "best_step": self.best_step,
            "stale": self.stale,
            "labelled": self._labelled,
            "pending": torch.stack(self.pending) if self.pending else None,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        if self.ranks.leads:
            write_state(self.out / "last.pt", state)

    def resume(self) -> None:
        """Resumes from ``last.pt``.

        Raises:
            ValueError: It is missing or damaged, or was written with other options, classes or clips.
        """
        path = self.out / "last.pt"
        state = read_state(path, self.device)
        recipe, before = flat(self.options.recipe()), flat(state.get("recipe", {}))
        changed = [key for key in recipe if key not in _MAY_CHANGE and recipe[key] != before.get(key)]
        if changed:
            raise ValueError(f"cannot resume {path}: it was written with different {', '.join(changed)}")
        if tuple(state["labels"]) != self.labels:
            raise ValueError(
                f"cannot resume {path}: its classes are {', '.join(state['labels'])}, "
                f"but the data has {', '.join(self.labels)}"
            )
        if state.get("windows") != self.windows:
            raise ValueError(
                f"cannot resume {path}: clips were added or removed since, so some validation clips may "
                "have been trained on: start a new run"
            )
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]
        self.best, self.best_step, self.stale = state["best"], state["best_step"], state["stale"]
        self.pending = [] if state["pending"] is None else list(state["pending"].unbind())
        self._labelled = state["labelled"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.source.seek(self.clip_batches)
        if self.scenes is not None:
            self.scenes.seek(self.step)
