"""KVQ Stream: a real-time camera pipeline that understands motion.

Without arguments: plays the built-in demo tour through all workers and ends with a summary.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # each command imports what it needs: a worker process must not pay for the others
    from pipeline.base.config import Config
    from pipeline.base.roles import Role

_EXIT_SIGTERM = 128 + signal.SIGTERM

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)
keys_app = typer.Typer(no_args_is_help=True, help="Keys for links between machines (CURVE).")
bench_app = typer.Typer(no_args_is_help=True, help="Measurements, each against its floor and a peer.")
app.add_typer(keys_app, name="keys")
app.add_typer(bench_app, name="bench")


def _not_negative(option: typer.CallbackParam, value: float | None) -> float | None:
    """Refuses a number below 0 in one line that names the option as it was typed."""
    from pipeline.base.errors import UserError

    if value is not None and not 0 <= value < float("inf"):
        raise UserError(f"{option.opts[0]} {value}: must be at least 0")
    return value


ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file; keys as in configs/default.toml.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One configuration key; repeatable.")
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Allow endpoints beyond this machine without keys.")
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source", help="0 (webcam), rtsp://..., a video file, a folder of images, demo; repeatable."
    ),
]
ReportFile = Annotated[Path | None, typer.Option("--report", help="Write the figures of the run as JSON.")]
Predictions = Annotated[
    Path | None, typer.Option("--predictions", help="Write predictions as JSON lines, one object each.")
]
Frames = Annotated[
    int | None,
    typer.Option("--frames", callback=_not_negative, help="Stop each stream after this many frames."),
]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", callback=_not_negative, help="Stop after this many seconds; 0 = no limit."),
]
MaxAge = Annotated[
    str | None,
    typer.Option(
        "--max-age",
        metavar="TIME",
        help="Keep predictions of live streams younger than this, as 150ms or 2s, by sending less.",
    ),
]
Pace = Annotated[bool, typer.Option("--pace", help="Play files at their own rate.")]
Window = Annotated[bool, typer.Option("--window", help="Show the overlay on the desktop.")]
NoWeb = Annotated[bool, typer.Option("--no-web", help="Serve no web page.")]
Headless = Annotated[bool, typer.Option("--headless", help="No window, and lines instead of a live table.")]


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    config: ConfigFile = None,
    overrides: Overrides = None,
    source: Sources = None,
    frames: Frames = None,
    seconds: Seconds = None,
    report: ReportFile = None,
    predictions: Predictions = None,
    pace: Pace = False,
    max_age: MaxAge = None,
    window: Window = False,
    no_web: NoWeb = False,
    headless: Headless = False,
    insecure: Insecure = False,
) -> None:
    """Run the whole pipeline on this machine."""
    if context.invoked_subcommand is not None:
        return
    from workers.main import run_pipeline

    more = list(overrides or ())
    more += [f"run.frames={frames}"] if frames is not None else []
    more += [f"run.seconds={seconds}"] if seconds is not None else []
    more += _freshness(max_age)
    more += _shown(window, no_web, headless)
    loaded = _load(config, more, source, pace, predictions, insecure)
    raise typer.Exit(run_pipeline(loaded, report))


@app.command()
def capture(
    config: ConfigFile = None,
    overrides: Overrides = None,
    source: Sources = None,
    pace: Pace = False,
    max_age: MaxAge = None,
    frames: Frames = None,
    insecure: Insecure = False,
) -> None:
    """Run one capture worker: read sources and publish their frames."""
    more = [*(overrides or ()), *([f"run.frames={frames}"] if frames is not None else [])]
    more += _freshness(max_age)
    _run_worker("capture", _load(config, more, source, pace, None, insecure))


@app.command()
def inference(config: ConfigFile = None, overrides: Overrides = None, insecure: Insecure = False) -> None:
    """Run one inference worker: take frames, send predictions."""
    _run_worker("inference", _load(config, overrides or (), None, False, None, insecure))


@app.command()
def sink(
    config: ConfigFile = None,
    overrides: Overrides = None,
    predictions: Predictions = None,
    window: Window = False,
    no_web: NoWeb = False,
    headless: Headless = False,
    insecure: Insecure = False,
) -> None:
    """Run one sink worker: join frames and predictions, show and record them."""
    more = [*(overrides or ()), *_shown(window, no_web, headless)]
    _run_worker("sink", _load(config, more, None, False, predictions, insecure))


@app.command()
def monitor(
    config: ConfigFile = None,
    overrides: Overrides = None,
    seconds: Seconds = None,
    report: ReportFile = None,
    headless: Headless = False,
    insecure: Insecure = False,
) -> None:
    """Show the figures of a running pipeline, here or on other machines."""
    from workers.main import run_monitor

    more = [*(overrides or ()), *_shown(False, False, headless)]
    raise typer.Exit(run_monitor(_load(config, more, None, False, None, insecure), seconds or 0.0, report))


@app.command()
def train(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="TOML file of training options; without --data and --config the nine motions."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Your clips: a folder with a folder for each class, or a CSV (path,label)."
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            help="Weights to start from: a checkpoint (name or file), imagenet, or a torchvision .pth file. "
            "With --data: motion_resnet18 unless you say otherwise.",
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

    On several GPUs: torchrun --nproc-per-node N -m pipeline.training.run, with the same options.
    """
    from importlib.resources import as_file, files

    from pipeline.training import train_command as cli

    with _mistakes(), as_file(files("configs") / "train_motion.toml") as motions:
        cli.train(
            config or (None if data else motions),
            overrides or (),
            out=out,
            data=data,
            init=init,
            pictures=pictures,
            held_out=held_out,
            resume=resume,
        )


