"""The schema of ``fleet.toml``: agents, where they may run, and cameras."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from pipeline.base.config import Config, StreamConfig, load_config
from pipeline.base.errors import ConfigError
from pipeline.base.layers import fill
from pipeline.base.quantities import Timeout
from pipeline.base.schema import readable
from pipeline.base.section import Section
from pipeline.base.text import Name
from pipeline.flow.fleet_policy import FleetPolicy
from pipeline.flow.scaling import ScalingPolicy

_Amount = Annotated[float, msgspec.Meta(ge=0.0, le=1024.0)]


class AgentsConfig(Section, frozen=True, kw_only=True):
    """Where agents run.

    Attributes:
        labels: Labels that a node must have: ``ray start --labels site=gate``.
        cpus: CPUs that Ray reserves for each agent.
        gpus: GPUs that Ray reserves for each agent; a fraction shares one GPU.
    """

    labels: dict[str, str] = msgspec.field(default_factory=dict)
    cpus: _Amount = 1.0
    gpus: _Amount = 0.0


class InferenceAgents(AgentsConfig, frozen=True, kw_only=True):
    """The section ``[inference]``.

    Attributes:
        scaling: How many workers run.
    """

    scaling: ScalingPolicy = ScalingPolicy()


class FleetStream(StreamConfig, frozen=True, kw_only=True):
    """``[[streams]]``: as in a pipeline, plus the capture agent that reads it; "" if there is only one."""

    capture: str = ""


class Fleet(Section, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        name: Name of the fleet; unique in its Ray cluster.
        pipeline: Configuration file of all workers, relative to this file; "" for the defaults.
        lease_s: A worker that has not answered for this long loses its streams.
        beat_s: Interval between heartbeats of each agent.
        inference: The inference agents.
        capture: Agents that read cameras, by name.
        sink: The agent that displays frames and reports events.
        placement: How streams are placed and moved.
        streams: The initial cameras; ``fleet add`` adds more.
    """

    name: Name = "kvq"
    pipeline: str = ""
    lease_s: Timeout = 1.5
    beat_s: Timeout = 0.25
    inference: InferenceAgents = InferenceAgents()
    capture: Annotated[dict[Name, AgentsConfig], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: {"capture": AgentsConfig()}
    )
    sink: AgentsConfig = AgentsConfig()
    placement: FleetPolicy = FleetPolicy()
    streams: list[FleetStream] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for stream in self.streams:
            if stream.id in seen:
                raise ValueError(f"two streams are called {stream.id!r}: give each its own id")
            seen.add(stream.id)
            self.capture_of(stream)
        if self.inference.scaling.least > self.inference.scaling.most:
            raise ValueError("inference.scaling: least must not exceed most")
        if self.lease_s < 2 * self.beat_s:
            raise ValueError(f"lease_s ({self.lease_s:g}) must be at least twice beat_s ({self.beat_s:g})")

    def capture_of(self, stream: FleetStream) -> str:
        """The capture agent that reads a stream.

        Raises:
            ValueError: The stream names no agent, or one that does not exist.
        """
        names = ", ".join(self.capture)
        if stream.capture in self.capture:
            return stream.capture
        if stream.capture:
            raise ValueError(f"stream {stream.id!r}: no [capture.{stream.capture}]; available: {names}")
        if len(self.capture) > 1:
            raise ValueError(f"stream {stream.id!r}: set capture to one of {names}")
        return next(iter(self.capture))


def new_stream(stream_id: str, source: str, capture: str) -> FleetStream:
    """A stream to add to a running fleet.

    Raises:
        ConfigError: The name is not valid; the message is one line.
    """
    try:
        return msgspec.convert({"id": stream_id, "source": source, "capture": capture}, FleetStream)
    except msgspec.ValidationError as error:
        raise ConfigError(readable(error, FleetStream)) from None


def with_endpoints_of(config: Config, endpoints: Mapping[str, Sequence[str]]) -> Config:
    """The configuration for listening to workers at these endpoints, by key of ``[endpoints]``."""
    found = {key: list(places) for key, places in endpoints.items()}
    return msgspec.structs.replace(config, endpoints=msgspec.structs.replace(config.endpoints, **found))


def load_fleet(path: Path, overrides: Sequence[str] = ()) -> tuple[Fleet, Config]:
    """Reads a fleet's file and the configuration of its workers.

    Args:
        path: The fleet's file.
        overrides: ``"section.key=value"`` entries for the workers' configuration, not for the fleet's file.

    Raises:
        ConfigError: A file can't be read or is not valid; the message is one line that names the key.
    """
    fleet = fill(Fleet, [], path, (), keys_in="docs/fleet.md")
    pipeline = path.parent / fleet.pipeline if fleet.pipeline else None
    try:
        config = load_config(pipeline, overrides)
    except ConfigError:
        _refuse_keys_of_the_fleet(path, overrides)
        raise
    told = pipeline or "configuration of the workers"
    if config.streams:
        raise ConfigError(f"{told}: remove [[streams]]: a fleet's streams belong in {path}")
    if config.inference.shared_by or config.inference.workers > 1:
        raise ConfigError(
            f"{told}: remove inference.workers and inference.shared_by: the fleet places streams itself"
        )
    if config.control.listen:
        raise ConfigError(f"{told}: remove control.listen: the fleet's agents set it")
    return fleet, config


def _refuse_keys_of_the_fleet(path: Path, overrides: Sequence[str]) -> None:
    """Rejects overrides that are keys of the fleet's file only.

    Raises:
        ConfigError: There is such a key; the message is one line that states where it belongs.
    """
    for override in overrides:
        with contextlib.suppress(ConfigError):
            load_config(None, [override])
            continue
        with contextlib.suppress(ConfigError):
            fill(Fleet, [], path, [override], keys_in="docs/fleet.md")
            key = override.partition("=")[0].strip()
            break
    else:
        return
    raise ConfigError(
        f"--set {key}: a key of {path}: change it there; --set changes keys of the workers' configuration"
    )
