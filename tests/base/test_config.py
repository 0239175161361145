import math
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from pipeline.base.config import Config, duration_ms, load_config
from pipeline.base.errors import ConfigError

Number: TypeAlias = msgspec.inspect.IntType | msgspec.inspect.FloatType
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", sorted(ROOT.glob("configs/two_machines/*.toml")), ids=lambda file: file.stem)
def test_shipped_files_fit_the_schema(file: Path) -> None:
    assert isinstance(load_config(file), Config)


def test_a_file_changes_only_its_own_keys(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[capture]\nencoding = "jpeg"\n')
    config, default = load_config(file), load_config()
    assert config.capture.encoding == "jpeg"
    assert config.capture.jpeg_quality == default.capture.jpeg_quality
    assert config.inference == default.inference


def test_overrides_win_over_the_file_and_text_needs_no_quotes(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[capture]\nencoding = "jpeg"\njpeg_quality = 50\n')
    config = load_config(file, ["capture.encoding=raw", "run.seconds=1.5"])
    assert (config.capture.encoding, config.capture.jpeg_quality, config.run.seconds) == ("raw", 50, 1.5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.frames=many", "run.frames"),
        ("run.frams=1", "run.frams"),
        ("speed=1", "speed"),
        ("capture.encoding=png", "capture.encoding"),
        ("capture.jpeg_quality=0", "capture.jpeg_quality"),
        ("endpoints.frames=['udp://x']", "endpoints.frames[0]"),
        ("history.spacing_ms=-1", "history.spacing_ms"),
        ("run.frames", "section.key=value"),
        ('streams=[{id="a", source="0"}, {id="a", source="1"}]', "'a'"),
        ('streams=[{id="a/b", source="0"}]', "streams[0].id"),
    ],
)
def test_an_error_names_the_key(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, [override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("capture.encoding=png", "encoding: 'png' is not allowed; expected one of: auto, jpeg, raw, shm;"),
        (
            "inference.longer_side_px=200",
            "inference.longer_side_px: must be a multiple of 32 from 0 to 1024;",
        ),
        (
            "runtime.backend=tpu",
            "runtime.backend: 'tpu' is not allowed; expected one of: auto, onnxruntime, openvino, torch;",
        ),
        (
            "capture.wait_for=['sink', 'x']",
            "capture.wait_for[1]: 'x' is not allowed; expected one of: inference, sink;",
        ),
        ("inference.precision=fp8", "'fp8' is not allowed; expected one of: auto, bf16, fp16, fp32, int8;"),
        ("inference.device=gpu", "inference.device: expected auto, cpu, cuda or cuda:N;"),
        ("endpoints.frames=['udp://x']", "endpoints.frames[0]: expected ipc://path or tcp://host:port;"),
        (
            'streams=[{id="a/b", source="0"}]',
            "streams[0].id: expected 1 to 64 printable characters",
        ),
        (
            'streams=[{id="a", source="0", policy="all"}]',
            "streams[0].policy: 'all' is not allowed; expected one of: auto, every, newest;",
        ),
    ],
)
def test_a_wrong_choice_lists_the_right_ones(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, [override])
    assert message in str(error.value)


def test_every_choice_of_the_schema_can_be_listed() -> None:
    """A pattern needs a description, or an error there would end in a traceback."""

    def patterns(node: object) -> list[msgspec.inspect.StrType]:
        match node:
            case msgspec.inspect.StructType():
                return [found for field in node.fields for found in patterns(field.type)]
            case msgspec.inspect.ListType():
                return patterns(node.item_type)
            case msgspec.inspect.Metadata():
                described = "description" in (node.extra_json_schema or {})
                return [] if described else patterns(node.type)
            case msgspec.inspect.StrType() if node.pattern:
                return [node]
        return []

    assert patterns(msgspec.inspect.type_info(Config)) == []


def numbers(node: object, place: str = "") -> Iterator[tuple[str, Number]]:
    """Every number of a schema, with its place as TOML names it."""
    match node:
        case msgspec.inspect.StructType():
            for field in node.fields:
                yield from numbers(field.type, f"{place}.{field.name}".lstrip("."))
        case msgspec.inspect.ListType():
            yield from numbers(node.item_type, f"{place}[]")
        case msgspec.inspect.Metadata():
            yield from numbers(node.type, place)
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            yield place, node


NUMBERS = dict(numbers(msgspec.inspect.type_info(Config)))


def test_the_walk_finds_the_numbers_of_the_schema() -> None:
    assert {"run.restart_backoff_s[]", "wire.max_frame_mb", "sink.web_port"} <= NUMBERS.keys()
    assert len(NUMBERS) > 40


@pytest.mark.parametrize("place", NUMBERS)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e30", str(10**30), str(-(10**30)), "9" * 5000])
def test_every_number_has_a_finite_range_and_refuses_what_is_outside(place: str, value: str) -> None:
    bounds = NUMBERS[place]
    assert bounds.ge is not None
    assert bounds.le is not None
    assert math.isfinite(bounds.ge)
    assert math.isfinite(bounds.le)
    key, is_list = place.removesuffix("[]"), place.endswith("[]")
    with pytest.raises(ConfigError) as error:
        load_config(None, [f"{key}=[{value}]" if is_list and len(value) < 99 else f"{key}={value}"])
    message = str(error.value)
    assert "\n" not in message
    assert key in message
    if not is_list or len(value) < 99:
        assert f" from {bounds.ge:.12g} to {bounds.le:.12g};" in message


def test_a_worker_may_be_silent_between_two_statistics() -> None:
    with pytest.raises(
        ConfigError, match=r"run\.hung_after_s \(3\) must be more than twice wire\.stats_interval_s"
    ):
        load_config(None, ["wire.stats_interval_s=2", "run.hung_after_s=3"])


def test_maps_are_saved_only_where_they_are_sent() -> None:
    with pytest.raises(ConfigError, match=r"sink\.motion_maps needs inference\.motion_maps=true"):
        load_config(None, ["sink.motion_maps=maps"])
    assert (
        load_config(None, ["sink.motion_maps=maps", "inference.motion_maps=true"]).sink.motion_maps == "maps"
    )


def test_unreadable_files_are_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[capture\n")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path / "none.toml", broken, binary, tmp_path):
        with pytest.raises(ConfigError, match=file.name) as error:
            load_config(file)
        assert "\n" not in str(error.value)


def test_a_password_in_a_mistyped_override_is_hidden() -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, ["rtsp://me:secret@camera/live"])
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "ms"), [("150", 150), ("150ms", 150), (" 2s ", 2000), ("0.5 s", 500), (".5", 0.5), ("0", 0)]
)
def test_durations_are_milliseconds_unless_they_say_otherwise(text: str, ms: float) -> None:
    assert duration_ms(text) == ms