@app.command()
def evaluate(
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="Name of a shipped checkpoint, or a .safetensors file.")
    ] = "motion_resnet18",
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Photos never trained on; without, rendered ones.")
    ] = None,
    videos: Annotated[
        list[Path] | None, typer.Option("--video", metavar="FILE", help="A real video; repeatable.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Labelled clips: a folder for each class, or a CSV.")
    ] = None,
    all_clips: Annotated[
        bool, typer.Option("--all-clips", help="Take all of --data, not its held-out part.")
    ] = False,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Clips for each speed and control.")] = 512,
    spacing_ms: Annotated[
        float | None, typer.Option("--spacing-ms", min=0.0, help="Time between frames; 0 = consecutive ones.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    report: Annotated[Path | None, typer.Option("--report", help="Write the figures as JSON.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw the confusion matrices, such as confusion.png.")
    ] = None,
) -> None:
    """Score a model on what it has never seen, with controls that it must fail.

    On pictures filmed with known motions (the default), on real video, or on labelled clips.
    """
    from rich.console import Console

    from pipeline.training.evaluation.evaluate_command import evaluate_command
    from pipeline.training.evaluation.tables import render_evaluation

    with _mistakes():
        figures = evaluate_command(
            checkpoint,
            pictures=pictures,
            videos=videos or (),
            data=data,
            all_clips=all_clips,
            samples=samples,
            spacing_ms=spacing_ms,
            device=device,
            report=report,
            picture=picture,
        )
    Console().print(render_evaluation(figures))


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="File to write: .onnx, or .xml for OpenVINO.")],
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="Name of a shipped checkpoint, or a .safetensors file.")
    ] = "motion_resnet18",
    kind: Annotated[
        str | None, typer.Option("--format", help="onnx or openvino; without, by the suffix of --out.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise it (OpenVINO only), and say what that costs in accuracy.")
    ] = False,
) -> None:
    """Write one step as a file for other programs: frame and state in, logits, attention and next state out.

    The file is there only once it has computed the same as the model, over 50 steps with resets.
    """
    from pipeline.runtime.exported.formats import check_export

    with _mistakes():
        check_export(checkpoint, out, kind, int8=int8)  # before torch is loaded, which takes seconds

        from pipeline.runtime.exported.export_command import export_step
        from pipeline.training.rendered.film import film_motions

        export_step(checkpoint, out, kind, film=film_motions if int8 else None)


@bench_app.command("step")
def bench_step(
    depth: Annotated[list[int], typer.Option("--depth", help="Of the ResNet; repeatable.")] = [18, 50],  # noqa: B006
    streams: Annotated[list[int], typer.Option("--streams", help="In one batch; repeatable.")] = [1],  # noqa: B006
    backend: Annotated[
        list[str], typer.Option("--backend", help="torch, openvino, onnxruntime or all; repeatable.")
    ] = ["all"],  # noqa: B006
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    precision: Annotated[
        list[str], typer.Option("--precision", help="auto, fp32, fp16, bf16 or int8; repeatable.")
    ] = ["auto"],  # noqa: B006
    size: Annotated[int, typer.Option("--size", min=32, help="Of the model's pictures, in pixels.")] = 224,
    repeats: Annotated[int, typer.Option("--repeats", min=4, help="Rounds of the alternation.")] = 30,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results as JSON.")] = None,
) -> None:
    """Time one cached step against the guide as written and a plain ResNet in the same runtime."""
    import os

    # as in the workers: threads of torch that wait by spinning would slow the other runtimes down
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    from benchmarks.step import bench

    with _mistakes():
        bench(depth, streams, backend, device, precision, size, repeats, json_file)


@bench_app.command("scale")
def bench_scale(
    depth: Annotated[int, typer.Option("--depth", help="Of the ResNet.")] = 50,
    streams: Annotated[
        list[int] | None,
        typer.Option("--streams", min=1, help="In one batch; repeatable; without, 1 to 64, on a GPU to 128."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, fp16, bf16.")] = "auto",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Steps that are timed.")] = 30,
    steps: Annotated[int, typer.Option("--steps", min=10, help="Of the look at the memory.")] = 2000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results as JSON.")] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the curves (matplotlib).")] = None,
) -> None:
    """Time steps of many streams in one batch, with a plain ResNet as the floor; look at the memory."""
    from benchmarks.scale import bench

    with _mistakes():
        bench(depth, streams or (), device, precision, repeats, steps, json_file, picture)


