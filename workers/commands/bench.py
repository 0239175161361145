"""``bench``: measurements, each against its floor and a peer."""

from pathlib import Path
from typing import Annotated

import typer

from workers.commands.shared_options import Device, JsonFile, Overrides, example

app = typer.Typer(no_args_is_help=True, help="Measurements, each against its floor and a peer.")


@app.command("step", epilog=example("bench step --depth 18 --backend all"))
def step(
    depth: Annotated[
        list[int] | None,
        typer.Option("--depth", help="Of a ResNet with random weights; repeatable; without, 18 and 50."),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option("--checkpoint", help="Name or file of trained weights instead; repeatable."),
    ] = None,
    streams: Annotated[list[int], typer.Option("--streams", help="In one batch; repeatable.")] = [1],  # noqa: B006
    backend: Annotated[
        list[str], typer.Option("--backend", help="torch, openvino, onnxruntime or all; repeatable.")
    ] = ["all"],  # noqa: B006
    device: Device = "auto",
    precision: Annotated[
        list[str], typer.Option("--precision", help="auto, fp32, fp16, bf16 or int8; repeatable.")
    ] = ["auto"],  # noqa: B006
    size: Annotated[
        int | None,
        typer.Option(
            "--size", min=32, help="Of the pictures in pixels; without, 224, or as a checkpoint says."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=4, help="Rounds of the alternation.")] = 30,
    json_file: JsonFile = None,
) -> None:
    """Time one cached step against the guide as written and a plain ResNet in the same runtime."""
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
    depth: Annotated[int, typer.Option("--depth", help="Of the ResNet.")] = 50,
    streams: Annotated[
        list[int] | None,
        typer.Option("--streams", min=1, help="In one batch; repeatable; without, 1 to 64, on a GPU to 128."),
    ] = None,
    device: Device = "auto",
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, fp16, bf16.")] = "auto",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Steps that are timed.")] = 30,
    steps: Annotated[int, typer.Option("--steps", min=10, help="Of the look at the memory.")] = 2000,
    json_file: JsonFile = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the curves (matplotlib).")] = None,
) -> None:
    """Time steps of many streams in one batch, with a plain ResNet as the floor; look at the memory."""
    from benchmarks.scale.command import bench
    from pipeline.base.errors import as_user_error

    with as_user_error():
        bench(depth, streams or (), device, precision, repeats, steps, json_file, picture)


@app.command("nuisance", epilog=example("bench nuisance --nuisance rain --seconds 60"))
def nuisance(
    picture: Annotated[
        list[Path] | None,
        typer.Option("--picture", help="A photo as the scene; repeatable; without, the demo's street."),
    ] = None,
    clips: Annotated[
        list[Path] | None,
        typer.Option("--clips", help="Footage instead: a file or a folder of clips; repeatable."),
    ] = None,
    truth: Annotated[
        list[Path] | None,
        typer.Option("--truth", help="What happens in the clips; repeatable; without, that of public clips."),
    ] = None,
    empty_minutes: Annotated[
        float,
        typer.Option(
            "--empty-minutes",
            min=0.0,
            help="Instead, so long films of each nuisance in which nothing happens.",
        ),
    ] = 0.0,
    only: Annotated[list[str] | None, typer.Option("--nuisance", help="Only this one; repeatable.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=16.0, help="Of each staged film.")] = 124.0,
    fps: Annotated[float, typer.Option("--fps", min=1.0, max=60.0, help="Pictures a second.")] = 10.0,
    longer_side_px: Annotated[
        int, typer.Option("--longer-side-px", min=0, help="See inference.longer_side_px.")
    ] = 0,
    json_file: JsonFile = None,
) -> None:
    """Count false and missed events under rain, wind, lights, shake, beside MOG2 and frame differencing."""
    from benchmarks.nuisance import clips as with_truth
    from benchmarks.nuisance import comparison, empty_hours
    from benchmarks.nuisance.findings import Settings
    from pipeline.base.errors import ConfigError, as_user_error

    settings = Settings(longer_side_px, fps, json_file)
    with as_user_error():
        if sum(map(bool, (picture, clips, empty_minutes))) > 1:
            raise ConfigError(
                "--picture, --clips and --empty-minutes are three kinds of runs: give one of them"
            )
        if truth and not clips:
            raise ConfigError("--truth is about --clips: give both")
        if clips:
            with_truth.bench(clips, truth or (), only or (), settings)
        elif empty_minutes:
            empty_hours.bench(only or (), empty_minutes, settings)
        else:
            comparison.bench(picture or (), only or (), seconds, settings)


@app.command("fleet", epilog=example("bench fleet --simulate --cameras 1000 --workers 20"))
def fleet(
    simulate: Annotated[
        bool, typer.Option("--simulate", help="In virtual time, with the decisions of a real fleet.")
    ] = False,
    cameras: Annotated[int, typer.Option("--cameras", min=10, max=100_000)] = 10_000,
    workers: Annotated[int, typer.Option("--workers", min=3, max=2_000)] = 200,
    minutes: Annotated[float, typer.Option("--minutes", min=3.0, help="Of each scenario.")] = 10.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same one has the same results.")] = 1,
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", help="Only this one; repeatable.")
    ] = None,
    json_file: JsonFile = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the curves (matplotlib).")] = None,
) -> None:
    """Lose workers, drain nodes, add cameras: moves, overload, time without predictions, beside rivals."""
    from benchmarks.fleet.fleet_bench import bench
    from pipeline.base.errors import ConfigError, as_user_error

    with as_user_error():
        if not simulate:
            raise ConfigError("give --simulate: a fleet is measured in virtual time only")
        bench(cameras, workers, minutes, seed, scenario or (), json_file, picture)


@app.command("end-to-end", epilog=example("bench end-to-end --seconds 10"))
def end_to_end(
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, help="Of each measurement.")] = 15.0,
    warm_up: Annotated[float, typer.Option("--warm-up", min=0.0, help="Seconds before each one.")] = 3.0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each; the median counts.")] = 2,
    overrides: Overrides = None,
    json_file: JsonFile = None,
) -> None:
    """Run the pipeline as shipped against the usual webcam demo: rate, age, CPU and stages at 640x480."""
    from benchmarks.end_to_end import bench
    from pipeline.base.errors import as_user_error

    with as_user_error():
        bench(seconds, warm_up, rounds, [f"--set={text}" for text in overrides or ()], json_file)


@app.command("transport", epilog=example("bench transport --size 640x480"))
def transport(
    size: Annotated[list[str], typer.Option("--size", help="Of the pictures; repeatable.")] = [  # noqa: B006
        "1920x1080",
        "640x480",
    ],
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each way.")] = 3,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, help="Of each part of a turn.")] = 2.0,
    json_file: JsonFile = None,
) -> None:
    """Bring pictures from one process to another: ours against imagezmq and vidgear's NetGear."""
    from benchmarks.transport import bench
    from pipeline.base.errors import as_user_error

    with as_user_error():
        bench(size, rounds, seconds, json_file)
