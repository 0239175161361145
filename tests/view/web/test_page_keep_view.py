"""A camera that looks elsewhere, on the page, in a real browser: the button that keeps what it shows."""

import threading
import time

import pytest

from pipeline.base.errors import UserError
from pipeline.view.web.server import WebView
from tests.events.samples import event
from tests.view.samples import picture
from tests.view.web.chromium import open_page
from tests.view.web.client import info

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("chromium")]

TOKEN = "0123456789abcdef"


class Camera:
    """What the sink does: takes the view unless told why not, and tells that ``camera_moved`` has ended."""

    def __init__(self):
        self.view, self.why_not = None, ""
        self.asked = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._moved = event(0, "start", "door", kind="camera_moved", rule=None, zone=None, thing=None)

    def turn_away(self):
        self.view.publish("door", picture(), info(1))
        self.view.tell(self._moved)

    def run(self, ended):
        """Sends frames as a camera does: a page that loads slowly gets the next one."""
        seq = 1
        while not ended.wait(0.2):
            seq += 1
            self.view.publish("door", picture(), info(seq))

    def take_view(self, stream_id):
        self.asked.append(stream_id)
        assert self.may_answer.wait(60)
        if self.why_not:
            raise UserError(self.why_not)
        self.view.tell(event(9, "end", "door", kind="camera_moved", start=self._moved.id, for_s=9.0))
        return ["kept in zones.toml", "gate.png was replaced on the machine that runs inference"]


@pytest.fixture
def camera():
    camera = Camera()
    with WebView("127.0.0.1", 0, token=TOKEN, take_view=camera.take_view) as camera.view:
        camera.turn_away()
        ended = threading.Event()
        running = threading.Thread(target=camera.run, args=(ended,))
        running.start()
        yield camera
        camera.may_answer.set()
        ended.set()
        running.join()


def ask(page):
    page.get_by_role("button", name="Keep this view of door").click()
    page.wait_for_selector("#keep[open]")


def send(page, token=None):
    if token is not None:
        page.get_by_label("Token").fill(token)
    page.locator("#keep").get_by_role("button", name="Keep this view").click()


def test_the_view_is_kept_with_the_token_and_the_camera_looks_elsewhere_no_more(camera):
    with open_page(viewport={"width": 390, "height": 800}) as page:
        page.goto(camera.view.url)
        ask(page)
        assert (
            page.locator(".moved p").inner_text().startswith("The camera has been pointing elsewhere since ")
        )
        assert page.evaluate("document.activeElement.type") == "password"
        camera.may_answer.clear()
        send(page, f" {TOKEN} ")
        page.get_by_role("button", name="Please wait").wait_for()
        assert page.locator("#keep .do").is_disabled()
        camera.may_answer.set()
        page.wait_for_selector("#keep .done p")
        assert page.locator("#keep .done p").all_inner_texts() == [
            "The new view is in use.",
            "Zones and lines: kept in zones.toml.",
            "gate.png was replaced on the machine that runs inference.",
        ]
        page.wait_for_selector(".moved", state="hidden")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert camera.asked == ["door"]


def test_the_token_is_asked_for_once_and_kept_by_the_tab_only(camera):
    camera.why_not = "door has no view"
    with open_page() as page:
        page.goto(camera.view.url)
        ask(page)
        send(page, TOKEN)
        page.get_by_text("Not changed: door has no view.").wait_for()
        assert page.get_by_label("Token").is_hidden()
        page.get_by_role("button", name="Cancel").click()
        page.reload()
        ask(page)
        assert page.get_by_label("Token").is_hidden()
        assert page.locator("#keep .refused").is_hidden()
        camera.why_not = ""
        send(page)
        page.get_by_text("The new view is in use.").wait_for()
        assert camera.asked == ["door", "door"]
        assert page.evaluate("Object.values(sessionStorage)") == [TOKEN]
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert page.locator("#keep input").input_value() == ""


def test_another_token_is_refused_and_asked_for_again(camera):
    with open_page() as page:
        page.goto(camera.view.url)
        ask(page)
        send(page, "short")
        assert page.evaluate("document.querySelector('#keep input').validity.patternMismatch")
        send(page, f"{TOKEN}0")
        page.get_by_text("Wrong token.").wait_for()
        assert camera.asked == []
        assert page.evaluate("sessionStorage.length") == 0
        send(page, TOKEN)
        page.get_by_text("The new view is in use.").wait_for()


def test_a_server_that_is_gone_is_said(camera):
    with open_page() as page:
        page.goto(camera.view.url)
        ask(page)
        camera.view.close()
        send(page, TOKEN)
        page.get_by_text("The server does not respond.").wait_for()
        assert page.evaluate("sessionStorage.length") == 0, "nobody has said that it is the token"


def test_without_a_token_of_the_sink_there_is_no_button(camera):
    with WebView("127.0.0.1", 0, take_view=camera.take_view) as camera.view, open_page() as page:
        page.goto(camera.view.url)
        camera.turn_away()
        page.get_by_text("The camera has been pointing elsewhere since").wait_for()
        assert page.locator(".moved button").is_hidden()


def test_what_is_not_kept_is_not_asked_for(camera):
    with open_page() as page:
        problems, asked = [], []
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(camera.view.url)
        page.get_by_text("Events are not stored.").wait_for()
        deadline_s = time.monotonic() + 60
        while not page.locator("#events li").count():  # it listens a little later
            assert time.monotonic() < deadline_s
            camera.view.tell(event(5, stream_id="door"))
            page.wait_for_timeout(50)
        assert [url for url in asked if url.endswith("/api/events")] == []
        assert problems == []
