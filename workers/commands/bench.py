"""The command ``bench``: benchmarks, each compared with a lower bound and an alternative."""

from pathlib import Path
from typing import Annotated

import typer

from workers.commands.shared_options import Device, JsonFile, Overrides, example

app = typer.Typer(
    no_args_is_help=True, help="Run benchmarks, each compared with a lower bound and an alternative."
)


@app.command("step", epilog=example("bench step --depth 18 --backend all"))
def step(
    depth: Annotated[
        list[int] | None,
        typer.Option(
            "--depth",
            metavar="N",
            help="Depth of a ResNet with random weights; repeatable. Default: 18 and 50.",
        ),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint",
            metavar="NAME",
            help="Use trained weights instead, by name or file; repeatable.",
        ),
    ] = None,
    streams: Annotated[
        list[int], typer.Option("--streams", metavar="N", help="Streams in one batch; repeatable.")
    ] = [1],  # noqa: B006
    backend: Annotated[
        list[str],
        typer.Option("--backend", metavar="NAME", help="torch, openvino, onnxruntime or all; repeatable."),
    ] = ["all"],  # noqa: B006
    device: Device = "auto",
    precision: Annotated[
        list[str],
        typer.Option("--precision", metavar="NAME", help="auto, fp32, fp16, bf16 or int8; repeatable."),
    ] = ["auto"],  # noqa: B006
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            metavar="PX",
            min=32,
            help="Side of the input in pixels. Default: that of the checkpoint, or 224.",
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option("--repeats", metavar="N", min=4, help="Rounds; candidates alternate.")
    ] = 30,
    json_file: JsonFile = None,
) -> None:
    """Time one cached step, compared with the reference implementation and a plain ResNet.

    The plain ResNet runs in the same runtime as the step, the reference implementation in eager torch.
    """
    from workers.process import let_waiting_threads_sleep

    let_waiting_threads_sleep()
    from benchmarks.step_time import bench
    from pipeline.base.errors import as_user_error

    with as_user_error():
        bench(
            depth or [], checkpoint or [], streams, backend, device, precision, size or 0, repeats, json_file
        )


@app.command("scale", epilog=example("bench scale --streams 1 --streams 4 --json scale.json"))
def scale(
    depth: Annotated[int, typer.Option("--depth", metavar="N", help="Depth of the ResNet.")] = 50,
    streams: Annotated[
        list[int] | None,
        typer.Option(
            "--streams",
            metavar="N",
            min=1,
            help="Streams in one batch; repeatable. Default: 1 to 64, on a GPU 1 to 128.",
        ),
    ] = None,
    device: Device = "auto",
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME", help="auto, fp32, fp16 or bf16.")
    ] = "auto",
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="Timed steps.")] = 30,
    steps: Annotated[
        int, typer.Option("--steps", metavar="N", min=10, help="Steps of the memory measurement.")
    ] = 2000,
    json_file: JsonFile = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the curves (needs matplotlib).")
    ] = None,
) -> None:
    """Measure time and memory for different numbers of streams in one batch, compared with a plain ResNet."""
    from benchmarks.scale.command import bench
    from pipeline.base.errors import as_user_error

    with as_user_error():
        bench(depth, streams or (), device, precision, repeats, steps, json_file, picture)


