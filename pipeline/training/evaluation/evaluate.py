"""Scores a checkpoint on unseen data: the function behind ``run_stream.py evaluate``."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.base.files import write_whole
from pipeline.base.stage_lines import print_stage
from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.device import pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.confusion_plot import draw_confusions, need_matplotlib
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.network_motion import open_network_motion
from pipeline.training.evaluation.score_clips import score_clips
from pipeline.training.evaluation.score_dense import DenseData, score_dense
from pipeline.training.evaluation.score_motions import score_motions
from pipeline.training.evaluation.tables import confusions
from pipeline.training.progress import bars

_SPACING_MS, _VALIDATION_SHARE = 100.0, 0.25


def evaluate(
    checkpoint: str | Path,
    *,
    pictures: Path | None = None,
    videos: Sequence[Path] = (),
    data: Path | None = None,
    dense: DenseData | None = None,
    all_clips: bool = False,
    samples: int = 512,
    spacing_ms: float | None = None,
    device: str = "auto",
    report: Path | None = None,
    picture: Path | None = None,
    notify: Callable[[str], None] = print_stage,
) -> Report:
    """Evaluates a checkpoint; by default on clips rendered from procedural images.

    Args:
        checkpoint: A file, or the name of a shipped checkpoint.
        pictures: Folder of photos never trained on.
        videos: Video files, see `score_video`.
        data: Labelled clips: a folder with one subfolder per class, or a CSV file.
        dense: Data sets with ground truth for dense motion.
        all_clips: Score all of ``data`` instead of only the clips held out in training. If the
            checkpoint does not list them, the clips that training on ``data`` would hold out are used.
        samples: Rendered clips for each speed and each control. For a video: clips of the virtual camera for
            each speed, and maximum number of unmodified windows of each class.
        spacing_ms: Time between frames; None uses the checkpoint's training spacing, or 100.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        report: JSON file for the metrics.
        picture: Image file for the confusion matrices.
        notify: Receives progress messages.

    Returns:
        ``checkpoint``, ``labels``, and the requested sections among ``pictures``, ``videos``, ``data`` and
        those of `score_dense`.

    Raises:
        ValueError: An argument or file is invalid; the message is one line.
        OSError: A result can't be written.
    """
    for path in (report, picture):
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"{path}: there is no folder {path.parent}; create it first")
        if path is not None and path.is_dir():
            raise ValueError(f"{path}: is a folder; give a file name")
    if picture is not None:
        need_matplotlib(picture)
    model = load_checkpoint(checkpoint).to(pick_device(device)).eval()
    spacing = _usual_spacing_ms(model) if spacing_ms is None else spacing_ms
    metrics: Report = {"checkpoint": str(checkpoint), "labels": list(model.labels)}
    terminal = Console(stderr=True)
    with bars(terminal, disable=not terminal.is_terminal) as progress:
        if pictures is not None or not (videos or data or dense):
            notify("scoring rendered clips ...")
            metrics["pictures"] = score_motions(
                model,
                pictures,
                samples=samples,
                size_px=model.preprocessing.size,
                bank_count=min(max(samples, 32), 256),
                progress=progress,
            )
        if videos:
            from pipeline.training.evaluation.score_video import score_video  # needs PyAV

            metrics["videos"] = []
            for path in videos:
                notify(f"scoring {path.name} ...")
                scored = score_video(model, path, spacing_ms=spacing, samples=samples, progress=progress)
                metrics["videos"].append(scored)
        if data is not None:
            metrics["data"] = _recorded(model, data, all_clips, spacing, notify, progress)
        if dense is not None:
            metrics |= score_dense(open_network_motion(model), dense, notify, progress)
    if report is not None:
        write_whole(report, json.dumps(metrics, indent=2) + "\n")
    matrices = confusions(metrics)
    if picture is not None and matrices:
        draw_confusions(matrices, model.labels, picture)
    return metrics


def _usual_spacing_ms(model: TemporalKVQResNetCBAM) -> float:
    """The spacing used in training on recorded clips, else the default."""
    rendered = set(model.labels) == set(CAMERA_MOTIONS)
    return _SPACING_MS if rendered else model.metadata.get("recipe", {}).get("spacing_ms", _SPACING_MS)


def _recorded(
    model: TemporalKVQResNetCBAM,
    data: Path,
    all_clips: bool,
    spacing_ms: float,
    notify: Callable[[str], None],
    progress: Progress,
) -> Report:
    from pipeline.training.recorded.open_clips import open_chosen
    from pipeline.training.recorded.split import never_trained_on

    recipe = model.metadata.get("recipe", {})
    source = open_chosen(
        data,
        lambda entries: (
            entries
            if all_clips
            else never_trained_on(
                entries,
                data,
                model.metadata.get("clips"),
                share=recipe.get("validation_share", _VALIDATION_SHARE),
                seed=recipe.get("seed", 0),
                notify=notify,
            )
        ),
        num_past=model.num_past,
        size_px=model.preprocessing.size,
        spacing_ms=spacing_ms,
        device=next(model.parameters()).device,
        labels=model.labels,
        notify=notify,
    )
    return score_clips(model, source.evaluate_batches(32), progress)