@bench_app.command("end-to-end")
def bench_end_to_end(
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, help="Of each measurement.")] = 15.0,
    warm_up: Annotated[float, typer.Option("--warm-up", min=0.0, help="Seconds before each one.")] = 3.0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each; the median counts.")] = 2,
    overrides: Overrides = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results as JSON.")] = None,
) -> None:
    """Run the pipeline as shipped against the usual webcam demo: rate, age, CPU and stages at 640x480."""
    from benchmarks.end_to_end import bench

    with _mistakes():
        bench(seconds, warm_up, rounds, [f"--set={text}" for text in overrides or ()], json_file)


@bench_app.command("transport")
def bench_transport(
    size: Annotated[list[str], typer.Option("--size", help="Of the pictures; repeatable.")] = [  # noqa: B006
        "1920x1080",
        "640x480",
    ],
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each way.")] = 3,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, help="Of each part of a turn.")] = 2.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results as JSON.")] = None,
) -> None:
    """Bring pictures from one process to another: ours against imagezmq and vidgear's NetGear."""
    from benchmarks.transport import bench

    with _mistakes():
        bench(size, rounds, seconds, json_file)


@keys_app.command("new")
def keys_new(
    name: Annotated[str, typer.Argument(help="Name of the worker or machine, for example capture.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where the two files go.")] = Path("keys"),
) -> None:
    """Make a key pair: NAME.key to hand out, NAME.key_secret to keep."""
    from pipeline.wire.keys import new_keys

    public, secret = new_keys(folder, name)
    print(f"public key, give it to the peers:   {public}")
    print(f"secret key, keep it on this machine: {secret}")


@keys_app.command("allow")
def keys_allow(
    file: Annotated[Path, typer.Argument(help="Public key (NAME.key) of a peer that may connect.")],
    folder: Annotated[Path, typer.Option("--dir", help="The folder named by security.allowed.")] = Path(
        "keys/allowed"
    ),
) -> None:
    """Let a peer connect: copy its public key into the folder of allowed keys."""
    from pipeline.wire.keys import allow

    print(f"allowed: {allow(folder, file)}")


def _load(
    path: Path | None,
    overrides: list[str] | tuple[str, ...],
    sources: list[str] | None,
    pace: bool,
    predictions: Path | None,
    insecure: bool,
) -> Config:
    import msgspec

    from pipeline.base.config import StreamConfig, load_config
    from pipeline.video.source import default_stream_id

    more = list(overrides)
    more += ["security.insecure=true"] if insecure else []
    config = load_config(path, more)
    if predictions is not None:
        config = msgspec.structs.replace(
            config, sink=msgspec.structs.replace(config.sink, predictions=str(predictions))
        )
    streams = list(config.streams)
    if sources:
        streams = []
        for source in sources:
            taken = [stream.id for stream in streams]
            streams.append(StreamConfig(id=default_stream_id(source, taken), source=source))
    if pace:
        streams = [msgspec.structs.replace(stream, pace=True) for stream in streams]
    return msgspec.structs.replace(config, streams=streams)


def _shown(window: bool, no_web: bool, headless: bool) -> list[str]:
    """The overrides that the options about showing stand for."""
    more = ["sink.web=false"] if no_web else []
    more += ["sink.window=true"] if window and not headless else []
    return more + (["sink.window=false", "terminal.live=false"] if headless else [])


def _freshness(max_age: str | None) -> list[str]:
    """The override that ``--max-age`` stands for."""
    from pipeline.base.config import duration_ms

    return [] if max_age is None else [f"freshness.max_age_ms={duration_ms(max_age)}"]


def _run_worker(role: Role, config: Config) -> None:
    from workers.main import run_worker

    raise typer.Exit(run_worker(role, config))


@contextlib.contextmanager
def _mistakes() -> Iterator[None]:
    """Turns what the library says about wrong arguments and files into one line for people."""
    from pipeline.base.errors import UserError

    try:
        yield
    except (ValueError, FloatingPointError, OSError) as error:
        raise UserError(str(error)) from error


def main() -> None:
    """Entry point: turns mistakes of the user into one readable line and exit code 2."""
    from pipeline.base.errors import UserError
    from pipeline.base.redact import redact

    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        """Ends as Ctrl-C does, so that what was begun is tidied up; a second SIGTERM ends at once."""
        nonlocal stopped
        stopped = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.exit(_EXIT_SIGTERM)

    signal.signal(signal.SIGTERM, stop)  # workers and the supervisor put their own in its place
    try:
        app()
    except Exception as error:
        if stopped:  # libraries turn the exit into errors of their own
            sys.exit(_EXIT_SIGTERM)
        if not isinstance(error, UserError):
            raise
        print(f"error: {redact(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
