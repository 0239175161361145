import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from pipeline.base.clock import now_ns
from pipeline.base.errors import UserError
from pipeline.base.event import rfc3339
from pipeline.events.archive import Chunk
from pipeline.events.motion_log import pack, unpack
from pipeline.events.store import Store
from pipeline.scene.rule_input import Look
from tests.base.test_sight import sight
from tests.events.samples import chunk, event
from tests.scene.walking import START_NS
from workers.commands.app import app

RULES = """
[zones.corner]
points = [[0.3, 0.4], [0.6, 0.4], [0.6, 0.9], [0.3, 0.9]]
[rules.visitor]
kind = "entered"
zone = "corner"
"""


@pytest.fixture
def store(place: Path) -> str:
    """A minute of the log, in which a thing enters the corner, and some events."""
    start = event(2, "start", id="a0")
    events = [
        event(1, id="a1"),
        start,
        event(5, "end", id="a2", start="a0"),
        event(3, id="a3", stream_id="back", kind="left", zone=None, line="gate"),
        event(4, id="a4", time=rfc3339(now_ns() - 30 * 10**9)),
    ]
    with Store(place / "s", 1e4, 10) as made:
        made.write(events, [chunk(second) for second in range(0, 60, 5)])
    return f"store.file={place / 's'}"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        app(["events", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def ids(text: str) -> list[str]:
    return [line.split()[2] for line in text.splitlines()]


def test_the_list_is_chosen_from(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "list", "--set", store)
    assert ids(lines) == ["a1", "a0", "a3", "a2", "a4"]
    first = datetime.fromtimestamp(START_NS / 1e9 + 1).strftime("%Y-%m-%d %H:%M:%S.000")
    assert lines.splitlines()[0] == f"{first}  a1  front: drive: something entered"
    assert ids(run(capsys, "list", "--set", store, "--since", "1h")) == ["a4"]
    assert ids(run(capsys, "list", "--set", store, "--since", rfc3339(START_NS + 5 * 10**9))) == ["a2", "a4"]
    assert ids(run(capsys, "list", "--set", store, "--stream", "back")) == ["a3"]
    assert ids(run(capsys, "list", "--set", store, "--kind", "moving")) == ["a0", "a2"]
    assert ids(run(capsys, "list", "--set", store, "--zone", "gate")) == ["a3"]
    as_json = [json.loads(line) for line in run(capsys, "list", "--set", store, "--json").splitlines()]
    assert [one["id"] for one in as_json] == ["a1", "a0", "a3", "a2", "a4"]


def test_an_event_is_shown_with_what_belongs_to_it(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "show", "a2", "--set", store)
    assert shown.index('"id": "a0"') < shown.index('"id": "a2"')
    assert '"start": "a0"' in shown


def test_an_event_is_shown_with_its_evidence(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, gone = place / "e" / "there", place / "e" / "gone"
    there.mkdir(parents=True)
    (there / "snapshot.jpg").write_bytes(b"picture")
    with Store(place / "s", 1e4, 10) as made:
        made.write([event(1, id="a1", evidence=str(there)), event(2, id="a2", evidence=str(gone))], [])
    for number, said in (
        ("a1", f"{there}: snapshot.jpg"),
        ("a2", f"{gone} does not exist; it may have been deleted"),
    ):
        with pytest.raises(SystemExit):
            app(["events", "show", number, "--set", f"store.file={place / 's'}"])
        out, err = capsys.readouterr()
        assert json.loads(out)["id"] == number
        assert err == f"evidence: {said}\n"


def test_events_are_exported(store: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, more in (("e.json", ()), ("e.csv", ()), ("e.coco.json", ("--size", "640x480"))):
        told = run(capsys, "export", str(place / name), "--set", store, "--kind", "moving", *more)
        assert told == f"{place / name}: 2 events\n"
    assert [one["id"] for one in json.loads((place / "e.json").read_text())] == ["a0", "a2"]
    assert len((place / "e.csv").read_text().splitlines()) == 3
    assert len(json.loads((place / "e.coco.json").read_text())["images"]) == 2


def test_other_rules_are_run_over_what_moved(
    store: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "new.toml").write_text(RULES)
    lines = run(capsys, "--rules", str(place / "new.toml"), "--set", store)
    assert lines.endswith("front: corner: something entered, going right\n")
    (found,) = run(capsys, "--rules", str(place / "new.toml"), "--set", store, "--json").splitlines()
    assert json.loads(found)["rule"] == "visitor"
    with pytest.raises(SystemExit):
        app(["events", "--rules", str(place / "new.toml"), "--set", store, "--since", "1h"])
    assert "no events: the rules were run over 0 predictions" in capsys.readouterr().err


def test_rules_of_a_camera_with_views_take_those_of_the_configuration(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = [
        msgspec.structs.replace(part, sight=sight(view="gate"))
        for second in range(0, 60, 5)
        for part in unpack(chunk(second).data)
        if isinstance(part, Look)
    ]
    with Store(place / "s", 1e4, 10) as made:
        made.write([], [Chunk("front", START_NS, START_NS + 60 * 10**9, pack(looks))])
    store = f"store.file={place / 's'}"
    (place / "new.toml").write_text(RULES.replace("]]\n", "]]\nview = 'gate'\n"))
    (place / "site.toml").write_text("[views.yard]\npicture = 'y.png'\n[views.gate]\npicture = 'g.png'\n")
    rules = ("--rules", str(place / "new.toml"), "--set", store)
    lines = run(capsys, *rules, "--config", str(place / "site.toml"))
    assert lines.endswith("front: corner: something entered, going right\n")
    for text, reason in (
        (RULES.replace("]]\n", "]]\nview = 'gate'\n"), "new.toml: zones.corner: there is no view 'gate'"),
        (RULES, "front was recorded in the view 'gate', which the rules do not define: add [views.gate]"),
    ):
        (place / "new.toml").write_text(text)
        with pytest.raises(UserError, match=re.escape(reason)):
            app(["events", *rules])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["list", "--since", "5x"], "--since 5x: expected an age (90s, 30m, 24h, 7d) or a time (2026"),
        (["list", "--since", "2026-13-01"], "expected an age"),
        (["list", "--stream", "side"], "--stream side: unknown stream; available: back, front"),
        (
            ["list", "--kind", "flying"],
            "--kind flying: unknown kind; expected one of: moving, entered",
        ),
        (["show", "zz"], "zz: no such event; `events list` shows all ids"),
        (["export", "e.txt"], "e.txt: the name must end in .json, .csv or .coco.json"),
        (["export", "e.coco.json"], "give the image size, such as --size 1920x1080"),
        (["export", "nowhere/e.json"], "nowhere"),
        (["--rules", "no.toml"], "no.toml: no such configuration file"),
        (["list", "--set", "store.file=none"], "none: there are no events yet: run `python /"),
        (["list", "--set", "store.file="], "no events are stored: store.file is empty"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(store: str, place: Path, arguments: list[str], reason: str) -> None:
    program = Path(__file__).parents[3] / "run_stream.py"
    settings = [] if "--set" in arguments else ["--set", store]
    done = subprocess.run(
        [sys.executable, str(program), "events", *arguments, *settings],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert reason in done.stderr
