from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.base.config import load_config
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from tests.model.small import small
from workers.base import WorkerError
from workers.reference_views import open_homes

ZONE = "zones.yard.points=[[0.3, 0.3], [0.7, 0.3], [0.7, 0.9]]"


def picture(folder: Path) -> Path:
    path = folder / "gate.png"
    assert cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8))
    return path


def test_streams_in_which_something_is_watched_are_followed(tmp_path: Path) -> None:
    view = f"views.gate.picture='{picture(tmp_path)}'"
    config = load_config(None, [ZONE, "zones.yard.streams=['door']", view, "views.gate.streams=['door']"])
    homes = open_homes(config, open_torch(small(motion=True), Options(device="cpu")))
    door = homes("door")
    assert door is not None
    assert door.is_due(0), "it has a view to look for"
    assert homes("garden") is None
    off = load_config(None, [ZONE, view, "watch.follow_camera=false"])
    assert open_homes(off, open_torch(small(motion=True), Options(device="cpu")))("door") is None


def test_a_stream_with_a_view_is_followed_without_any_zone(tmp_path: Path) -> None:
    config = load_config(None, [f"views.gate={{picture='{picture(tmp_path)}', streams=['door']}}"])
    homes = open_homes(config, open_torch(small(motion=True), Options(device="cpu")))
    assert homes("door") is not None, "camera_moved is told of it"
    assert homes("garden") is None


def test_a_picture_that_is_gone_and_a_network_without_dense_motion_are_told(tmp_path: Path) -> None:
    runtime = open_torch(small(), Options(device="cpu"))
    with pytest.raises(WorkerError, match="views need a network with dense motion"):
        open_homes(load_config(None, [f"views.gate.picture='{picture(tmp_path)}'"]), runtime)
    with pytest.raises(WorkerError, match=r"views\.gate\.picture: .*gone\.png can't be read"):
        open_homes(load_config(None, [f"views.gate.picture='{tmp_path / 'gone.png'}'"]), runtime)