@app.command("nuisance", epilog=example("bench nuisance --nuisance rain --seconds 60"))
def nuisance(
    picture: Annotated[
        list[Path] | None,
        typer.Option(
            "--picture", metavar="FILE", help="A photo as the scene; repeatable. Default: the demo's street."
        ),
    ] = None,
    clips: Annotated[
        list[Path] | None,
        typer.Option(
            "--clips",
            metavar="PATH",
            help="Use real footage instead of staged videos: a file or a folder; repeatable.",
        ),
    ] = None,
    truth: Annotated[
        list[Path] | None,
        typer.Option(
            "--truth",
            metavar="FILE",
            help="Annotation of the clips; repeatable. Default: the shipped annotations of public clips.",
        ),
    ] = None,
    empty_minutes: Annotated[
        float,
        typer.Option(
            "--empty-minutes",
            metavar="MIN",
            min=0.0,
            help="Use staged videos in which nothing happens: this many minutes for each nuisance.",
        ),
    ] = 0.0,
    only: Annotated[
        list[str] | None, typer.Option("--nuisance", metavar="NAME", help="Only this nuisance; repeatable.")
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=16.0, help="Length of each staged video.")
    ] = 124.0,
    fps: Annotated[
        float, typer.Option("--fps", metavar="FPS", min=1.0, max=60.0, help="Frames per second.")
    ] = 10.0,
    longer_side_px: Annotated[
        int, typer.Option("--longer-side-px", metavar="PX", min=0, help="As inference.longer_side_px.")
    ] = 0,
    json_file: JsonFile = None,
) -> None:
    """Count false and missed events under rain, wind, changing light and camera shake.

    MOG2 and frame differencing are scored on the same videos.
    """
    from benchmarks.nuisance import clips as with_truth
    from benchmarks.nuisance import comparison, empty_hours
    from benchmarks.nuisance.findings import Settings
    from pipeline.base.errors import ConfigError, as_user_error

    settings = Settings(longer_side_px, fps, json_file)
    with as_user_error():
        if sum(map(bool, (picture, clips, empty_minutes))) > 1:
            raise ConfigError("--picture, --clips and --empty-minutes can't be combined: give one of them")
        if truth and not clips:
            raise ConfigError("--truth needs --clips: give both")
        if clips:
            with_truth.bench(clips, truth or (), only or (), settings)
        elif empty_minutes:
            empty_hours.bench(only or (), empty_minutes, settings)
        else:
            comparison.bench(picture or (), only or (), seconds, settings)


@app.command("fleet", epilog=example("bench fleet --simulate --cameras 1000 --workers 20"))
def fleet(
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate in virtual time, with a fleet's own placement code.")
    ] = False,
    cameras: Annotated[
        int, typer.Option("--cameras", metavar="N", min=10, max=100_000, help="Cameras.")
    ] = 10_000,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=3, max=2_000, help="Inference workers.")
    ] = 200,
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="MIN", min=3.0, help="Length of each scenario.")
    ] = 10.0,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, help="Random seed; the same seed gives the same results."),
    ] = 1,
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", metavar="NAME", help="Only this scenario; repeatable.")
    ] = None,
    json_file: JsonFile = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the curves (needs matplotlib).")
    ] = None,
) -> None:
    """Simulate a fleet that loses workers, drains nodes and gains cameras.

    Reports moves, overload and time without predictions, compared with two simpler policies.
    """
    from benchmarks.fleet.fleet_bench import bench
    from pipeline.base.errors import ConfigError, as_user_error

    with as_user_error():
        if not simulate:
            raise ConfigError("give --simulate: this benchmark runs only in virtual time")
        bench(cameras, workers, minutes, seed, scenario or (), json_file, picture)


@app.command("end-to-end", epilog=example("bench end-to-end --seconds 10"))
def end_to_end(
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=1.0, help="Length of each measurement.")
    ] = 15.0,
    warm_up: Annotated[
        float, typer.Option("--warm-up", metavar="S", min=0.0, help="Seconds before each measurement.")
    ] = 3.0,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="Rounds; the median is reported.")
    ] = 2,
    overrides: Overrides = None,
    json_file: JsonFile = None,
) -> None:
    """Compare the whole pipeline with a single-process webcam demo at 640x480.

    Reports frame rate, age of predictions, CPU time and the time of each stage.
    """
    from benchmarks.end_to_end import bench
    from pipeline.base.errors import as_user_error

    with as_user_error():
        bench(seconds, warm_up, rounds, [f"--set={text}" for text in overrides or ()], json_file)


@app.command("transport", epilog=example("bench transport --size 640x480"))
def transport(
    size: Annotated[list[str], typer.Option("--size", metavar="WxH", help="Frame size; repeatable.")] = [  # noqa: B006
        "1920x1080",
        "640x480",
    ],
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="Rounds of each transport.")
    ] = 3,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.5, help="Length of each measurement.")
    ] = 2.0,
    json_file: JsonFile = None,
) -> None:
    """Measure frame transport between processes, compared with imagezmq and vidgear's NetGear."""
    from benchmarks.transport import bench
    from pipeline.base.errors import as_user_error

    with as_user_error():
        bench(size, rounds, seconds, json_file)
