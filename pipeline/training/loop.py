"""The training loop: steps, metrics, validations and checkpoints until the budget is used up."""

import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread
from types import FrameType

import torch

from pipeline.base.packages import MissingPackageError
from pipeline.training.curves import draw_curves
from pipeline.training.progress import Reporter
from pipeline.training.trainer import Trainer

_DENSE = ("dense_loss", "epe_px", "mask_iou")


def train(run: Trainer, reporter: Reporter) -> None:
    """Trains until the budget is used up or the validation accuracy stops improving.

    The first Ctrl-C finishes the current step, saves and raises; the second ends the process at once.
    SIGTERM does the same, except under torchrun, which sends it to the remaining ranks if one fails.

    Raises:
        KeyboardInterrupt: On Ctrl-C, after the run was saved.
        SystemExit: Likewise on SIGTERM.
        FloatingPointError: The loss is not finite.
    """
    with (
        _stop_signals(alone=run.ranks.count == 1) as stop,
        reporter.training_lines(run.progress),
        torch.backends.cudnn.flags(enabled=True, benchmark=True),
    ):
        _train(run, reporter, stop)
    if run.stopped_early:
        reporter.notify(f"no improvement in {run.stale} validations in a row: stopped at step {run.step}")


def _train(run: Trainer, reporter: Reporter, stop: list[int]) -> None:
    options = run.options
    seconds, mark_s, mark_clips = run.elapsed_s, time.perf_counter(), run.clips_seen
    while run.progress < 1.0 and not run.stopped_early:
        newest = run.advance()
        averages = _mean_of_pending(run) if run.step % options.log_every_steps == 0 else None
        run.elapsed_s = seconds + time.perf_counter() - mark_s
        run.elapsed_s, stopped = run.ranks.agree(run.elapsed_s, float(len(stop)))
        reporter.advance(run.progress, step=run.step, loss=newest)
        if averages is not None:
            loss, accuracy, *dense = averages
            rate = (run.clips_seen - mark_clips) / (run.elapsed_s - seconds)
            reporter.training(
                step=run.step,
                loss=round(loss, 4),
                accuracy=round(accuracy, 4),
                **{name: round(value, 4) for name, value in zip(_DENSE, dense, strict=False)},
                learning_rate=run.optimizer.param_groups[0]["lr"],
                clips_per_s=round(rate, 1),
                elapsed_s=round(run.elapsed_s, 2),
            )
        validates = run.step % options.validate_every_steps == 0 or run.progress >= 1.0
        if validates:
            validation_s = time.perf_counter()
            with reporter.validating():
                accuracy, macro_f1 = run.validate()
            run.validation_s = time.perf_counter() - validation_s
            reporter.validation(run.best, step=run.step, accuracy=accuracy, macro_f1=macro_f1)
            reporter.notify(
                f"step {run.step}: validation accuracy {accuracy:.4f}, best {run.best:.4f} at {run.best_step}"
            )
        if validates or run.step % options.save_every_steps == 0:
            run.save()
            goes_on = run.progress < 1.0 and not run.stopped_early  # at the end, the caller plots
            if validates and goes_on and run.ranks.leads:
                with suppress(MissingPackageError):  # reported at the start
                    draw_curves(run.out / "metrics.jsonl", run.out / "curves.png")
            seconds, mark_s, mark_clips = run.elapsed_s, time.perf_counter(), run.clips_seen
        if stopped:  # after a validation that is due, because the resumed run would skip it
            _leave(run, reporter, stop)


def _leave(run: Trainer, reporter: Reporter, stop: list[int]) -> None:
    again = " (press Ctrl-C again to quit at once)" if run.ranks.count == 1 else ""
    reporter.notify(f"stopping at step {run.step}: saving{again} ...")
    run.save()
    run.ranks.agree(0.0)  # a rank that exits early would end rank 0 while it writes the file
    reporter.notify(f"saved {run.out / 'last.pt'}: continue with the same command and --resume")
    if signal.SIGTERM in stop:
        sys.exit(128 + signal.SIGTERM)
    raise KeyboardInterrupt


@contextmanager
def _stop_signals(*, alone: bool) -> Iterator[list[int]]:
    """Collects the first Ctrl-C or SIGTERM in the yielded list; the second one ends the process.

    Args:
        alone: False under torchrun, which forwards each Ctrl-C to ranks that the terminal already sent it to.
    """
    stop: list[int] = []
    if current_thread() is not main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stop.append(number)
        if alone:
            signal.signal(number, signal.SIG_DFL)

    numbers = (signal.SIGINT, signal.SIGTERM) if alone else (signal.SIGINT,)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _mean_of_pending(run: Trainer) -> list[float]:
    """Mean loss and accuracy since the last call, over all ranks; with scenes also ``_DENSE``.

    Raises:
        FloatingPointError: The loss is not finite.
    """
    metrics = torch.stack(run.pending)
    run.pending.clear()
    if run.precision == "fp16":  # exclude steps that overflowed, which the scaler skipped
        metrics = metrics[metrics.isfinite().all(dim=1)]
    means = run.ranks.mean(*metrics.mean(dim=0).tolist())
    if not math.isfinite(sum(means)):
        raise FloatingPointError(f"the loss is {means[0]} at step {run.step}: lower learning_rate")
    return means
