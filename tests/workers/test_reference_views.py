from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.base.config import load_config
from pipeline.base.frame import Image
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from pipeline.wire.messages import TakeView
from tests.model.small import small
from workers.base import WorkerError
from workers.reference_views import ReferenceViews

SECOND = 10**9
ZONE = "zones.yard.points=[[0.3, 0.3], [0.7, 0.3], [0.7, 0.9]]"


def picture(folder: Path) -> Path:
    path = folder / "gate.png"
    assert cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8))
    return path


def test_streams_in_which_something_is_watched_are_followed(tmp_path: Path) -> None:
    view = f"views.gate.picture='{picture(tmp_path)}'"
    config = load_config(None, [ZONE, "zones.yard.streams=['door']", view, "views.gate.streams=['door']"])
    homes = ReferenceViews(config, open_torch(small(motion=True), Options(device="cpu"))).home
    door = homes("door")
    assert door is not None
    assert door.is_due(0), "it has a view to look for"
    assert homes("garden") is None
    off = load_config(None, [ZONE, view, "watch.follow_camera=false"])
    assert ReferenceViews(off, open_torch(small(motion=True), Options(device="cpu"))).home("door") is None


def test_a_stream_with_a_view_is_followed_without_any_zone(tmp_path: Path) -> None:
    config = load_config(None, [f"views.gate={{picture='{picture(tmp_path)}', streams=['door']}}"])
    homes = ReferenceViews(config, open_torch(small(motion=True), Options(device="cpu"))).home
    assert homes("door") is not None, "camera_moved is told of it"
    assert homes("garden") is None


def test_a_picture_that_is_gone_and_a_network_without_dense_motion_are_told(tmp_path: Path) -> None:
    runtime = open_torch(small(), Options(device="cpu"))
    with pytest.raises(WorkerError, match="views need a network with dense motion"):
        ReferenceViews(load_config(None, [f"views.gate.picture='{picture(tmp_path)}'"]), runtime)
    with pytest.raises(WorkerError, match=r"views\.gate\.picture: .*gone\.png can't be read"):
        ReferenceViews(load_config(None, [f"views.gate.picture='{tmp_path / 'gone.png'}'"]), runtime)


def noise(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (80, 100, 3), np.uint8)


@pytest.mark.parametrize("is_named", [True, False])
def test_the_picture_of_a_view_that_was_taken_counts_after_a_restart(tmp_path: Path, is_named: bool) -> None:
    file = picture(tmp_path) if is_named else tmp_path / "view_door.png"
    config = load_config(None, [ZONE, *([f"views.gate.picture='{file}'"] if is_named else [])])
    runtime, told = open_torch(small(motion=True), Options(device="cpu")), list[str]()
    views = ReferenceViews(config, runtime, kept_in=tmp_path, report=told.append)
    wish = TakeView("door", 5)
    views.want(wish)
    assert views.is_wanted("door")
    assert not views.is_wanted("garden")
    assert views.keep("door", "gate" if is_named else "home", noise(7))
    views.want(wish)
    assert not views.is_wanted("door"), "it was repeated on its way"
    assert (cv2.imread(str(file)) == noise(7)).all()
    again = ReferenceViews(config, runtime, kept_in=tmp_path, is_restarted=True).home("door")
    new = ReferenceViews(config, runtime, kept_in=tmp_path).home("door")
    assert again is not None
    assert new is not None
    assert again.is_due(0), "there is a view to look for"
    assert new.is_due(0) == is_named, "what has no name counts for its run"
    assert told == [f"door: the current image is now its view {again.name}"]


def test_a_view_that_cannot_be_written_stays_as_it_is(tmp_path: Path) -> None:
    file = picture(tmp_path)
    told: list[str] = []
    config = load_config(None, [f"views.gate.picture='{file}'"])
    views = ReferenceViews(config, open_torch(small(motion=True), Options(device="cpu")), report=told.append)
    file.unlink()
    tmp_path.joinpath("gate.png").mkdir()
    views.want(TakeView("door", 5))
    assert not views.keep("door", "gate", noise(7))
    assert told == [f"door: the view is unchanged: {file} can't be written: Is a directory"]


@pytest.fixture(scope="module")
def views() -> ReferenceViews:
    return ReferenceViews(load_config(None, [ZONE]), open_torch(small(motion=True), Options(device="cpu")))


def test_a_wish_counts_though_the_clock_of_who_asks_was_set_back(views: ReferenceViews) -> None:
    views.want(TakeView("door", 900))
    assert views.keep("door", "home", noise(7))
    views.want(TakeView("door", 100))
    assert views.is_wanted("door"), "after the clock has jumped"
    assert views.keep("door", "home", noise(7))
    for asked_ns in (900, 100):
        views.want(TakeView("door", asked_ns))
        assert not views.is_wanted("door"), "it was repeated on its way"


def test_a_wish_that_is_not_repeated_is_forgotten(
    views: ReferenceViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_ns = 0
    monkeypatch.setattr("workers.reference_views.now_ns", lambda: time_ns)
    for _ in range(12):
        views.want(TakeView("yard", 5))
        time_ns += 9 * SECOND
    assert views.is_wanted("yard")
    time_ns += SECOND
    assert not views.is_wanted("yard"), "the camera may look elsewhere by now"


def test_wishes_for_streams_that_do_not_exist_take_no_memory(views: ReferenceViews) -> None:
    views.want(TakeView("door", 1))
    for number in range(1000):
        views.want(TakeView(f"made up {number}", 1))
    assert sum(views.is_wanted(f"made up {number}") for number in range(1000)) == 64
    views.want(TakeView("door", 1))
    assert views.is_wanted("door")
