"""Where a place was before, in a real browser: asked with the mouse, and with keys alone."""

import msgspec
import pytest

from pipeline.view.web.board import Attended, picture_info
from pipeline.view.web.server import WebView
from tests.view.samples import attention, frame, picture, prediction, thing
from tests.view.web.chromium import open_page

pytestmark = pytest.mark.browser

MOVING = msgspec.structs.replace(
    thing((0.4, 0.4, 0.2, 0.2), 0.0), was=[(0.2, 0.4, 0.2, 0.2), (0.3, 0.4, 0.2, 0.2)]
)
LOADED = "() => [...document.querySelectorAll('.view img')].every(one => one.naturalWidth)"
FOUND = "words => document.querySelector('.found').textContent.includes(words)"
CELL = "document.querySelector('.now .cell.line')"
OPACITY = """([nth, cell]) => {
    const view = document.querySelector(`.before figure:nth-child(${nth})`);
    return view.querySelectorAll(".dim")[cell].getAttribute("fill-opacity");
}"""


@pytest.fixture
def view():
    """A stream whose content goes a cell to the right from frame to frame, and so does a thing."""
    told = msgspec.structs.replace(prediction(), things=[MOVING])
    image = picture(640, 160)
    with WebView("127.0.0.1", 0) as running:
        info = picture_info(frame(image), told, fps=None, latency_ms=None)
        attended = Attended(told, attention(dx=1, dy=0), image, [picture(256, 64), picture(256, 64)])
        running.publish("door", image, info, attended)
        yield running


def left_of(page, name):
    """Where marks begin, as shares of the picture: of t-1, then of t-2."""
    found = page.evaluate(
        """name => [...document.querySelectorAll(`.before .${name}.line`)].map((mark) => {
            const view = mark.ownerSVGElement.getBoundingClientRect();
            return (mark.getBoundingClientRect().x - view.x) / view.width;
        })""",
        name,
    )
    return [round(share, 2) for share in found]


@pytest.mark.parametrize(("width", "scheme"), [(1400, "dark"), (400, "light")])
def test_a_click_shows_where_that_place_was_before(view, width, scheme):
    with open_page(viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(view.url)
        page.wait_for_selector(".top li")
        page.locator("canvas").click()
        page.wait_for_selector(".before img")
        page.wait_for_function(LOADED)
        dialog = page.get_by_role("dialog", name="Where was this place in earlier frames?")
        assert dialog.get_by_role("status").inner_text() == (
            "100 ms before: 1 cell to the left; 200 ms before: 2 cells to the left"
        )
        assert left_of(page, "cell") == [round(2 / 7, 2), round(1 / 7, 2)]
        assert left_of(page, "thing") == [0.3, 0.2]
        names = page.locator(".looks figcaption b").all_inner_texts()
        assert names == ["now", "t-1", "t-2"]
        for nth, column in ((1, 2), (2, 1)):  # where the weight is the picture is as bright as it was
            shades = [float(page.evaluate(OPACITY, [nth, 3 * 7 + one])) for one in range(7)]
            assert shades == [0.0 if one == column else max(shades) for one in range(7)]
            assert max(shades) > 0.5
        view_of_now = page.locator(".now .view").bounding_box()
        page.mouse.click(view_of_now["x"] + 2, view_of_now["y"] + 2)
        page.wait_for_function(FOUND, arg="at the same place")
        assert page.locator(".of-thing").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("Escape")
        assert not page.locator("dialog:visible").count()
        assert problems == []


def test_with_keys_alone(view):
    with open_page() as page:
        page.goto(view.url)
        page.wait_for_selector(".top li")
        page.get_by_role("button", name="Look back: find a place of door in earlier frames").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".before img")
        middle = page.locator(".now .cell.line").get_attribute("x")
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(f"old => {CELL}.getAttribute('x') !== old", arg=middle)
        moved = float(page.locator(".now .cell.line").get_attribute("x"))
        assert float(middle) - moved == pytest.approx(1 / 7, abs=1e-3)
        for _ in range(9):  # at the border it stays in the picture
            with page.expect_response("**/attention?*"):
                page.keyboard.press("ArrowUp")
        page.wait_for_function(f"() => Number({CELL}.getAttribute('y')) < 0.01")
        page.keyboard.press("Escape")
        assert not page.locator("dialog:visible").count()
        assert page.evaluate("document.activeElement.className") == "look-back"


def test_beside_the_picture_nothing_is_asked_and_what_is_missing_is_said(view):
    told = msgspec.structs.replace(prediction(), attention=None)
    view.publish("yard", picture(), picture_info(frame(), told, fps=None, latency_ms=None))
    with open_page(viewport={"width": 1400, "height": 500}) as page:
        page.goto(f"{view.url}/#yard")
        page.wait_for_selector(".top li")
        canvas = page.locator("[data-stream=yard] canvas")
        box = canvas.bounding_box()
        assert box["width"] / box["height"] > 2, "there is room beside the picture"
        canvas.click(position={"x": 5, "y": 50})
        assert not page.locator("dialog:visible").count()
        canvas.click()
        page.wait_for_selector("#attention .refused:visible")
        assert "inference.attention=true" in page.locator("#attention .refused").inner_text()
        assert page.locator(".looks").is_hidden()
