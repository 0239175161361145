"""The evaluation as a plain function, for run_stream.py and for machines without its libraries.

With torch, OpenCV, rich and safetensors only: ``python -m pipeline.training.evaluation.evaluate_command``.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.device import pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.confusion_plot import draw_confusions, need_matplotlib
from pipeline.training.evaluation.evaluate import evaluate, score_recorded
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.real_video import evaluate_video
from pipeline.training.evaluation.tables import confusions, render_evaluation
from pipeline.training.rendered.renderer import LABELS

_SPACING_MS, _VALIDATION_SHARE = 100.0, 0.25


def evaluate_command(
    checkpoint: str | Path,
    *,
    pictures: Path | None = None,
    videos: Sequence[Path] = (),
    data: Path | None = None,
    all_clips: bool = False,
    samples: int = 512,
    spacing_ms: float | None = None,
    device: str = "auto",
    report: Path | None = None,
    picture: Path | None = None,
    say: Callable[[str], None] = print,
) -> Report:
    """Evaluates a checkpoint; without pictures, videos and data on drawn pictures.

    Args:
        checkpoint: a file, or the name of a shipped checkpoint.
        pictures: folder of photos never trained on.
        videos: video files, see `evaluate_video`.
        data: labelled clips: a folder with a folder for each class, or a CSV file.
        all_clips: take all of ``data``, not only the clips that the training held out; of a checkpoint that
            does not know them, those that training on ``data`` would have held out.
        samples: clips for each speed and control of pictures and of the virtual camera, and most windows
            of each class of a video.
        spacing_ms: time between frames; None takes the training's own, or 100.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        report: file for the figures as JSON.
        picture: file for the confusion matrices as a picture.
        say: takes lines for people on how it goes.

    Returns:
        ``checkpoint``, ``labels``, and of the sections ``pictures``, ``videos``, ``data`` those asked for.

    Raises:
        ValueError: a mistake in the arguments or the files, in one line.
        OSError: a result can't be written.
    """
    if samples < 1:
        raise ValueError(f"--samples must be at least 1, not {samples}")
    for path in (report, picture):
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"{path}: there is no folder {path.parent}; make it first")
        if path is not None and path.is_dir():
            raise ValueError(f"{path}: is a folder; give the name of a file")
    if picture is not None:
        need_matplotlib(picture)
    model = load_checkpoint(checkpoint).to(pick_device(device)).eval()
    spacing = _usual_spacing_ms(model) if spacing_ms is None else spacing_ms
    figures: Report = {"checkpoint": str(checkpoint), "labels": list(model.labels)}
    if pictures is not None or not (videos or data):
        say("asking about rendered clips ...")
        figures["pictures"] = evaluate(
            model,
            pictures,
            samples=samples,
            size_px=model.preprocessing.size,
            bank_count=min(max(samples, 32), 256),
        )
    if videos:
        figures["videos"] = []
        for path in videos:
            say(f"asking about {path.name} ...")
            figures["videos"].append(evaluate_video(model, path, spacing_ms=spacing, samples=samples))
    if data is not None:
        figures["data"] = _recorded(model, data, all_clips, spacing, say)
    if report is not None:
        report.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    matrices = confusions(figures)
    if picture is not None and matrices:
        draw_confusions(matrices, model.labels, picture)
    return figures


def _usual_spacing_ms(model: TemporalKVQResNetCBAM) -> float:
    """That of the training, if it was on recorded clips."""
    rendered = set(model.labels) == set(LABELS)
    return _SPACING_MS if rendered else model.metadata.get("recipe", {}).get("spacing_ms", _SPACING_MS)


def _recorded(
    model: TemporalKVQResNetCBAM, data: Path, all_clips: bool, spacing_ms: float, say: Callable[[str], None]
) -> Report:
    from pipeline.training.recorded.clip_index import ClipEntry, held_out_part, split_clips
    from pipeline.training.recorded.recorded_clips import open_chosen

    def choose(entries: Sequence[ClipEntry]) -> Sequence[ClipEntry]:
        if all_clips:
            return entries
        if known := model.metadata.get("clips"):
            return held_out_part(entries, data, known, say)
        recipe = model.metadata.get("recipe", {})
        share = recipe.get("validation_share", _VALIDATION_SHARE)
        sides = split_clips(entries, share, recipe.get("seed", 0))
        return [entry for entry, side in zip(entries, sides, strict=True) if side == "val"]

    source = open_chosen(
        data,
        choose,
        num_past=model.num_past,
        size_px=model.preprocessing.size,
        spacing_ms=spacing_ms,
        device=next(model.parameters()).device,
        labels=model.labels,
        say=say,
    )
    return score_recorded(model, source.evaluate_batches(32))


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m pipeline.training.evaluation.evaluate_command``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.evaluation.evaluate_command")
    parser.add_argument("--checkpoint", default="motion_resnet18", help="a file, or a shipped one's name")
    parser.add_argument("--pictures", type=Path, help="folder of photos never trained on")
    parser.add_argument("--video", type=Path, action="append", default=[], dest="videos", help="repeatable")
    parser.add_argument("--data", type=Path, help="folder with a folder of clips for each class, or a CSV")
    parser.add_argument("--all-clips", action="store_true", help="take all of --data, not its held-out part")
    parser.add_argument("--samples", type=int, default=512, help="clips for each speed and control")
    parser.add_argument("--spacing-ms", type=float, help="time between frames; 0 = consecutive ones")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument("--picture", type=Path, help="file for the confusion matrices, such as confusion.png")
    given = vars(parser.parse_args(arguments))
    try:
        Console().print(render_evaluation(evaluate_command(**given)))
    except (ValueError, OSError) as error:
        print(f"evaluation: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
