"""The commands of ``fleet``: workers on many machines, run by Ray."""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.base.config import Config
from workers.commands.shared_options import (
    CONFIGURATION,
    Insecure,
    PlainLines,
    ReportFile,
    Seconds,
    example,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Run workers on many machines with Ray.\n\nNeeds an extra package: pip install 'kvq-stream[fleet]'.",
)

FleetFile = Annotated[
    Path,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file of the fleet: see docs/fleet.md.",
        rich_help_panel=CONFIGURATION,
    ),
]
PipelineKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set one key of the workers' configuration, such as capture.encoding=jpeg; repeatable. Keys of "
        "the fleet's own file are changed there.",
        rich_help_panel=CONFIGURATION,
    ),
]
Name = Annotated[
    str, typer.Option("--fleet", metavar="NAME", help="Name of the fleet, if several share a cluster.")
]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="HOST:PORT of the Ray cluster's head node; auto finds a local one.",
    ),
]
Node = Annotated[str, typer.Argument(metavar="NODE", help="A node's address or id, or the name of a worker.")]


@app.command(epilog=example("fleet up --config fleet.toml"))
def up(
    config: FleetFile,
    overrides: PipelineKeys = None,
    address: Address = "auto",
    insecure: Insecure = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="S", help="Seconds to wait until all workers are ready.")
    ] = 120.0,
) -> None:
    """Start a fleet and wait until it is ready.

    The fleet keeps running after this command exits. If it is already running, the command only waits. Exit
    code 1 means that it was not ready in time.
    """
    from workers.fleet import fleet_on_ray
    from workers.fleet.ray_cluster import connect

    fleet, of_workers = _load(config, overrides, insecure=insecure)
    connect(fleet.name, address)
    actor = fleet_on_ray.up(fleet, of_workers)
    until, told = time.monotonic() + wait, list[str]()
    while True:
        status = fleet_on_ray.call(actor, "status")
        missing = _not_ready(status["workers"], fleet.inference.scaling.least)
        missing += [name for name, stream in status["streams"].items() if stream["worker"] is None]
        lines = _waiting(status, missing)
        for line in lines:
            if line not in told:
                print(line, flush=True)
        told = lines
        if not missing or time.monotonic() > until:
            break
        time.sleep(0.2)
    _show(status)
    if missing:
        print(f"not ready after {wait:g} s: {', '.join(missing)}; the fleet keeps running", file=sys.stderr)
        raise typer.Exit(1)


