"""The schema of ``fleet.toml``: agents, where they may run, and cameras."""

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
        labels: A node has to have these labels: ``ray start --labels site=gate``.
        cpus: What Ray sets aside for each.
        gpus: The same; parts of one are shared.
    """

    labels: dict[str, str] = msgspec.field(default_factory=dict)
    cpus: _Amount = 1.0
    gpus: _Amount = 0.0


class InferenceAgents(AgentsConfig, frozen=True, kw_only=True):
    """``[inference]``.

    Attributes:
        scaling: How many there are.
    """

    scaling: ScalingPolicy = ScalingPolicy()


class FleetStream(StreamConfig, frozen=True, kw_only=True):
    """``[[streams]]``: as of a pipeline, and which capture agent reads it; "" where there is only one."""

    capture: str = ""


class Fleet(Section, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        name: Several fleets on one Ray cluster have different names.
        pipeline: Configuration of all workers, a path beside this file; "" for the defaults.
        lease_s: A worker that has not answered for so long has lost its streams.
        beat_s: How often each is asked.
        inference: Its agents.
        capture: Agents that read cameras, by name.
        sink: The agent that shows and tells.
        placement: How streams are placed and moved.
        streams: The cameras; more come by ``fleet add``.
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
            raise ValueError("inference.scaling: least is more than most")
        if self.lease_s < 2 * self.beat_s:
            raise ValueError(f"lease_s ({self.lease_s:g}) must be at least twice beat_s ({self.beat_s:g})")

    def capture_of(self, stream: FleetStream) -> str:
        """The capture agent that reads a stream.

        Raises:
            ValueError: It names none, or one that is not there.
        """
        names = ", ".join(self.capture)
        if stream.capture in self.capture:
            return stream.capture
        if stream.capture:
            raise ValueError(f"stream {stream.id!r}: there is no [capture.{stream.capture}], only {names}")
        if len(self.capture) > 1:
            raise ValueError(f"stream {stream.id!r}: say which agent reads it: capture = one of {names}")
        return next(iter(self.capture))


def new_stream(stream_id: str, source: str, capture: str) -> FleetStream:
    """A stream that is added while the fleet runs.

    Raises:
        ConfigError: It can't be called that; one line.
    """
    try:
        return msgspec.convert({"id": stream_id, "source": source, "capture": capture}, FleetStream)
    except msgspec.ValidationError as error:
        raise ConfigError(readable(error, FleetStream)) from None


def with_endpoints_of(config: Config, endpoints: Mapping[str, Sequence[str]]) -> Config:
    """The configuration of whoever listens to workers at these endpoints, by key of ``[endpoints]``."""
    found = {key: list(places) for key, places in endpoints.items()}
    return msgspec.structs.replace(config, endpoints=msgspec.structs.replace(config.endpoints, **found))


def load_fleet(path: Path, overrides: Sequence[str] = ()) -> tuple[Fleet, Config]:
    """Reads a fleet's file and the configuration of its workers.

    Args:
        path: The file.
        overrides: ``"section.key=value"`` each, of the workers' configuration.

    Raises:
        ConfigError: One of them can't be read or is wrong; one line that names the key.
    """
    fleet = fill(Fleet, [], path, (), keys_in="docs/fleet.md")
    pipeline = path.parent / fleet.pipeline if fleet.pipeline else None
    config = load_config(pipeline, overrides)
    told = pipeline or "configuration of the workers"
    if config.streams:
        raise ConfigError(f"{told}: [[streams]] of a fleet stand in {path}")
    if config.inference.shared_by or config.inference.workers > 1:
        raise ConfigError(f"{told}: a fleet shares streams by itself: no inference.workers or shared_by")
    if config.control.listen:
        raise ConfigError(f"{told}: control.listen is set by the fleet's agents")
    return fleet, config
