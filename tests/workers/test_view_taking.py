"""What a camera shows becomes its view: zones go along, and it holds over a restart of inference."""

import json
import signal
import threading
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from pipeline.base.config import load_config, load_watch
from pipeline.base.errors import UserError
from pipeline.base.frame import Image
from pipeline.base.sight import Sight
from pipeline.base.watched import Line, Watch, Zone
from pipeline.wire.messages import Prediction, TakeView
from tests.base.test_sight import sight
from tests.support import free_port, people_walking
from tests.workers.page import page, request
from tests.workers.pipeline import Pipeline, streams
from tests.workers.program import START_S, until
from workers.asking import Request
from workers.view_taking import ViewTaking
from workers.watch_replacing import WatchReplacing

DRIVE = Zone(points=[(0.3, 0.3), (0.5, 0.3), (0.5, 0.7), (0.3, 0.7)])
ASKED = ("door",)


def prediction(seen: Sight | None, stream_id: str = "door") -> Prediction:
    return Prediction(
        stream_id=stream_id,
        session=1,
        epoch=0,
        seq=0,
        capture_ns=1,
        top=[],
        past=[],
        policy="newest",
        sight=seen,
        received_ns=1,
        started_ns=1,
        predicted_ns=1,
    )


class Sink:
    """The sink's side of it: what was applied, and what inference was asked for."""

    def __init__(self, place: Path, *settings: str, zones: dict[str, Zone] | None = None) -> None:
        self.file = place / "zones.toml"
        drawn = {"drive": DRIVE} if zones is None else zones
        lines = [f"[zones.{name}]\npoints = {json.dumps(zone.points)}" for name, zone in drawn.items()]
        self.file.write_text("\n".join(lines))
        config = load_config(None, [f"watch.file={self.file}", *settings])
        self.replacing = WatchReplacing(config, is_restarted=False, report=print)
        self.applied: list[tuple[Watch, str]] = []
        self.asked: list[TakeView] = []
        self.taking = ViewTaking(
            self.replacing, lambda watch, why: self.applied.append((watch, why)), self.asked.append
        )

    @property
    def is_asked(self) -> bool:
        return self.replacing.asking.pending(Request) is not None

    def answer(self, *seen: Sight | None, known: tuple[str, ...] = ASKED) -> list[str] | str:
        """The answer to who asks for the view of ``door``, or the refusal; one prediction after the other."""
        told: list[list[str] | str] = []

        def ask() -> None:
            try:
                told.append(self.taking.ask("door"))
            except UserError as error:
                told.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: self.is_asked, "it is asked for", START_S)
        for one in seen:
            self.taking.see(prediction(sight(offset=9j), "garden"), known)
            self.taking.see(prediction(one), known)
        thread.join(START_S)
        return told[0]


