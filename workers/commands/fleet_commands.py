"""``run_stream.py fleet``: many workers on many machines, by Ray."""

import contextlib
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.base.config import Config
from workers.commands.shared_options import (
    Insecure,
    Overrides,
    PlainLines,
    ReportFile,
    Seconds,
    example,
)

app = typer.Typer(
    no_args_is_help=True, help="Many workers on many machines (extra: pip install 'kvq-stream[fleet]')."
)

FleetFile = Annotated[Path, typer.Option("--config", help="The fleet's TOML file: see docs/fleet.md.")]
Name = Annotated[str, typer.Option("--fleet", help="Its name, where several share a cluster.")]
Address = Annotated[str, typer.Option("--address", help="Of the Ray cluster: HOST:PORT of its head node.")]
Node = Annotated[str, typer.Argument(help="A node's address or id, or the name of one worker.")]


@app.command(epilog=example("fleet up --config fleet.toml"))
def up(
    config: FleetFile,
    address: Address = "auto",
    overrides: Overrides = None,
    insecure: Insecure = False,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait until all are ready.")] = 120.0,
) -> None:
    """Start a fleet; it goes on when this command has ended. Of one that is up: wait until it is ready."""
    from workers.fleet import fleet_on_ray
    from workers.fleet.ray_cluster import connect

    fleet, of_workers = _load(config, overrides, insecure=insecure)
    connect(fleet.name, address)
    actor = fleet_on_ray.up(fleet, of_workers)
    until, told = time.monotonic() + wait, ""
    while True:
        status = fleet_on_ray.call(actor, "status")
        missing = _not_ready(status["workers"], fleet.inference.scaling.least)
        missing += [name for name, stream in status["streams"].items() if stream["worker"] is None]
        if (line := ", ".join(missing)) != told and missing:
            print(f"waiting for {line}", flush=True)
        told = line
        if not missing or time.monotonic() > until:
            break
        time.sleep(0.2)
    _show(status)
    if missing:
        raise typer.Exit(1)


@app.command(epilog=example("fleet status --json"))
def status(
    fleet: Name = "kvq",
    address: Address = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show all streams, workers and nodes, and what was moved lately, and why."""
    told = _ask(fleet, address, "status")
    if as_json:
        print(json.dumps(told, indent=1))
    else:
        _show(told)


@app.command(epilog=example("fleet add gate rtsp://camera/live --capture north"))
def add(
    stream_id: Annotated[str, typer.Argument(help="Name of the stream.")],
    source: Annotated[str, typer.Argument(help="As for --source.")],
    capture: Annotated[str, typer.Option("--capture", help="Which capture agent reads it.")] = "",
    fleet: Name = "kvq",
    address: Address = "auto",
) -> None:
    """Add a camera while the fleet runs."""
    from workers.fleet.fleet_file import new_stream

    _ask(fleet, address, "add", new_stream(stream_id, source, capture))


@app.command(epilog=example("fleet remove gate"))
def remove(
    stream_id: Annotated[str, typer.Argument(help="Name of the stream.")],
    fleet: Name = "kvq",
    address: Address = "auto",
) -> None:
    """Remove a camera; what was captured is still predicted and shown."""
    _ask(fleet, address, "remove", stream_id)


@app.command(epilog=example("fleet drain 10.0.0.7"))
def drain(
    node: Node,
    fleet: Name = "kvq",
    address: Address = "auto",
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait until it is empty.")] = 300.0,
) -> None:
    """Move all streams off a node, without losing a frame, and give it no more."""
    names = _ask(fleet, address, "drain", node)
    until = time.monotonic() + wait
    while (left := _carried(_ask(fleet, address, "status"), names)) and time.monotonic() < until:
        time.sleep(0.2)
    print(f"{', '.join(names)}: {f'{left} streams are still there' if left else 'no streams any more'}")
    if left:
        raise typer.Exit(1)


@app.command(epilog=example("fleet undrain 10.0.0.7"))
def undrain(node: Node, fleet: Name = "kvq", address: Address = "auto") -> None:
    """Let a node have streams again."""
    print(f"{', '.join(_ask(fleet, address, 'undrain', node))}: may have streams again")


@app.command(epilog=example("fleet monitor --config fleet.toml"))
def monitor(
    config: FleetFile,
    address: Address = "auto",
    overrides: Overrides = None,
    seconds: Seconds = None,
    report: ReportFile = None,
    headless: PlainLines = False,
    insecure: Insecure = False,
) -> None:
    """Show the stats of all streams and workers, wherever they are now."""
    from workers.commands.run_pipeline import run_monitor
    from workers.fleet import fleet_on_ray
    from workers.fleet.ray_cluster import RayError, connect

    fleet, of_workers = _load(config, overrides, insecure=insecure, headless=headless)
    connect(fleet.name, address)
    actor = fleet_on_ray.coordinator(fleet.name)
    placed = fleet_on_ray.listening(of_workers, actor)

    def find() -> Config:
        nonlocal placed
        with contextlib.suppress(RayError):  # the coordinator is started again, or `fleet down`
            placed = fleet_on_ray.listening(of_workers, actor)
        return placed

    raise typer.Exit(run_monitor(of_workers, seconds or 0.0, report, find))


@app.command(epilog=example("fleet down"))
def down(fleet: Name = "kvq", address: Address = "auto") -> None:
    """Stop a fleet, in order; the Ray cluster stays."""
    from workers.fleet import fleet_on_ray
    from workers.fleet.ray_cluster import connect

    connect(fleet, address)
    fleet_on_ray.down(fleet)


def _load(file: Path, overrides: list[str] | None, *, insecure: bool, headless: bool = False) -> Any:
    """A fleet's file, and the configuration of its workers."""
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
    """Those that are needed; more inference workers than the fleet begins with may wait for nodes."""
    ready = [worker["role"] for worker in workers.values() if worker["state"] == "ready"]
    enough = ready.count("inference") >= least
    return [
        name
        for name, worker in workers.items()
        if worker["state"] != "ready" and not (enough and worker["role"] == "inference")
    ]


def _carried(status: dict[str, Any], names: list[str]) -> int:
    return sum(stream["worker"] in names for stream in status["streams"].values())


def _show(status: dict[str, Any]) -> None:
    from workers.fleet.fleet_view import render_status
    from workers.output import OutputConsole

    OutputConsole().print(render_status(status))