@app.command(epilog=example("fleet status --json"))
def status(
    fleet: Name = "kvq",
    address: Address = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show all streams, workers and nodes, and recent moves with their reasons."""
    told = _ask(fleet, address, "status")
    if as_json:
        print(json.dumps(told, indent=1))
    else:
        _show(told)


@app.command(epilog=example("fleet add gate rtsp://camera/live --capture north"))
def add(
    stream_id: Annotated[str, typer.Argument(metavar="STREAM_ID", help="Name of the stream.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="As for --source.")],
    capture: Annotated[
        str,
        typer.Option(
            "--capture", metavar="NAME", help="The capture agent that reads it; needed if there are several."
        ),
    ] = "",
    fleet: Name = "kvq",
    address: Address = "auto",
) -> None:
    """Add a camera to a running fleet."""
    from workers.fleet.fleet_file import new_stream

    _ask(fleet, address, "add", new_stream(stream_id, source, capture))


@app.command(epilog=example("fleet remove gate"))
def remove(
    stream_id: Annotated[str, typer.Argument(metavar="STREAM_ID", help="Name of the stream.")],
    fleet: Name = "kvq",
    address: Address = "auto",
) -> None:
    """Remove a camera from a running fleet.

    Frames that were already captured are still predicted and shown.
    """
    _ask(fleet, address, "remove", stream_id)


@app.command(epilog=example("fleet drain 10.0.0.7"))
def drain(
    node: Node,
    fleet: Name = "kvq",
    address: Address = "auto",
    wait: Annotated[
        float, typer.Option("--wait", metavar="S", help="Seconds to wait until it has no streams.")
    ] = 300.0,
) -> None:
    """Move all streams off a node without losing frames and place no new ones there.

    Exit code 1 means that the node still had streams after --wait.
    """
    names = _ask(fleet, address, "drain", node)
    until, told = time.monotonic() + wait, None
    while (left := _carried(status := _ask(fleet, address, "status"), names)) and time.monotonic() < until:
        if (stuck := not _takers(status, names)) != told:
            print(
                f"no other worker can take {_streams(left)}: waiting up to {wait:g} s; Ctrl-C stops waiting, "
                f"`fleet undrain {node} --fleet {fleet}` cancels the drain"
                if stuck
                else f"waiting for {_streams(left)} to move",
                flush=True,
            )
        told = stuck
        time.sleep(0.2)
    print(f"{', '.join(names)}: {_streams(left)} left")
    if left:
        raise typer.Exit(1)


@app.command(epilog=example("fleet undrain 10.0.0.7"))
def undrain(node: Node, fleet: Name = "kvq", address: Address = "auto") -> None:
    """Allow streams on a drained node again."""
    names = _ask(fleet, address, "undrain", node)
    print(f"{', '.join(names) or node}: {'accept' if len(names) > 1 else 'accepts'} streams again")


@app.command(epilog=example("fleet monitor --config fleet.toml"))
def monitor(
    config: FleetFile,
    overrides: PipelineKeys = None,
    address: Address = "auto",
    seconds: Seconds = None,
    report: ReportFile = None,
    headless: PlainLines = False,
    insecure: Insecure = False,
) -> None:
    """Show the live statistics of all streams and workers."""
    from workers.commands.run_monitor import run_monitor
    from workers.fleet import fleet_on_ray
    from workers.fleet.ray_cluster import RayError, connect

    fleet, of_workers = _load(config, overrides, insecure=insecure, headless=headless)
    connect(fleet.name, address)
    actor = fleet_on_ray.coordinator(fleet.name)
    placed = fleet_on_ray.listening(of_workers, actor)

    def find() -> Config:
        nonlocal placed
        with contextlib.suppress(RayError):  # the coordinator is restarting or was stopped
            placed = fleet_on_ray.listening(of_workers, actor)
        return placed

    raise typer.Exit(run_monitor(of_workers, seconds or 0.0, report, find))


@app.command(epilog=example("fleet down"))
def down(fleet: Name = "kvq", address: Address = "auto") -> None:
    """Stop a fleet gracefully; the Ray cluster keeps running."""
    from workers.fleet import fleet_on_ray
    from workers.fleet.ray_cluster import connect

    connect(fleet, address)
    fleet_on_ray.down(fleet)


def _load(file: Path, overrides: list[str] | None, *, insecure: bool, headless: bool = False) -> Any:
    """Loads a fleet's file and the configuration of its workers."""
    from workers.fleet.fleet_file import load_fleet

    keys = ["security.insecure=true"] if insecure else []
    keys += ["terminal.live=false"] if headless else []
    return load_fleet(file, [*(overrides or ()), *keys])


def _ask(fleet: str, address: str, method: str, *args: Any) -> Any:
    from workers.fleet import fleet_on_ray
    from workers.fleet.ray_cluster import connect

    connect(fleet, address)
    return fleet_on_ray.call(fleet_on_ray.coordinator(fleet), method, *args)


def _not_ready(workers: dict[str, Any], least: int) -> list[str]:
    """Required workers that are not ready; inference workers beyond the minimum may wait for nodes."""
    ready = [worker["role"] for worker in workers.values() if worker["state"] == "ready"]
    enough = ready.count("inference") >= least
    return [
        name
        for name, worker in workers.items()
        if worker["state"] != "ready" and not (enough and worker["role"] == "inference")
    ]


def _waiting(status: dict[str, Any], missing: list[str]) -> list[str]:
    """What ``up`` waits for, one line each, and why if that is known."""
    if not missing:
        return []
    whys = {name: status["workers"].get(name, {}).get("why") for name in missing}
    return [f"waiting for {', '.join(missing)}", *(f"{name}: {why}" for name, why in whys.items() if why)]


def _carried(status: dict[str, Any], names: list[str]) -> int:
    return sum(stream["worker"] in names for stream in status["streams"].values())


def _takers(status: dict[str, Any], drained: list[str]) -> list[str]:
    """Inference workers that can take the streams of drained ones."""
    return [
        name
        for name, worker in status["workers"].items()
        if worker["role"] == "inference" and worker["state"] == "ready"
        if name not in drained and not worker["drain"]
    ]


def _streams(count: int) -> str:
    return f"{count or 'no'} stream{'' if count == 1 else 's'}"


def _show(status: dict[str, Any]) -> None:
    from workers.fleet.fleet_view import render_status
    from workers.output import OutputConsole

    OutputConsole().print(render_status(status))
