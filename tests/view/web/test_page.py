import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pytest

from pipeline.base.clock import now_ns
from pipeline.base.event import Event, rfc3339
from pipeline.base.watched import Line, Watch, Zone
from pipeline.events.store import Store
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.view.recorder import Recorder
from pipeline.view.web.board import picture_info
from pipeline.view.web.server import WebView
from pipeline.view.web.troubles import Trouble
from tests.events.samples import motion_chunk
from tests.view.samples import CAMERA, MS, attention, frame, overlay_of, picture, prediction, thing
from tests.view.test_recorder import killed_recording
from tests.view.web.chromium import open_page
from tests.workers.sinks import sink
from workers.keeping import Keeping

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("chromium")]


MOVING = msgspec.structs.replace(thing((0.1, 0.1, 0.2, 0.2), 0.0), was=[(0.1, 0.1, 0.2, 0.2)] * 2)


class Feeder:
    """A sink that shows its streams 20 times a second."""

    def __init__(self, view, *streams):
        self.view, self.streams = view, list(streams)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        seq = 0
        image = np.full((240, 320, 3), (40, 40, 220), np.uint8)
        while not self._stop.wait(0.05):
            for stream_id in list(self.streams):
                one = frame(image, seq := seq + 1, truth="pan_left")
                moving = msgspec.structs.replace(prediction(), things=[MOVING], camera=CAMERA)
                info = picture_info(one, moving, fps=24.5, latency_ms=31.0)
                drawn = overlay_of(one, prediction(), attention(1, 0), [image, image])
                self.view.publish(stream_id, drawn, info)


PIXEL = """stream => {
    const canvas = document.querySelector(`[data-stream="${stream}"] canvas`);
    return [canvas.width, canvas.height, ...canvas.getContext("2d").getImageData(160, 40, 1, 1).data];
}"""
FRAME_CHIP = 'document.querySelector(\'[data-stream="{}"] [data-chip="frame"]\').textContent'
DOOR_FRAME, YARD_FRAME = FRAME_CHIP.format("door"), FRAME_CHIP.format("yard")


def connected(page, state):
    """What the header says while it is in a state: in one look, since a slow machine changes it any time."""
    return page.wait_for_function(
        """state => document.body.dataset.connection === state
            && document.getElementById("connection").textContent""",
        arg=state,
    ).json_value()


def test_page_shows_pictures_labels_and_the_end_of_the_server():
    with open_page(viewport={"width": 1100, "height": 800}) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        with WebView("127.0.0.1", 0) as view, Feeder(view, "door") as feeder:
            page.goto(view.url)
            page.wait_for_selector(".top li")
            assert connected(page, "live") == "live"
            width, height, red, green, blue, _ = page.evaluate(PIXEL, "door")
            assert (width, height) == (320, 240)
            assert red > 180
            assert max(green, blue) < 90
            assert page.locator(".top li b").all_inner_texts() == ["pan_left", "static", "zoom_in"]
            assert page.locator(".top li span").all_inner_texts() == ["75%", "20%", "5%"]
            assert page.locator(".top li").first.get_attribute("data-verdict") == "right"
            chips = page.locator(".chips li").all_inner_texts()
            assert chips[:3] == ["24.5 fps", "31 ms", "past 2/2"]
            page.wait_for_function(f"old => {DOOR_FRAME} !== old", arg=chips[3])
            assert page.locator("#tabs button").count() == 0
            feeder.streams.append("yard")
            page.get_by_role("button", name="yard", exact=True).click()
            page.wait_for_selector('[data-stream="door"][hidden]', state="attached")
            assert page.locator(".card:visible h2").all_inner_texts() == ["yard"]
        assert "disconnected" in connected(page, "disconnected")
        with WebView("127.0.0.1", urlsplit(view.url).port) as again, Feeder(again, "yard"):
            assert connected(page, "live") == "live"
            old = page.locator('[data-stream="yard"] [data-chip="frame"]').inner_text()
            page.wait_for_function(f"old => {YARD_FRAME} !== old", arg=old)
        assert problems == []


def test_silent_stream_is_said_to_be_silent():
    with open_page() as page, WebView("127.0.0.1", 0) as view:
        view.publish("door", picture(), picture_info(frame(), None, fps=None, latency_ms=None))
        page.goto(view.url)
        page.wait_for_selector('[data-stream="door"][data-state="stale"]')
        assert page.locator(".stale").inner_text().startswith("no new frame for")
        assert page.locator('[data-chip="past"]').inner_text() == "no prediction"


