"""Events on the page, in a real browser: in words, with their evidence, as they happen."""

import json

import cv2
import pytest

from pipeline.events.store import Store
from pipeline.view.recorder import Recorder
from pipeline.view.web.server import WebView
from tests.events.samples import event
from tests.view.samples import MS, picture
from tests.view.web.chromium import open_page
from tests.view.web.client import info, kept_in

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("chromium")]


@pytest.fixture
def shown(tmp_path):
    """A page with a store and a folder of evidence."""
    path = tmp_path / "events.sqlite3"

    with (
        Store(path, 1e4, 100.0) as store,
        WebView("127.0.0.1", 0, kept=kept_in(path), evidence=lambda name: tmp_path / name) as view,
    ):
        for stream_id in ("front", "back"):
            view.publish(stream_id, picture(), info(1))
        yield view, store, tmp_path


def write_evidence(folder):
    folder.mkdir()
    for name in ("snapshot.jpg", "overlay.jpg", "matches.jpg"):
        cv2.imwrite(str(folder / name), picture(160, 120))
    for name in ("clip.mp4", "overlay.mp4"):
        with Recorder(folder / name) as recorder:
            for number in range(50):
                recorder.write(picture(160, 120, number), number * 40 * MS)
    (folder / "event.json").write_text(json.dumps({"clip": {"state": "whole"}}))


def rows(page):
    return page.locator("#events li:visible").all_inner_texts()


def test_what_was_before_and_what_happens_now(shown):
    view, store, _ = shown
    store.write([event(0, line="gate", zone=None, kind="crossed", why={"way": "forward"})], [])
    with open_page() as page:
        page.goto(view.url)
        page.wait_for_function("() => document.querySelectorAll('#events li').length === 1")
        assert "gate: crossed forward" in rows(page)[0]
        start = event(5, "start")
        view.tell(start)
        page.wait_for_function("() => document.querySelectorAll('#events li').length === 2")
        assert "drive: something is moving" in rows(page)[0], "the newest comes first"
        assert "ongoing" in rows(page)[0]
        assert page.locator("#told").inner_text() == "front: drive: something is moving"
        view.tell(event(9, "end", start=start.id, for_s=4.0, why={"ended": "the rules were changed"}))
        page.wait_for_function("() => document.querySelector('.lasted').textContent.includes('lasted 4 s')")
        assert "the rules were changed" in rows(page)[0]
        assert len(rows(page)) == 2, "an end belongs to its start"
        view.tell(event(11, stream_id="back"))
        page.wait_for_function("() => document.querySelectorAll('#events li').length === 3")
        page.get_by_role("button", name="back", exact=True).first.click()
        assert len(rows(page)) == 1


def test_an_event_opens_its_clip_and_why(shown):
    view, store, folder = shown
    one = event(0, speed=0.1234, direction_deg=180.0, why={"way": "forward", "least_overlap": 0.123456})
    write_evidence(folder / one.id)
    store.write([one], [])
    with open_page(viewport={"width": 390, "height": 800}) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(view.url)
        page.locator("#events li").scroll_into_view_if_needed()
        page.wait_for_function("() => document.querySelector('#events img')?.naturalWidth === 160")
        page.locator("#events button").focus()
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelector('video').currentTime > 0.2")
        assert page.locator("video").get_attribute("src").endswith("overlay.mp4")
        page.wait_for_function("() => document.querySelector('.matches').naturalWidth === 160")
        numbers = page.locator(".numbers").inner_text()
        for text in ("180°", "0.12 image widths/s", "least overlap", "0.123", "forward"):
            assert text in numbers
        page.get_by_label("without overlay").check()
        page.wait_for_function("() => document.querySelector('video').src.endsWith('clip.mp4')")
        page.evaluate("document.querySelector('video').currentTime = 1.5")
        page.wait_for_function("() => document.querySelector('video').currentTime >= 1.5")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("Escape")
        assert not page.locator("#event").is_visible()
        assert problems == []


def test_evidence_that_comes_later_is_shown_when_it_is_there(shown):
    view, _, folder = shown
    with open_page() as page:
        page.goto(view.url)
        page.wait_for_selector('body[data-connection="live"], body[data-connection="trouble"]')
        page.wait_for_load_state("networkidle")
        one = event(3)
        view.tell(one)
        page.locator("#events button").click()
        assert page.locator(".missing").inner_text() == "No images of this event are available (yet)."
        write_evidence(folder / one.id)
        page.wait_for_function("() => document.querySelector('video').currentTime > 0.2")
        assert page.locator("#event .missing").is_hidden()


def test_only_events_in_view_are_asked_about(shown):
    view, store, folder = shown
    events = [event(second) for second in range(60)]
    for one in (events[0], events[-1]):
        write_evidence(folder / one.id)
    store.write(events, [])
    with open_page(viewport={"width": 1200, "height": 700}) as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(view.url)
        page.wait_for_function("() => document.querySelector('#events img')?.naturalWidth === 160")
        assert not any(events[0].id in url for url in asked)
        page.locator("#events li").last.scroll_into_view_if_needed()
        page.wait_for_function(
            "id => [...document.images].some(image => image.src.includes(id))", arg=events[0].id
        )
        assert sum(url.endswith("/evidence") for url in asked) < 50


def test_words_of_a_hostile_peer_stay_text(shown):
    view, _, _ = shown
    with open_page() as page:
        page.goto(view.url)
        page.wait_for_selector("h2")
        view.tell(event(3, stream_id="<img src=x>", why={"<b>way</b>": "<img src=y>"}))
        page.locator("#events button").click()
        assert "<img src=y>" in page.locator(".numbers").inner_text()
        assert page.locator("#events .where").inner_text() == "<img src=x>"
