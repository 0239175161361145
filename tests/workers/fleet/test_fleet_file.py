import msgspec
import pytest

from pipeline.base.errors import ConfigError
from workers.fleet.fleet_file import Fleet, FleetStream, load_fleet, new_stream

WHOLE = """
name = "town"
pipeline = "pipeline.toml"
lease_s = 3.0

[inference]
labels = { gpu = "true" }
gpus = 0.5
scaling = { least = 2, most = 6 }

[capture.north]
labels = { site = "north" }
[capture.south]
cpus = 0.5

[placement]
spare = 0.2

[[streams]]
id = "gate"
source = "rtsp://camera/live"
capture = "north"
policy = "newest"
"""


def refusal(folder, text, overrides=()):
    file = folder / "fleet.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_fleet(file, overrides)
    line = str(refused.value)
    assert "\n" not in line
    return line


def test_a_whole_file(tmp_path):
    (tmp_path / "fleet.toml").write_text(WHOLE)
    (tmp_path / "pipeline.toml").write_text("[inference]\nthreads = 3\n")
    fleet, config = load_fleet(tmp_path / "fleet.toml", ["sink.web=false"])
    assert (fleet.name, fleet.lease_s, fleet.inference.gpus) == ("town", 3.0, 0.5)
    assert (fleet.inference.scaling.least, fleet.placement.spare, fleet.placement.settle_s) == (2, 0.2, 60.0)
    assert (fleet.capture["north"].labels, fleet.capture["south"].cpus) == ({"site": "north"}, 0.5)
    assert fleet.capture_of(fleet.streams[0]) == "north"
    assert (config.inference.threads, config.sink.web) == (3, False)
    assert msgspec.json.decode(msgspec.json.encode(fleet), type=Fleet) == fleet, "it goes to another machine"


def test_an_empty_file_is_a_fleet_with_one_of_each(tmp_path):
    (tmp_path / "fleet.toml").write_text("")
    fleet, _ = load_fleet(tmp_path / "fleet.toml")
    assert (fleet.name, list(fleet.capture), fleet.inference.scaling.least) == ("kvq", ["capture"], 1)
    assert fleet.capture_of(new_stream("gate", "demo", "")) == "capture"


STREAM = '[[streams]]\nid = "gate"\nsource = "demo"\n'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lease = 3", ["lease", "docs/fleet.md"]),
        ("[inference]\nleast = 2", ["inference", "least"]),
        ("[inference]\nscaling = { least = 0 }", ["inference.scaling.least"]),
        ("[inference]\nscaling = { least = 3, most = 2 }", ["inference.scaling", "least", "most"]),
        ("[inference]\ngpus = -1", ["inference.gpus"]),
        ("[sink]\nlabels = 'here'", ["sink.labels"]),
        ("beat_s = 1.0\nlease_s = 1.5", ["lease_s (1.5)", "beat_s (1)"]),
        ("name = 'a/b'", ["name"]),
        ("[capture]", ["capture"]),
        (STREAM * 2, ["two streams are called 'gate'"]),
        (f"{STREAM}capture = 'nroth'\n[capture.north]", ["'gate'", "[capture.nroth]", "north"]),
        (f"{STREAM}[capture.north]\n[capture.south]", ["'gate'", "north, south"]),
        ("[[streams]]\nid = 'gate'", ["streams", "source"]),
        (f"{STREAM}polcy = 'newest'", ["polcy"]),
        ("name = ", ["not valid TOML"]),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_key(tmp_path, text, parts):
    line = refusal(tmp_path, text)
    assert [part for part in [*parts, "fleet.toml"] if part not in line] == [], line


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (STREAM, "remove [[streams]]: a fleet's streams belong in"),
        ("[inference]\nworkers = 2", "inference.workers"),
        ("[inference]\nname = 'a'\nshared_by = ['a', 'b']", "shared_by"),
        ("[control]\nlisten = '127.0.0.1:8100'", "control.listen"),
        ("[inference]\nthread = 3", "inference.thread"),
    ],
)
def test_what_a_fleet_sets_itself_does_not_stand_in_the_configuration_of_its_workers(tmp_path, text, part):
    (tmp_path / "pipeline.toml").write_text(text)
    line = refusal(tmp_path, "pipeline = 'pipeline.toml'")
    assert part in line
    assert "pipeline.toml" in line


def test_an_override_is_told_as_what_it_is(tmp_path):
    line = refusal(tmp_path, "", ["control.listen=127.0.0.1:8100"])
    assert "control.listen" in line
    assert "None" not in line


@pytest.mark.parametrize("key", ["inference.cpus", "capture.north.gpus", "lease_s"])
def test_an_override_that_belongs_in_the_file_of_the_fleet_is_told_where_it_belongs(tmp_path, key):
    (tmp_path / "pipeline.toml").write_text("")
    line = refusal(tmp_path, "pipeline = 'pipeline.toml'", ["sink.web=false", f"{key} = 3"])
    assert line == (
        f"--set {key}: a key of {tmp_path / 'fleet.toml'}: change it there; "
        "--set changes keys of the workers' configuration"
    )


@pytest.mark.parametrize("override", ["inference.cpu=1", "inference.threads=many", "inference.cpus"])
def test_an_override_that_belongs_nowhere_is_told_as_before(tmp_path, override):
    assert "change it there" not in refusal(tmp_path, "", [override])


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ConfigError, match="nosuch"):
        load_fleet(tmp_path / "nosuch.toml")
    assert "nosuch.toml" in refusal(tmp_path, "pipeline = 'nosuch.toml'")


def test_a_camera_that_is_added_is_checked_too():
    assert new_stream("gate", "demo", "north") == FleetStream(id="gate", source="demo", capture="north")
    with pytest.raises(ConfigError, match="id") as refused:
        new_stream("a/b", "demo", "")
    assert "\n" not in str(refused.value)