@pytest.mark.parametrize("width", [390, 1100])
def test_the_page_tells_what_moves_and_nothing_jumps(width):
    things = [thing((0.1, 0.1, 0.2, 0.2), 225.0, 0.05 + number / 10) for number in range(5)]
    with open_page(viewport={"width": width, "height": 800}) as page, WebView("127.0.0.1", 0) as view:

        def show(seq, things, camera):
            moving = msgspec.structs.replace(prediction(), things=things, camera=camera)
            view.publish("door", picture(), picture_info(frame(seq=seq), moving, fps=None, latency_ms=None))

        show(1, things, CAMERA)
        page.goto(view.url)
        page.wait_for_selector(".top li")
        words = "5 things moving: down-left 0.45 widths/s, down-left 0.35, down-left 0.25, 2 more"
        assert page.locator(".moving").inner_text() == words
        assert page.locator(".camera").inner_text() == "■ camera still"
        place = page.locator(".top").bounding_box()
        show(2, [], msgspec.structs.replace(CAMERA, speed=0.5, direction_deg=225.0, roll_deg=40.0))
        page.wait_for_function("() => document.querySelector('.moving').textContent === 'nothing moving'")
        assert page.locator(".top").bounding_box() == place
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        show(3, None, None)
        page.wait_for_selector(".moving", state="hidden")
        assert page.locator(".camera").is_hidden()


LABEL_ROWS = (
    "() => [...document.querySelectorAll('.top li')].map(row => row.innerText.split(/\\s+/).join(' '))"
)


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
            return page.evaluate(LABEL_ROWS)

        page.goto(view.url)
        assert show(1, ("wave", 0.989), ("hop", 0.01), ("sit", 0.0099)) == ["wave 99%", "hop 1%"]
        assert show(2, ("a", 0.6), ("b", 0.3), ("c", 0.1)) == ["a 60%", "b 30%", "c 10%"]
        assert show(3, ("wave", 0.009), ("hop", 0.008)) == ["wave 1%"]


