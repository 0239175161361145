import msgspec
import pytest

from pipeline.view.web.board import picture_info
from pipeline.view.web.server import WebView
from tests.view.samples import frame, picture, prediction
from tests.view.web.chromium import open_page

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("chromium")]

ROWS = "() => [...document.querySelectorAll('.top li')].map(row => row.innerText.split(/\\s+/).join(' '))"


def test_the_card_lists_labels_of_one_percent_and_more_and_always_the_best():
    with open_page() as page, WebView("127.0.0.1", 0) as view:

        def show(seq, *top):
            labelled = msgspec.structs.replace(prediction(), top=list(top))
            info = picture_info(frame(seq=seq), labelled, fps=None, latency_ms=None)
            view.publish("door", picture(), info)
            page.wait_for_function(
                """seq => document.querySelector('[data-chip="frame"]')?.textContent.endsWith(`#${seq}`)""",
                arg=seq,
            )
            return page.evaluate(ROWS)

        page.goto(view.url)
        assert show(1, ("wave", 0.989), ("hop", 0.01), ("sit", 0.0099)) == ["wave 99%", "hop 1%"]
        assert show(2, ("a", 0.6), ("b", 0.3), ("c", 0.1)) == ["a 60%", "b 30%", "c 10%"]
        assert show(3, ("wave", 0.009), ("hop", 0.008)) == ["wave 1%"]
