"""docs/reference/http.md against the program: routes, evidence files, metrics and their labels."""

import re
import shlex
from pathlib import Path

import pytest
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from pipeline.base.evidence import FILES
from pipeline.view.web.server import WebView
from tests.test_recipes import labels_by_metric

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "http.md"


@pytest.fixture
def routes() -> dict[str, set[str]]:
    """Methods by path of the whole application, apart from the page's own files."""
    with WebView() as view:
        return methods(view._build_app("127.0.0.1").routes)


def methods(routes: list[BaseRoute], before: str = "") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for route in routes:
        match route:
            case Mount(routes=below) if below:
                found |= methods(below, before + route.path)
            case Route() | WebSocketRoute():
                path = before + route.path.replace(":path}", "}")
                found[path] = (getattr(route, "methods", None) or {"GET"}) - {"HEAD"}
    return found


def rows(heading: str) -> dict[str, str]:
    part = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", part, re.MULTILINE))


def test_every_route_is_on_the_page_and_no_other(routes: dict[str, set[str]]) -> None:
    on_the_page = rows("Routes")
    assert set(on_the_page) == set(routes)
    for path, known in routes.items():
        named = {verb for verb in ("PUT", "POST", "DELETE") if f"`{verb}`" in on_the_page[path]}
        assert named == known - {"GET"}, path
    files = on_the_page["/api/events/{event_id}/evidence/{name}"]
    assert set(re.findall(r"`(\w+\.\w+)`", files)) == set(FILES)


def test_every_address_of_an_example_is_a_route(routes: dict[str, set[str]]) -> None:
    asked = re.findall(r"http://127\.0\.0\.1:8642(/[^\s'?]+)", PAGE.read_text("utf-8"))
    assert len(asked) > 5
    patterns = [re.sub(r"\{[^}]+\}", "[^/]+", path) for path in routes]
    for path in asked:
        assert any(re.fullmatch(pattern, path) for pattern in patterns), path
    for line in re.findall(r"^curl .*$", PAGE.read_text("utf-8"), re.MULTILINE):
        shlex.split(line)


def test_every_metric_is_on_the_page_with_its_labels_and_no_other() -> None:
    known = {
        re.sub(r"_(bucket|sum|count)$", "", name): labels - {"le"}
        for name, labels in labels_by_metric().items()
    }
    found = {}
    for cell in rows("Metrics"):
        name, _, labels = cell.rstrip("}").partition("{")
        found[name] = set(labels.split(","))
    assert found == known