def test_labels_and_names_of_any_script_and_length_can_be_read():
    with open_page(viewport={"width": 390, "height": 800}) as page, WebView("127.0.0.1", 0) as view:
        for name in ("жест 手", "door " * 12):
            top = [("日本語", 0.75), ("a_very_long_label_" * 9, 0.2)]
            labelled = msgspec.structs.replace(prediction(), top=top)
            view.publish(name, picture(), picture_info(frame(), labelled, fps=None, latency_ms=None))
        page.goto(view.url)
        page.wait_for_selector(".top li")
        page.wait_for_function("() => [...document.fonts].every(font => font.status === 'loaded')")
        for percent in page.locator(".top span").all():
            row, shown = percent.locator("..").bounding_box(), percent.bounding_box()
            assert shown["x"] + shown["width"] <= row["x"] + row["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert all(tab.bounding_box()["height"] < 40 for tab in page.locator("#tabs button").all())


# Chinese characters are as wide as they are high; the box for a missing one is narrower.
THREE_WIDE = """() => {
    const heading = document.querySelector("h2"), range = document.createRange();
    range.selectNodeContents(heading);
    const em = parseFloat(getComputedStyle(heading).fontSize);
    return Math.abs(range.getBoundingClientRect().width / em - 3) < 0.1;
}"""


def test_names_in_chinese_are_no_boxes():
    with open_page() as page, WebView("127.0.0.1", 0) as view:
        view.publish("手手手", picture(), picture_info(frame(), prediction(), fps=None, latency_ms=None))
        page.goto(view.url)
        page.wait_for_selector(".top li")
        page.wait_for_function(THREE_WIDE)


def looks_old(page):
    """Whether figures and labels are dimmed, and the words that say why."""
    page.wait_for_function("() => parseFloat(getComputedStyle(document.querySelector('.top')).opacity) < 0.5")
    assert float(page.evaluate("getComputedStyle(document.querySelector('.chips')).opacity")) < 0.5
    picture, panel = (page.locator(name).inner_text() for name in (".stale", ".old"))
    assert panel == f"{picture}: showing the last values"
    assert page.locator(".moving:visible, .camera:visible").count() == 0, "nothing is said to move now"
    return picture


LOOKS_LIVE = """() => {
    const shown = name => [...document.querySelectorAll(name)].filter(one => one.checkVisibility());
    const says = (name, words) => shown(name).some(one => one.innerText === words);
    return parseFloat(getComputedStyle(document.querySelector(".top")).opacity) === 1
        && shown(".old, .stale").length === 0
        && says(".moving", "1 thing moving: right 0.20 widths/s")
        && says(".camera", "■ camera still");
}"""


def test_what_is_no_longer_live_does_not_look_live():
    with open_page(viewport={"width": 1100, "height": 700}) as page:
        with WebView("127.0.0.1", 0) as view:
            with Feeder(view, "door"):
                page.goto(view.url)
                page.wait_for_selector(".top li")
                page.wait_for_function(LOOKS_LIVE)
            page.wait_for_selector('.card[data-state="stale"]')
            assert looks_old(page).startswith("no new frame for")
            view.end("door")
            page.wait_for_selector('.card[data-state="ended"]')
            assert looks_old(page) == "stream ended"
            assert connected(page, "ended") == "ended"
            with Feeder(view, "door"):
                page.wait_for_selector('.card[data-state="live"]')
                assert connected(page, "live") == "live"
                page.wait_for_function(LOOKS_LIVE)
        page.wait_for_selector('.card[data-state="lost"]')
        assert looks_old(page) == "connection lost"


def heard(page, words):
    return page.wait_for_function(
        """words => {
            const text = document.getElementById("connection").textContent;
            return text.startsWith(words) && text;
        }""",
        arg=words,
    ).json_value()


def test_the_header_says_the_worst_since_when_and_what_comes_next():
    with open_page() as page, WebView("127.0.0.1", 0) as view, Feeder(view, "door"):
        page.goto(view.url)
        assert connected(page, "live") == "live"
        since_ns = now_ns() - 3_000 * MS
        link = Trouble(words="link to capture at tcp://a:1 down", since_ns=since_ns)
        dead = Trouble(
            words="inference down", since_ns=since_ns, next="restarting", next_ns=now_ns() + 10**14
        )
        view.take_workers([dead, link], {})
        text = heard(page, "inference down since ")
        assert re.fullmatch(r"inference down since \d\d:\d\d:\d\d \(\d+ s\), restarting in \d+ s", text)
        assert page.locator("body").get_attribute("data-connection") == "trouble"
        assert page.title() == "! inference down - KVQ Stream"
        said = page.locator("#said").inner_text()
        assert re.fullmatch(r"inference down since \d\d:\d\d:\d\d", said), "nothing that counts up"
        assert page.locator("#also summary").inner_text() == "and 1 more problem"
        page.locator("#also summary").press("Enter")
        assert page.locator("#also li").inner_text().startswith("link to capture at tcp://a:1 down")
        view.take_workers([], {})
        assert connected(page, "live") == "live"
        assert page.locator("#also").is_hidden()


def test_a_page_that_gets_no_pictures_does_not_say_live():
    stop = threading.Event()
    with open_page() as page, WebView("127.0.0.1", 0) as view:

        def publish():
            seq = 0
            while not stop.wait(0.05):  # the server has pictures, and JPEG can't hold them
                one = picture_info(frame(seq=(seq := seq + 1)), prediction(), fps=20.0, latency_ms=9.0)
                view.publish("door", np.zeros((1, 70_000, 3), np.uint8), one)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            page.goto(view.url)
            heard(page, "door: this page receives no frames since ")
            assert page.locator("body").get_attribute("data-connection") == "trouble"
            page.wait_for_selector('.card[data-state="stale"]')
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_zones_lines_and_the_last_hour_are_shown_in_words_and_bars(scheme):
    watch = Watch(
        zones={"drive": Zone(points=[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])},
        lines={"gate": Line(points=[(0.5, 0.0), (0.5, 1.0)])},
    )
    counts = CrossingCounts()
    with (
        open_page(viewport={"width": 390, "height": 800}, color_scheme=scheme) as page,
        WebView("127.0.0.1", 0, watch=watch, crossed=counts) as view,
        Feeder(view, "door"),
    ):
        page.goto(view.url)
        page.wait_for_selector(".watched li")
        assert "○ quiet" in page.locator(".watched").inner_text()
        at = rfc3339(now_ns())
        view.tell(Event(id="1", time=at, stream_id="door", kind="moving", phase="start", zone="drive"))
        crossed = {"kind": "crossed", "phase": "once", "line": "gate", "why": {"way": "forward"}}
        counts.take(Event(id="2", time=at, stream_id="door", **crossed))
        page.wait_for_function("() => document.querySelector('.watched').innerText.includes('● moving')")
        assert "1 forward, 0 back" in page.locator(".watched").inner_text()
        page.wait_for_selector(".motion")
        assert "something moved 100% of the time" in page.locator(".motion figcaption").inner_text()
        label = page.locator(".motion svg").get_attribute("aria-label")
        assert label.endswith("now 100%")
        height, fill, ground = page.evaluate(
            """() => {
                const bar = document.querySelector(".motion rect:last-child"), style = getComputedStyle(bar);
                const card = getComputedStyle(document.querySelector(".card")).backgroundColor;
                return [bar.getBoundingClientRect().height, style.fill, card];
            }"""
        )
        assert height > 30
        assert contrast(fill, ground) > 3, "graphics need that much to be seen"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def contrast(one, other):
    """Of two colours as CSS computes them, by the formula of WCAG."""

    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


ATTACK = """async url => {
    const read = await fetch(url + "/healthz").then(r => r.text(), () => "refused");
    const heard = await new Promise(resolve => {
        const socket = new WebSocket(url.replace("http", "ws") + "/live");
        socket.onmessage = () => resolve("heard");
        socket.onclose = () => resolve("refused");
    });
    return [read, heard];
}"""


def test_page_from_elsewhere_sees_nothing(tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html><title>elsewhere</title>")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    handler.func.log_message = lambda *_: None
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as elsewhere,
        WebView("127.0.0.1", 0) as view,
        open_page() as page,
    ):
        thread = threading.Thread(target=elsewhere.serve_forever)
        thread.start()
        page.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
        outcome = page.evaluate(ATTACK, view.url)
        elsewhere.shutdown()
        thread.join()
    assert outcome == ["refused", "refused"]


HEIGHTS = "[...document.querySelectorAll('.motion rect')].map(bar => bar.height.baseVal.value)"


def test_a_new_sink_shows_the_motion_of_the_hour_before_it(tmp_path):
    minute_ns = 60 * 10**9
    this_ns = now_ns() // minute_ns * minute_ns
    with Store(tmp_path / "s", 30, 10) as store:
        for ago, moved in ((30, 60), (20, 15)):  # minutes, and for how many seconds of it something moved
            seconds = [(this_ns - ago * minute_ns + second * 10**9, second < moved) for second in range(60)]
            store.write([], [motion_chunk("door", seconds)])
    worker = sink(f"store.file={tmp_path / 's'}")
    with (
        worker.resources,
        WebView("127.0.0.1", 0, kept_motion=Keeping(worker).motion) as view,
        Feeder(view, "door"),
        open_page() as page,
    ):
        page.goto(view.url)
        page.wait_for_selector(".motion")
        earlier = [height for height in page.evaluate(HEIGHTS)[:50] if height]
        assert earlier == [pytest.approx(40.0), pytest.approx(10.0, abs=1.0)]
        titles = [title for title in page.locator(".motion title").all_text_contents() if title]
        assert titles[0].endswith("something moved 100% of this minute")
        assert page.locator(".motion figcaption").inner_text().startswith("Last 3")


def plays(page, path):
    page.goto(path.parent.as_uri() + "/player.html")
    page.wait_for_function("() => document.querySelector('video').currentTime > 0.2")
    return page.evaluate("(v => [v.videoWidth, v.videoHeight, v.error])(document.querySelector('video'))")


def test_recordings_play_in_a_browser(tmp_path):
    for name in ("finished", "killed"):
        (tmp_path / name).mkdir()
        player = '<!doctype html><video muted autoplay src="door.mp4"></video>'
        (tmp_path / name / "player.html").write_text(player)
    finished = tmp_path / "finished" / "door.mp4"
    with Recorder(finished) as recorder:
        for number in range(50):
            recorder.write(picture(321, 241, number), number * 40 * MS)
    killed = killed_recording(tmp_path / "killed" / "door.mp4")
    with open_page() as page:
        assert plays(page, finished) == [322, 242, None]
        assert plays(page, killed) == [320, 240, None]
