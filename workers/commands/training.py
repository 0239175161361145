"""``train``, ``evaluate`` and ``export``: from clips to a checkpoint, its scores, and a file of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from workers.commands.shared_options import Checkpoint, Device


def train(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file of training options; keys as in configs/train_motion.toml."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Your clips: a folder with a folder for each class, or a CSV (path,label,split)."
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            help="Weights to start from: a checkpoint (name or file), imagenet, or a torchvision .pth file. "
            "With --data: motion_resnet18 unless another is given.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the result, checkpoints, metrics and curves.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Photos to mix into the training.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option("--held-out", help="Photos never trained on, for the final evaluation.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on after a stop or a crash, from the last checkpoint in --out."),
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One training option; repeatable."),
    ] = None,
) -> None:
    """Train a model: on your own clips with --data, else on camera motions that the program draws.

    On several GPUs: torchrun --nproc-per-node N run_stream.py train ..., with the same options. Ctrl-C saves;
    --resume goes on.
    """
    from pipeline.base.errors import as_user_error
    from pipeline.training.run import fit
    from pipeline.training.training_options import load_options

    texts = {"out": out, "data": data, "init": init, "pictures": pictures, "held_out": held_out}
    given: dict[str, Any] = {key: str(value) for key, value in texts.items() if value is not None}
    with as_user_error():
        fit(load_options(config, overrides or (), given | ({"resume": True} if resume else {})))


def evaluate(
    checkpoint: Checkpoint = "motion_resnet18",
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Photos never trained on; without, rendered ones.")
    ] = None,
    videos: Annotated[
        list[Path] | None, typer.Option("--video", metavar="FILE", help="A real video; repeatable.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Labelled clips: a folder for each class, or a CSV.")
    ] = None,
    flow: Annotated[
        Path | None,
        typer.Option("--flow", metavar="FOLDER", help="Pairs with true flow: Middlebury, KITTI, Sintel."),
    ] = None,
    moving: Annotated[
        Path | None,
        typer.Option("--moving", metavar="FOLDER", help="Sequences with masks: CDnet, DAVIS."),
    ] = None,
    still: Annotated[
        Path | None,
        typer.Option("--still", metavar="FOLDER", help="Pictures; repeated with noise, nothing may move."),
    ] = None,
    camera: Annotated[
        Path | None,
        typer.Option("--camera", metavar="FOLDER", help="A hand-held camera in a still scene: 7-Scenes."),
    ] = None,
    corrupted: Annotated[
        bool, typer.Option("--corrupted", help="Score --flow under noise, low light, JPEG and H.264, too.")
    ] = False,
    all_presets: Annotated[
        bool, typer.Option("--all-presets", help="Score DIS fast and ultrafast beside --flow, too.")
    ] = False,
    still_frames: Annotated[
        int, typer.Option("--still-frames", min=1, help="Frames of each picture of --still.")
    ] = 100,
    all_clips: Annotated[
        bool, typer.Option("--all-clips", help="Take all of --data, not its held-out part.")
    ] = False,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Clips for each speed and control.")] = 512,
    spacing_ms: Annotated[
        float | None, typer.Option("--spacing-ms", min=0.0, help="Time between frames; 0 = consecutive ones.")
    ] = None,
    device: Device = "auto",
    report: Annotated[
        Path | None, typer.Option("--report", "--json", help="Write the metrics as JSON.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw the confusion matrices, such as confusion.png.")
    ] = None,
) -> None:
    """Score a model on what it has never seen, with controls that it must fail.

    On pictures filmed with known motions (the default), on real video, or on labelled clips. Dense motion is
    scored beside OpenCV's DIS, Farneback and MOG2 with --flow, --moving, --still and --camera.
    """
    from rich.console import Console

    from pipeline.base.errors import as_user_error
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
    with as_user_error():
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
    out: Annotated[Path, typer.Option("--out", help="File to write: .onnx, or .xml for OpenVINO.")],
    checkpoint: Checkpoint = "motion_resnet18",
    kind: Annotated[
        str | None, typer.Option("--format", help="onnx or openvino; without, by the suffix of --out.")
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Quantise it (OpenVINO only), and print the loss of accuracy."),
    ] = False,
) -> None:
    """Write one step as a file for other programs: frame and state in, logits, attention and next state out.

    The file is there only once it has computed the same as the model, over 50 steps with resets.
    """
    from pipeline.base.errors import as_user_error
    from pipeline.base.stage_lines import print_stage
    from pipeline.runtime.exported.formats import check_export

    with as_user_error():
        check_export(checkpoint, out, kind, int8=int8)  # before torch is loaded, which takes seconds
        print_stage(f"{out}: loading {checkpoint} ...")

        from pipeline.runtime.exported.export_command import export_step
        from pipeline.training.rendered.film import film_motions

        export_step(checkpoint, out, kind, clips=film_motions if int8 else None)
