"""The configuration: TOML files checked against one schema, with defaults in ``configs/default.toml``."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pipeline.base import quantities
from pipeline.base.errors import ConfigError
from pipeline.base.layers import fill, read_table
from pipeline.base.outlet import Outlets
from pipeline.base.role_names import Listener
from pipeline.base.section import Section
from pipeline.base.text import Name, StreamId
from pipeline.base.watched import Grounds, Lines, Rules, Views, Watch, Zones

# Error messages show the description in place of the pattern: see pipeline.base.schema.
Endpoint = Annotated[
    str, msgspec.Meta(pattern="^(ipc|tcp)://.+", description="ipc://path or tcp://host:port")
]
Endpoints = Annotated[list[Endpoint], msgspec.Meta(min_length=1)]
Device = Annotated[
    str, msgspec.Meta(pattern="^(auto|cpu|cuda(:[0-9]+)?)$", description="auto, cpu, cuda or cuda:N")
]


Listen = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(unix:/.+|[^/]+:[0-9]{1,5}|)\Z", description='host:port, unix:/path, or "" for none'
    ),
]


class StreamConfig(Section, frozen=True, kw_only=True):
    """``[[streams]]``: one camera or file.

    Attributes:
        id: Name of the stream, used in file names, addresses and reports.
        source: ``0`` (webcam), ``rtsp://user:pass@host/live``, a video file, a folder of images, or ``demo``.
        policy: ``newest`` drops late frames, ``every`` keeps all of them, ``auto`` depends on the source.
        pace: ``true`` plays a file at its own frame rate instead of as fast as possible.
    """

    id: StreamId
    source: str
    policy: Literal["auto", "newest", "every"] = "auto"
    pace: bool = False


class RunConfig(Section, frozen=True, kw_only=True):
    """The ``[run]`` section."""

    frames: quantities.RunFrames
    seconds: quantities.Seconds
    output_dir: str
    ready_timeout_s: quantities.Timeout
    drain_timeout_s: quantities.Wait
    restart_backoff_s: quantities.Waits
    restart_reset_s: quantities.Timeout
    give_up_after: quantities.Attempts
    hung_after_s: quantities.Wait


class CaptureConfig(Section, frozen=True, kw_only=True):
    """The ``[capture]`` section."""

    encoding: Literal["auto", "shm", "raw", "jpeg"]
    jpeg_quality: quantities.JpegQuality
    shm_mb: quantities.Memory
    width_px: quantities.Pixels
    height_px: quantities.Pixels
    fps: quantities.WantedRate
    image_fps: quantities.Rate
    rtsp_transport: Literal["tcp", "udp"]
    open_timeout_s: quantities.Timeout
    read_timeout_s: quantities.Timeout
    retry_first_open: bool
    reconnect_backoff_s: quantities.Waits
    reconnect_jitter: quantities.Share
    reconnect_lone_s: quantities.Timeout
    ring_frames: quantities.QueueLength
    replay_ms: quantities.Milliseconds
    wait_for: list[Listener]
    wait_timeout_s: quantities.Wait


class FreshnessConfig(Section, frozen=True, kw_only=True):
    """The ``[freshness]`` section."""

    max_age_ms: quantities.Milliseconds
    min_quality: quantities.JpegQuality
    min_side_px: quantities.Pixels
    min_fps: quantities.Rate


class InferenceConfig(Section, frozen=True, kw_only=True):
    """The ``[inference]`` section."""

    checkpoint: str
    device: Device
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"]
    longer_side_px: quantities.LongerSide
    threads: quantities.Threads
    top_k: quantities.TopK
    attention: bool
    motion_maps: bool
    wait_for: list[Literal["sink"]]
    max_batch: quantities.BatchSize
    batch_window_ms: quantities.Milliseconds
    same_below: quantities.GreyLevels
    health: bool
    ring_frames: quantities.QueueLength
    workers: quantities.WorkerCount
    name: str
    shared_by: list[Name]
    assigned: bool


class RuntimeConfig(Section, frozen=True, kw_only=True):
    """The ``[runtime]`` section."""

    backend: Literal["auto", "torch", "openvino", "onnxruntime"]
    provider: Literal["auto", "cpu", "cuda", "tensorrt"]
    cuda_graphs: bool


class HistoryConfig(Section, frozen=True, kw_only=True):
    """The ``[history]`` section."""

    spacing_ms: quantities.Milliseconds
    max_gap_ms: quantities.Milliseconds


class SinkConfig(Section, frozen=True, kw_only=True):
    """The ``[sink]`` section."""

    sync_timeout_ms: quantities.Milliseconds
    latency_limit_ms: quantities.Milliseconds
    patience_ms: quantities.Milliseconds
    ring_frames: quantities.QueueLength
    nice: quantities.Niceness
    record: bool
    record_segment_s: quantities.Wait
    record_keep_days: quantities.Days
    record_max_mb: quantities.StoreSize
    predictions: str
    motion_maps: str
    events: str
    outbox: str
    window: bool
    web: bool
    web_host: str
    web_port: quantities.Port
    web_fps: quantities.Rate
    web_token_file: str


class StoreConfig(Section, frozen=True, kw_only=True):
    """The ``[store]`` section."""

    file: str
    keep_days: quantities.Days
    max_mb: quantities.StoreSize


class EvidenceConfig(Section, frozen=True, kw_only=True):
    """The ``[evidence]`` section."""

    folder: str
    before_s: quantities.ClipPart
    after_s: quantities.ClipPart
    most_s: quantities.ClipPart
    keep_days: quantities.Days
    max_mb: quantities.StoreSize
    memory_mb: quantities.MessageSize


class WatchConfig(Section, frozen=True, kw_only=True):
    """The ``[watch]`` section."""

    file: str
    follow_camera: bool


class TerminalConfig(Section, frozen=True, kw_only=True):
    """The ``[terminal]`` section."""

    live: bool
    refresh_fps: quantities.Rate


class EndpointsConfig(Section, frozen=True, kw_only=True):
    """The ``[endpoints]`` section."""

    frames: Endpoints
    predictions: Endpoints
    capture_stats: Endpoints
    inference_stats: Endpoints
    sink_stats: Endpoints


class WireConfig(Section, frozen=True, kw_only=True):
    """The ``[wire]`` section."""

    queue_frames: quantities.QueueLength
    max_frame_mb: quantities.MessageSize
    max_memory_mb: quantities.MessageSize
    heartbeat_ms: quantities.WholeMilliseconds
    heartbeat_timeout_ms: quantities.WholeMilliseconds
    max_frame_age_ms: quantities.FrameAge
    stats_interval_s: quantities.Interval


class ServersConfig(Section, frozen=True, kw_only=True):
    """The ``[security.servers]`` section."""

    capture: str
    inference: str
    sink: str


class SecurityConfig(Section, frozen=True, kw_only=True):
    """The ``[security]`` section."""

    secret_key: str
    allowed: str
    insecure: bool
    servers: ServersConfig


class ControlConfig(Section, frozen=True, kw_only=True):
    """The ``[control]`` section."""

    listen: Listen
    token_file: str


class Config(Section, frozen=True, kw_only=True):
    """The whole configuration."""

    streams: list[StreamConfig]
    run: RunConfig
    capture: CaptureConfig
    freshness: FreshnessConfig
    inference: InferenceConfig
    runtime: RuntimeConfig
    history: HistoryConfig
    sink: SinkConfig
    watch: WatchConfig
    store: StoreConfig
    evidence: EvidenceConfig
    terminal: TerminalConfig
    endpoints: EndpointsConfig
    wire: WireConfig
    security: SecurityConfig
    control: ControlConfig
    zones: Zones = {}
    lines: Lines = {}
    rules: Rules = {}
    views: Views = {}
    ground: Grounds = {}
    outlets: Outlets = {}

    def __post_init__(self) -> None:
        self.watched()
        ids = [stream.id for stream in self.streams]
        twice = next((name for name in ids if ids.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two streams are called {twice!r}: give each its own id")
        if self.sink.motion_maps and not self.inference.motion_maps:
            raise ValueError("sink.motion_maps needs inference.motion_maps=true: without it no maps are sent")
        if 0 < self.run.hung_after_s <= 2 * self.wire.stats_interval_s:
            raise ValueError(
                f"run.hung_after_s ({self.run.hung_after_s:g}) must be more than twice wire.stats_interval_s "
                f"({self.wire.stats_interval_s:g}), or every worker would look hung; 0 disables the check"
            )

    def watched(self) -> Watch:
        """The zones, lines, rules, views and ground calibrations."""
        return Watch(**{name: getattr(self, name) for name in Watch.__struct_fields__})

    def store_file(self) -> Path | None:
        """Path of the event store; None if events are not stored."""
        if self.store.file != "auto":
            return Path(self.store.file) if self.store.file else None
        return Path(self.run.output_dir) / "events.sqlite3" if self.run.output_dir else None

    def evidence_folder(self) -> Path | None:
        """Folder for images and clips of events; None if they are not kept."""
        if self.evidence.folder != "auto":
            return Path(self.evidence.folder) if self.evidence.folder else None
        return Path(self.run.output_dir) / "evidence" if self.run.output_dir else None


def load_config(
    path: str | Path | None = None, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> Config:
    """Merges the defaults, a file, single keys and command line options, in increasing priority.

    Args:
        path: A TOML file with the keys that differ from the defaults; None if there is none.
        overrides: ``"section.key=value"`` each, the value as in TOML; strings may be unquoted.
        options: Values by section and key.

    Raises:
        ConfigError: The file can't be read, is not TOML, or has an unknown key or an invalid value; the
            message names the key and the expected value.
    """
    defaults = tomllib.loads(resources.files("configs").joinpath("default.toml").read_text("utf-8"))
    config = fill(Config, [defaults], path, overrides, options, keys_in="configs/default.toml")
    return _with_watch_file(config) if config.watch.file else config


def load_watch(path: str | Path, views: Views | None = None) -> Watch:
    """Reads zones, lines, rules, views and ground calibrations from a separate file.

    Args:
        path: The file.
        views: Views to use if the file defines none.

    Raises:
        ConfigError: The file can't be read or is invalid; the message names the key and the error.
    """
    others = {"views": msgspec.to_builtins(views)} if views and "views" not in read_table(path) else {}
    return fill(Watch, [others], path, (), keys_in="docs/events.md")


def _with_watch_file(config: Config) -> Config:
    """Adds the entries of ``watch.file``; entries of the configuration take precedence."""
    watch = load_watch(config.watch.file)
    kinds = Watch.__struct_fields__
    together = {kind: {**getattr(watch, kind), **getattr(config, kind)} for kind in kinds}
    try:
        return msgspec.structs.replace(config, **together)
    except ValueError as error:
        raise ConfigError(f"{config.watch.file}: {error}") from None


def duration_ms(text: str) -> float:
    """Parses ``150ms``, ``2s`` or a bare number of milliseconds.

    Raises:
        ConfigError: The text is none of these.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|)\s*", text)
    if found is None:
        raise ConfigError(f"{text!r} is not a duration: use 150ms, 2s, or 150 for milliseconds")
    return float(found[1]) * (1000 if found[2] == "s" else 1)
