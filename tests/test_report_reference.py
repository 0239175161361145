"""docs/reference/report.md against the program: keys, stages and reasons."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from pipeline.account.ledger import END_TO_END, STAGES, build_report
from pipeline.account.stats import Freshness
from tests.account.test_ledger import worker

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "report.md"
REASON = re.compile(r"(capture|wire|inference|sink|lost)\.[a-z_]+")


def rows(heading: str) -> dict[str, str]:
    """First cells of the table below a heading, each name by itself, and the rest of its row."""
    part = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (`[^|]+`) \| (.*) \|$", part, re.MULTILINE)
    return {name: text for names, text in found for name in re.findall(r"`([^`]+)`", names)}


@cache
def nodes() -> tuple[ast.AST, ...]:
    """The whole program."""
    files = [*(ROOT / "workers").rglob("*.py"), *(ROOT / "pipeline").rglob("*.py")]
    return tuple(node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8"))))


def texts(*parts: ast.AST) -> set[str]:
    """All constant texts among or below some nodes."""
    below = (node for part in parts for node in ast.walk(part))
    return {node.value for node in below if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def counted(methods: set[str]) -> set[str]:
    """Reasons that are handed to methods of these names."""
    calls = [
        node
        for node in nodes()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods
    ]
    return {text for call in calls for text in texts(*call.args) if REASON.fullmatch(text)}


def test_the_keys_of_a_stream_are_on_the_page_and_no_others() -> None:
    stream = build_report([worker("capture", captured=1)], {})["streams"]["cam"]
    assert set(rows("Keys of `streams.<id>`")) == set(stream)
    assert set(rows("Keys of `streams.<id>.things`")) == set(stream["things"])
    assert set(Freshness.__struct_fields__) <= set(
        re.findall(r"`(\w+)`", rows("Keys of `streams.<id>`")["freshness"])
    )
    assert set(END_TO_END) <= set(re.findall(r"`(\w+)`", rows("Keys of `streams.<id>`")["latency_ms"]))


def test_the_keys_of_a_run_are_on_the_page_and_no_others() -> None:
    known = {"monitor", *build_report([], {})}  # the collector adds "monitor"
    for node in nodes():
        match node:
            case ast.Subscript(
                value=ast.Attribute(attr="details" | "_details"), slice=ast.Constant(value=key)
            ):
                known.add(key)
            case ast.Call(
                func=ast.Attribute(
                    attr="setdefault",
                    value=ast.Attribute(attr="details" | "_details") | ast.Name(id="details"),
                ),
                args=[ast.Constant(value=key), *_],
            ):
                known.add(key)
    assert {"lost", "web", "frames_sent"} <= known, "the search finds them"
    assert set(rows("Keys of the run")) == known


def test_the_stages_are_on_the_page_in_order() -> None:
    assert tuple(rows("Stages of `latency_ms.stages`")) == STAGES


@pytest.mark.parametrize(
    ("heading", "methods"),
    [("Reasons in `dropped`", {"drop"}), ("Reasons in `not_predicted`", {"skip", "_let_go"})],
)
def test_every_reason_is_on_the_page_and_no_other(heading: str, methods: set[str]) -> None:
    found, on_the_page = counted(methods), set(rows(heading))
    assert len(found) > 2, "the search finds them"
    assert found <= on_the_page
    everywhere = {node.value for node in nodes() if isinstance(node, ast.Constant)}
    built = {reason for reason in on_the_page if reason.endswith(".killed")}  # of the role, in the ledger
    assert on_the_page - built <= everywhere


def test_every_reason_of_a_reset_is_on_the_page_and_no_other() -> None:
    found = set()
    for file in ("pipeline/flow/gaps.py", "workers/cache_resets.py"):
        for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
            match node:
                case ast.keyword(arg="reset", value=value):
                    found |= texts(value)
                case ast.Assign(targets=[ast.Name(id="reason")], value=ast.Constant(value=str(text))):
                    found.add(text)
    assert set(rows("Reasons in `cache.resets`")) == found
