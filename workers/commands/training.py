"""The commands ``train``, ``evaluate`` and ``export``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from workers.commands.shared_options import CONFIGURATION, OUTPUT, Checkpoint, Device

CLIPS, DENSE = "Clips and weights", "Dense motion"
"""Titles of groups of options in the help."""


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Your clips: a folder with one subfolder per class, or a CSV file (path,label,split).",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="NAME",
            help="Initial weights: a checkpoint (name or file), imagenet, or a torchvision .pth file. "
            "Default with --data: motion_resnet18; without: random weights.",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Folder for the model, checkpoints, metrics and curves.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures",
            metavar="FOLDER",
            help="Photos to mix into rendered training clips.",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out",
            metavar="FOLDER",
            help="Other photos, for the final evaluation only.",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue from the last checkpoint in --out.",
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="TOML file with options that override configs/train_motion.toml.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set one training option, such as batch_size=128; repeatable.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = None,
) -> None:
    """Train a model on your own clips (--data), or on rendered camera motions.

    On several GPUs, start it with torchrun --nproc-per-node N run_stream.py train ... and the same options.
    Ctrl-C saves a checkpoint; --resume continues from it.
    """
    from pipeline.base.errors import as_user_error
    from pipeline.model.shipped import checkpoint_named_by
    from pipeline.training.run import fit
    from pipeline.training.training_options import load_options

    texts = {"out": out, "data": data, "init": init, "pictures": pictures, "held_out": held_out}
    given: dict[str, Any] = {key: str(value) for key, value in texts.items() if value is not None}
    with as_user_error():
        with checkpoint_named_by("--init"):
            options = load_options(config, overrides or (), given | ({"resume": True} if resume else {}))
        fit(options)


def evaluate(
    checkpoint: Checkpoint = "motion_resnet18",
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures",
            metavar="FOLDER",
            help="Photos not used in training. Default: rendered images.",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    videos: Annotated[
        list[Path] | None,
        typer.Option(
            "--video", metavar="FILE", help="Score on a real video; repeatable.", rich_help_panel=CLIPS
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Score on labelled clips: a folder with one subfolder per class, or a CSV file.",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    flow: Annotated[
        Path | None,
        typer.Option(
            "--flow",
            metavar="FOLDER",
            help="Score flow on image pairs with ground truth: Middlebury, KITTI or Sintel.",
            rich_help_panel=DENSE,
        ),
    ] = None,
    moving: Annotated[
        Path | None,
        typer.Option(
            "--moving",
            metavar="FOLDER",
            help="Score masks of moving objects on sequences with ground truth: CDnet or DAVIS.",
            rich_help_panel=DENSE,
        ),
    ] = None,
    still: Annotated[
        Path | None,
        typer.Option(
            "--still",
            metavar="FOLDER",
            help="Score false motion on still images repeated with noise.",
            rich_help_panel=DENSE,
        ),
    ] = None,
    camera: Annotated[
        Path | None,
        typer.Option(
            "--camera",
            metavar="FOLDER",
            help="Score camera motion on a hand-held camera in a still scene: 7-Scenes.",
            rich_help_panel=DENSE,
        ),
    ] = None,
    corrupted: Annotated[
        bool,
        typer.Option(
            "--corrupted",
            help="Repeat --flow under noise, low light, JPEG and H.264.",
            rich_help_panel=DENSE,
        ),
    ] = False,
    all_presets: Annotated[
        bool,
        typer.Option(
            "--all-presets",
            help="Also compare --flow with the fast and ultrafast presets of DIS.",
            rich_help_panel=DENSE,
        ),
    ] = False,
    still_frames: Annotated[
        int,
        typer.Option(
            "--still-frames",
            metavar="N",
            min=1,
            help="Frames generated from each image of --still.",
            rich_help_panel=DENSE,
        ),
    ] = 100,
    all_clips: Annotated[
        bool,
        typer.Option(
            "--all-clips", help="Use all of --data, not only its held-out part.", rich_help_panel=CLIPS
        ),
    ] = False,
    samples: Annotated[
        int,
        typer.Option(
            "--samples",
            metavar="N",
            min=1,
            help="Rendered clips for each speed and control.",
            rich_help_panel=CLIPS,
        ),
    ] = 512,
    spacing_ms: Annotated[
        float | None,
        typer.Option(
            "--spacing-ms",
            metavar="MS",
            min=0.0,
            help="Time between frames in ms; 0 = consecutive frames. Default: as in training.",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    device: Device = "auto",
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", "--json", metavar="FILE", help="Write the metrics as JSON.", rich_help_panel=OUTPUT
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Draw the confusion matrices to an image such as confusion.png.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Score a model on data that it was not trained on.

    By default on images with rendered camera motions; otherwise on real video (--video) or labelled clips
    (--data). Controls, such as shuffled frames, show whether the model relies on motion. --flow, --moving,
    --still and --camera score dense motion, with OpenCV's DIS, Farneback and MOG2 as baselines.
    """
    from rich.console import Console

    from pipeline.base.errors import as_user_error
    from pipeline.model.shipped import checkpoint_named_by
    from pipeline.training.evaluation.evaluate import evaluate as score
    from pipeline.training.evaluation.score_dense import DenseData
    from pipeline.training.evaluation.tables import render_evaluation

    dense = DenseData(
        flow=flow,
        moving=moving,
        still=still,
        camera=camera,
        corrupted=corrupted,
        all_presets=all_presets,
        still_frames=still_frames,
    )
    with as_user_error(), checkpoint_named_by("--checkpoint"):
        metrics = score(
            checkpoint,
            pictures=pictures,
            videos=videos or (),
            data=data,
            dense=dense if dense.given else None,
            all_clips=all_clips,
            samples=samples,
            spacing_ms=spacing_ms,
            device=device,
            report=report,
            picture=picture,
        )
    Console().print(render_evaluation(metrics))


def export(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="File to write: .onnx, or .xml for OpenVINO.")
    ],
    checkpoint: Checkpoint = "motion_resnet18",
    kind: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORMAT", help="onnx or openvino. Default: from the suffix of --out."
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Quantise to int8 (OpenVINO only) and print the accuracy loss."),
    ] = False,
) -> None:
    """Export the model's step as an ONNX or OpenVINO file.

    Inputs are a frame and the state; outputs are logits, attention and the next state. The file is written
    only after it has matched the model over 50 steps with resets.
    """
    from pipeline.base.errors import as_user_error
    from pipeline.base.stage_lines import print_stage
    from pipeline.model.shipped import checkpoint_named_by
    from pipeline.runtime.exported.formats import check_export

    with as_user_error(), checkpoint_named_by("--checkpoint"):
        check_export(checkpoint, out, kind, int8=int8)  # checked first, because importing torch takes seconds
        print_stage(f"{out}: loading {checkpoint} ...")

        from pipeline.runtime.exported.export_command import export_step
        from pipeline.training.rendered.film import film_motions

        export_step(checkpoint, out, kind, clips=film_motions if int8 else None)