def test_zones_go_along_once_inference_has_taken_the_view(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    away, further, taken = sight(offset=0.1), sight(offset=0.2), sight(taken_ns=8)
    lasts, *notes = sink.answer(away, further, taken)
    assert lasts == f"kept in {sink.file}"
    assert notes == [
        "after a restart, the view is whatever the camera shows then: to keep this one, configure a "
        "view with an image file"
    ]
    ((watch, why),) = sink.applied
    assert why == "a new view was taken"
    assert watch.zones["drive"].points == [(0.5, 0.3), (0.7, 0.3), (0.7, 0.7), (0.5, 0.7)]
    assert load_watch(sink.file) == watch == sink.replacing.watch
    assert {one.stream_id for one in sink.asked} == {"door"}
    assert len({one.asked_ns for one in sink.asked}) == 1
    sink.taking.see(prediction(sight(taken_ns=9)), ASKED)
    assert len(sink.applied) == 1, "nobody has asked for that"


def test_where_the_view_is_lost_zones_stay_where_they_are_in_the_picture(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    before = sink.file.read_text()
    assert sink.answer(sight(offset=0.4, found=False), sight(taken_ns=8))[0] == "nothing had to be moved"
    assert sink.applied == []
    assert sink.file.read_text() == before


def test_a_named_view_that_is_read_again_or_another_preset_is_none_that_was_taken(tmp_path: Path) -> None:
    (tmp_path / "gate.png").touch()
    (tmp_path / "yard.png").touch()
    named = (f"views.{name}={{picture='{tmp_path / name}.png'}}" for name in ("gate", "yard"))
    sink = Sink(tmp_path, *named)
    seen = [sight(offset=0.1, view="gate", taken_ns=ns) for ns in (5, 0)] + [sight(view="yard", taken_ns=3)]
    back = sight(offset=0.05, view="gate")
    answer = sink.answer(*seen, back, back, sight(view="gate", taken_ns=8))
    assert answer[1:] == [f"{tmp_path / 'gate.png'} was replaced on the machine that runs inference"]
    ((watch, _),) = sink.applied
    assert watch.zones["drive"].points[0] == (0.35, 0.3), "as it was seen just before"


@pytest.mark.parametrize(
    ("seen", "settings", "known", "words"),
    [
        (None, (), ASKED, "door has no view"),
        (sight(offset=-0.6), (), ASKED, "zones.drive is no longer in the image: remove it or redraw"),
        (sight(offset=0.1), (), ("door", "garden"), "zones.drive also applies to garden"),
        (
            sight(offset=0.1),
            ("watch.file=",),
            ASKED,
            "zones.drive must move with the view, but would move back",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_done(
    tmp_path: Path, seen: Sight | None, settings: tuple[str, ...], known: tuple[str, ...], words: str
) -> None:
    zone = f"zones.drive.points={json.dumps(DRIVE.points)}"
    sink = Sink(tmp_path, *settings, *([zone] if settings else []))
    assert str(sink.answer(seen, known=known)).startswith(words)
    assert (sink.applied, sink.asked) == ([], [])


def test_a_zone_of_the_configuration_would_not_go_along_with_a_picture(tmp_path: Path) -> None:
    (tmp_path / "gate.png").touch()
    settings = [f"zones.yard.points={json.dumps(DRIVE.points)}", f"views.gate.picture='{tmp_path}/gate.png'"]
    sink = Sink(tmp_path, *settings, zones={})
    assert sink.answer(sight(offset=0.1, view="gate")) == (
        f"zones.yard is in the configuration file and can't be changed there: move it to {sink.file}"
    )


def test_who_asks_while_nothing_comes_or_the_sink_stops_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.asking.PATIENCE_S", 0.05)
    sink = Sink(tmp_path)
    assert sink.answer() == "no prediction of door for 10 s"
    assert not sink.is_asked
    assert str(sink.answer(sight(offset=0.1))).startswith("inference has not taken the view of door yet")
    sink.taking.see(prediction(sight(taken_ns=8)), ASKED)
    assert len(sink.applied) == 1, "zones go along all the same"
    monkeypatch.undo()
    told: list[str] = []

    def ask() -> None:
        with pytest.raises(UserError) as raised:
            sink.taking.ask("door")
        told.append(str(raised.value))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: sink.is_asked, "it is asked for", START_S)
    sink.replacing.asking.refuse("the sink is stopping")
    thread.join(START_S)
    ask()
    assert told == ["the sink is stopping"] * 2


GATE = Watch(lines={"gate": Line(points=[(0.5, 0.0), (0.5, 1.0)])})


def test_zones_are_put_before_or_after_a_view_that_nobody_waits_for_any_more_but_not_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads would write the file, and zones that were drawn in the old view apply in the new one."""
    monkeypatch.setattr("workers.asking.PATIENCE_S", 0.05)
    sink = Sink(tmp_path)
    assert str(sink.answer(sight(offset=0.1))).startswith("inference has not taken the view")
    before, wishes = sink.file.read_text(), len(sink.asked)
    with pytest.raises(UserError, match=r"not taken the view of door yet.*: try again in \d+ s"):
        sink.replacing.ask(GATE)
    assert sink.file.read_text() == before
    monkeypatch.setattr("workers.view_taking._AGAIN_NS", 0)
    sink.taking.see(prediction(sight(offset=0.1)), ASKED)
    assert len(sink.asked) == wishes, "inference is not asked again"
    sink.taking.see(prediction(sight(taken_ns=8)), ASKED)
    assert load_watch(sink.file) == sink.replacing.watch == sink.applied[-1][0], "zones go along"
    with pytest.raises(UserError, match="the sink does not answer"):
        sink.replacing.ask(GATE)  # it is handed over


def test_a_view_that_inference_never_takes_keeps_nobody_from_changes_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.asking.PATIENCE_S", 0.05)
    monkeypatch.setattr("workers.view_taking._TakeView.lasts_s", 0.0)
    sink = Sink(tmp_path)
    assert str(sink.answer(sight(offset=0.1))).startswith("inference has not taken the view")
    assert not sink.is_asked
    sink.taking.see(prediction(sight(taken_ns=8)), ASKED)
    assert sink.applied == []


SHIFT_PX, WIDTH_PX = 90, 400
FPS, TURNED_AT = 6, 42


def turned_camera(film: Path) -> Image:
    """Films a real scene with a camera that is turned after seven seconds, and its first picture."""
    images: list[Image] = []
    with av.open(people_walking()) as source:
        for number, frame in zip(range(TURNED_AT + 20 * FPS), source.decode(video=0), strict=False):
            scene = cv2.resize(frame.to_ndarray(format="bgr24"), (512, 384), interpolation=cv2.INTER_AREA)
            left = SHIFT_PX if number >= TURNED_AT else 0
            images.append(np.ascontiguousarray(scene[40:340, left : left + WIDTH_PX], np.uint8))
    with av.open(film, "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, 300, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, FPS)
        for number, image in enumerate(chain(images, *[images[TURNED_AT:]] * 5)):
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return images[0]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_cameras_that_were_turned_keep_their_new_views_and_zones(place: Path) -> None:
    """One has a view with a name, and so a picture of its own; the other has not."""
    film, file, gate = (place / name for name in ("film.mp4", "zones.toml", "gate.png"))
    first = turned_camera(film)
    assert cv2.imwrite(str(gate), first)
    drawn = [(0.5, 0.2), (0.8, 0.2), (0.8, 0.8), (0.5, 0.8)]
    zones = {"drive": "door", "lawn": "yard"}
    file.write_text(
        "\n".join(
            f"[zones.{zone}]\npoints = {json.dumps(drawn)}\nstreams = ['{camera}']"
            for zone, camera in zones.items()
        )
    )
    port, events = free_port(), place / "events.jsonl"
    options: dict[str, object] = {
        "watch.file": file,
        "inference.checkpoint": "motion_resnet18",
        "inference.longer_side_px": 128,
        "run.restart_backoff_s": "[0.2]",
        "views.gate": f"{{picture='{gate}', streams=['door']}}",
    }
    settings = page(place, port, options)
    source = streams(*({"id": camera, "source": str(film), "policy": "newest"} for camera in zones.values()))

    def told(phase: str) -> dict[str, dict[str, Any]]:
        lines = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
        found = [one for one in lines if (one["kind"], one["phase"]) == ("camera_moved", phase)]
        by_camera = {one["stream_id"]: one for one in found}
        assert len(by_camera) == len(found), "once for each camera"
        return by_camera

    with Pipeline(place, *settings, *source, "--events", str(events)) as run:
        run.wait_for_rendered("door", 1)
        until(lambda: len(told("start")) == 2, "the cameras were turned", 60.0)
        for zone, camera in zones.items():
            status, answer = request(port, "POST", f"/api/streams/{camera}/view")
            assert status == 200, answer
            assert answer["lasts"].startswith(f"kept in {file}")
            end = until(lambda camera=camera: told("end").get(camera), "that is over", START_S)
            assert end["start"] == told("start")[camera]["id"]
            assert end["why"] == {"ended": "a new view was taken"}
            points = request(port, "GET", "/api/zones")[1]["zones"][zone]["points"]
            away = [x - moved for (x, _), (moved, _) in zip(drawn, points, strict=True)]
            assert away == pytest.approx([SHIFT_PX / WIDTH_PX] * 4, abs=0.03)  # keys are 1/16 apart
            assert [list(point) for point in load_watch(file).zones[zone].points] == points
        run.kill("inference")
        for camera in zones.values():
            predicted = run.stream("inference", camera).predicted
            run.wait_until(
                "inference", camera, lambda stats, least=predicted + 5 * FPS: stats.predicted > least, 60.0
            )
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert len(told("start")) == 2, "after the restart the cameras look where their new views were taken"
    kept = cv2.imread(str(gate))
    assert kept is not None
    assert np.abs(kept.astype(int) - first).mean() > 10
