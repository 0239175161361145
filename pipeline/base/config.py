"""Configuration: TOML files checked against one schema; defaults live in ``configs/default.toml`` only."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pipeline.base.errors import ConfigError
from pipeline.base.layers import fill
from pipeline.base.roles import Listener
from pipeline.base.text import StreamId

NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Waits = Annotated[list[NonNegative], msgspec.Meta(min_length=1)]
# A description says in words what a pattern allows: see pipeline.base.schema.
Endpoint = Annotated[
    str, msgspec.Meta(pattern="^(ipc|tcp)://.+", description="ipc://path or tcp://host:port")
]
Endpoints = Annotated[list[Endpoint], msgspec.Meta(min_length=1)]
Device = Annotated[
    str, msgspec.Meta(pattern="^(auto|cpu|cuda(:[0-9]+)?)$", description="auto, cpu, cuda or cuda:N")
]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class StreamConfig(_Section, frozen=True, kw_only=True):
    """``[[streams]]``."""

    id: StreamId
    source: str
    policy: Literal["auto", "newest", "every"] = "auto"
    pace: bool = False


class RunConfig(_Section, frozen=True, kw_only=True):
    """``[run]``."""

    frames: Count
    seconds: NonNegative
    output_dir: str
    ready_timeout_s: Positive
    drain_timeout_s: NonNegative
    restart_backoff_s: Waits
    restart_reset_s: Positive
    give_up_after: Count
    hung_after_s: NonNegative


class CaptureConfig(_Section, frozen=True, kw_only=True):
    """``[capture]``."""

    encoding: Literal["auto", "shm", "raw", "jpeg"]
    jpeg_quality: Annotated[int, msgspec.Meta(ge=1, le=100)]
    shm_mb: NonNegative
    width_px: Count
    height_px: Count
    fps: NonNegative
    image_fps: Positive
    rtsp_transport: Literal["tcp", "udp"]
    open_timeout_s: Positive
    read_timeout_s: Positive
    retry_first_open: bool
    reconnect_backoff_s: Waits
    reconnect_jitter: Annotated[float, msgspec.Meta(ge=0, le=1)]
    ring_frames: AtLeastOne
    wait_for: list[Listener]
    wait_timeout_s: NonNegative


class FreshnessConfig(_Section, frozen=True, kw_only=True):
    """``[freshness]``."""

    max_age_ms: NonNegative
    min_quality: Annotated[int, msgspec.Meta(ge=1, le=100)]
    min_side_px: AtLeastOne
    min_fps: Positive


class InferenceConfig(_Section, frozen=True, kw_only=True):
    """``[inference]``."""

    checkpoint: str
    device: Device
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"]
    threads: Count
    top_k: AtLeastOne
    attention: bool
    wait_for: list[Literal["sink"]]
    max_batch: Count
    batch_window_ms: NonNegative
    same_below: NonNegative
    ring_frames: AtLeastOne


class RuntimeConfig(_Section, frozen=True, kw_only=True):
    """``[runtime]``."""

    backend: Literal["auto", "torch", "openvino", "onnxruntime"]
    provider: Literal["auto", "cpu", "cuda", "tensorrt"]
    cuda_graphs: bool


class HistoryConfig(_Section, frozen=True, kw_only=True):
    """``[history]``."""

    spacing_ms: NonNegative
    max_gap_ms: Positive


class SinkConfig(_Section, frozen=True, kw_only=True):
    """``[sink]``."""

    sync_timeout_ms: NonNegative
    patience_ms: NonNegative
    ring_frames: AtLeastOne
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)]
    record: bool
    predictions: str
    window: bool
    web: bool
    web_host: str
    web_port: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    web_fps: Positive


class TerminalConfig(_Section, frozen=True, kw_only=True):
    """``[terminal]``."""

    live: bool
    refresh_fps: Positive


class EndpointsConfig(_Section, frozen=True, kw_only=True):
    """``[endpoints]``."""

    frames: Endpoints
    predictions: Endpoints
    capture_stats: Endpoints
    inference_stats: Endpoints
    sink_stats: Endpoints


class WireConfig(_Section, frozen=True, kw_only=True):
    """``[wire]``."""

    queue_frames: AtLeastOne
    max_frame_mb: Positive
    heartbeat_ms: AtLeastOne
    heartbeat_timeout_ms: AtLeastOne
    stats_interval_s: Positive


class ServersConfig(_Section, frozen=True, kw_only=True):
    """``[security.servers]``."""

    capture: str
    inference: str
    sink: str


class SecurityConfig(_Section, frozen=True, kw_only=True):
    """``[security]``."""

    secret_key: str
    allowed: str
    insecure: bool
    servers: ServersConfig


class Config(_Section, frozen=True, kw_only=True):
    """The whole configuration."""

    streams: list[StreamConfig]
    run: RunConfig
    capture: CaptureConfig
    freshness: FreshnessConfig
    inference: InferenceConfig
    runtime: RuntimeConfig
    history: HistoryConfig
    sink: SinkConfig
    terminal: TerminalConfig
    endpoints: EndpointsConfig
    wire: WireConfig
    security: SecurityConfig

    def __post_init__(self) -> None:
        ids = [stream.id for stream in self.streams]
        twice = next((name for name in ids if ids.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two streams are called {twice!r}: give each its own id")


def load_config(
    path: str | Path | None = None, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> Config:
    """Reads the defaults, then a file over them, then single keys, then options of the command line.

    Args:
        path: A TOML file with the keys that differ from the defaults; None for none.
        overrides: ``"section.key=value"`` each, the value as in TOML; text may go without quotes.
        options: Values by section and key.

    Raises:
        ConfigError: The file can't be read, is not TOML, or has an unknown key or a wrong type; the
            message holds the key's path and what is wanted there.
    """
    defaults = tomllib.loads(resources.files("configs").joinpath("default.toml").read_text("utf-8"))
    return fill(Config, [defaults], path, overrides, options, keys_in="configs/default.toml")


def duration_ms(text: str) -> float:
    """Milliseconds from ``150ms``, ``2s`` or a bare number, which is in milliseconds.

    Raises:
        ConfigError: It is none of these.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|)\s*", text)
    if found is None:
        raise ConfigError(f"{text!r} is no duration: give it as 150ms, as 2s, or in milliseconds as 150")
    return float(found[1]) * (1000 if found[2] == "s" else 1)
