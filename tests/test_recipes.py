"""docs/recipes against the program: what a page shows is accepted as it stands there."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, get_args

import cv2
import msgspec
import pytest
import typer.main
from prometheus_client.parser import text_string_to_metric_families

from pipeline.base.config import load_config
from pipeline.base.event import Event, EventKind
from pipeline.base.watched import Watch, Zone
from pipeline.events.home_assistant import HomeAssistant
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.view.web.board import Board, picture_info
from pipeline.view.web.exposition import Metrics
from pipeline.view.web.zones_and_lines import ZonesAndLines
from tests.view.samples import frame, picture, prediction, workers
from workers.commands.app import app

FOLDER = Path(__file__).parents[1] / "docs" / "recipes"
PAGES = sorted(path.name for path in FOLDER.glob("*.md"))
RECIPES = [name for name in PAGES if name != "README.md"]
GIVEN = {"--config": r"`([\w./]+\.toml)`", "--rules": r"`([\w./]+\.toml)`"}
"""Options that name a file which the page itself gives, and how it names that file."""


def text_of(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(name), re.DOTALL | re.MULTILINE)


def commands() -> list[tuple[str, list[str]]]:
    """Name of the page, and the arguments of each ``run_stream.py``; also in a sentence."""
    return [
        (name, shlex.split(line.partition(" | ")[0]))
        for name in RECIPES
        for line in re.findall(r"python run_stream\.py ([^`\n]*)", text_of(name))
    ]


def parsed(command: Any, arguments: list[str]) -> dict[str, Any]:
    """The options of a command, those of its groups included, as typer reads them.

    Raises:
        click.UsageError: There is no such command or option.
    """
    context = command.context_class(command)
    options, rest, _ = command.make_parser(context).parse_args(list(arguments))
    if not rest or not hasattr(command, "get_command"):
        return dict(options)
    sub = command.get_command(context, rest[0])
    assert sub is not None, f"no command {rest[0]}"
    return options | parsed(sub, rest[1:])


def test_the_index_has_every_recipe_once_and_no_link_leads_nowhere() -> None:
    linked = re.findall(r"^\| \[[^]]+\]\((\w+\.md)\)", text_of("README.md"), re.MULTILINE)
    assert sorted(linked) == RECIPES
    for name in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text_of(name)):
            assert (FOLDER / target).exists(), f"{name}: {target}"


@pytest.mark.parametrize("name", RECIPES)
def test_tables_are_configurations(name: str) -> None:
    found = blocks(name, "toml")
    assert found or name == "grafana.md"
    for block in found:
        config = load_config(None, [], tomllib.loads(block))
        assert config.outlets or config.watched().lines


def test_commands_have_options_and_keys_that_exist() -> None:
    found = commands()
    assert len(found) >= len(RECIPES)
    for name, arguments in found:
        options = parsed(typer.main.get_command(app), arguments)
        load_config(None, options.get("overrides") or [])
        for option, pattern in GIVEN.items():
            if option in arguments:
                assert arguments[arguments.index(option) + 1] in re.findall(pattern, text_of(name)), name


def test_an_option_that_does_not_exist_is_noticed() -> None:
    for wrong in (["--souce", "0"], ["events", "export", "a.csv", "--sinse", "7d"]):
        with pytest.raises(Exception, match=r"[Nn]o such option"):
            parsed(typer.main.get_command(app), wrong)


@pytest.mark.parametrize("name", RECIPES)
def test_events_that_are_shown_have_keys_and_kinds_of_events(name: str) -> None:
    for block in blocks(name, "json"):
        for line in block.splitlines():
            event = json.loads(line)
            assert event.keys() <= set(Event.__struct_fields__)
            assert event["kind"] in get_args(EventKind)


def test_the_dashboard_asks_for_metrics_and_labels_that_the_sink_has() -> None:
    panels = json.loads(text_of("grafana.json"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    on_the_page = re.findall(r"^\| [^|]+ \| `([^`]*)` \|$", text_of("grafana.md"), re.MULTILINE)
    assert on_the_page
    assert set(on_the_page) <= set(queries)
    known, used = labels_by_metric(), set()
    for query in [*queries, *re.findall(r"`(kvq_[^`]*)`", text_of("grafana.md"))]:
        for metric, selector in re.findall(r"(kvq_\w+)(?:\{([^}]*)\})?", query):
            asked = re.findall(r"(\w+)!?=", selector)
            asked += [label for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(", ")]
            assert metric in known, query
            assert set(asked) <= known[metric], query
            used.add(metric)
    sums = {"kvq_stage_latency_seconds_count", "kvq_stage_latency_seconds_sum"}
    assert known.keys() - used == {*sums, "kvq_unpredicted_frames_total"}  # the last is what KEDA scales by


def labels_by_metric() -> dict[str, set[str]]:
    """Of each series of a sink in which everything has happened, as a Prometheus server reads them."""
    stats, board, seen = workers(1)[2], Board(), frame()
    stats.stream("camera-0").events = {"moving": 1}
    known = msgspec.structs.replace(prediction(), things=[])
    board.publish("camera-0", picture(), picture_info(seen, known, fps=None, latency_ms=None))
    watch = Watch(zones={"drive": Zone(points=[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])})
    metrics = Metrics(board, ZonesAndLines(watch, CrossingCounts()))
    metrics.take_stats(stats, [])
    families = text_string_to_metric_families(metrics.text().decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def test_the_flow_listens_where_events_are_sent_and_is_wired() -> None:
    nodes = {node["id"]: node for node in json.loads(text_of("node_red_flow.json"))}
    outlet = load_config(None, ["outlets.a={kind='mqtt', url='mqtt://x'}"]).outlets["a"]
    (listens,) = (node for node in nodes.values() if node["type"] == "mqtt in")
    assert listens["topic"] == HomeAssistant(outlet, Watch()).events_topic("S").replace("S", "+")
    assert listens["broker"] in nodes
    for node in nodes.values():
        assert {to for wires in node.get("wires", []) for to in wires} <= nodes.keys()
    (asked,) = (node["url"] for node in nodes.values() if node["type"] == "http in")
    assert f"curl http://127.0.0.1:1880{asked}\n" in text_of("node_red.md")


def test_home_assistant_is_told_of_the_entities_on_the_page() -> None:
    (table,) = blocks("home_assistant.md", "toml")
    config = load_config(None, [], tomllib.loads(table))
    home = HomeAssistant(config.outlets["home"], config.watched())
    home.add_stream("front")
    home.note(Event(id="1", time="", stream_id="front", kind="covered", phase="start"))
    told = set()
    for topic, payload in home.pop_changes().items():
        if topic.startswith("homeassistant/"):
            sensor = json.loads(payload)
            name = f"{sensor['device']['name']} {sensor['name']}".replace(" ", "_")
            told.add(f"{topic.split('/')[1]}.{name}")
    page = text_of("home_assistant.md")
    assert set(re.findall(r"^\| `([\w.]+)`", page, re.MULTILINE)) == told
    card, automation = blocks("home_assistant.md", "yaml")
    assert set(re.findall(r"entity: ([\w.]+)", card)) <= told
    assert f"topic: {home.events_topic('front')}\n" in automation


def test_the_film_of_the_conveyor_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("conveyor.md", "python")
    short = code.replace("range(40 * 25)", "range(50)")
    assert short != code
    exec(short, {})
    film = cv2.VideoCapture("belt.mp4")
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 50
    film.release()
