import numpy as np
import pytest

from pipeline.base.frame import Image
from pipeline.scene.dense_motion import DenseMotion
from pipeline.training.evaluation.motion_fields import (
    MotionStream,
    affine_flow,
    camera_flow_at,
    flow_at,
    moving_at,
    network_size,
    open_spaced,
    uncertainty_at,
)
from tests.training.evaluation.data_sets import answer, textured


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((388, 584), (256, 384)),
        ((436, 1024), (160, 384)),
        ((240, 320), (256, 320)),
        ((240, 428), (224, 384)),
        ((640, 480), (384, 288)),
        ((20, 400), (32, 384)),
        ((10, 10), (32, 32)),
    ],
)
def test_pictures_have_sides_that_are_multiples_of_32_and_at_most_384(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert network_size(*size) == expected


def test_fields_come_back_in_pixels_of_the_picture() -> None:
    picture = textured(388, 584)
    motion = answer(picture, (3.0, -2.0), moving=True, uncertainty=0.5)
    flow = flow_at(motion, 388, 584)
    assert flow.shape == (388, 584, 2)
    assert np.allclose(flow, (3 * 584 / 384, -2 * 388 / 256))
    assert np.allclose(camera_flow_at(motion, 388, 584), flow, atol=1e-4)
    assert np.allclose(uncertainty_at(motion, 388, 584), 0.5 * (584 / 384 * 388 / 256) ** 0.5)
    assert moving_at(motion, 388, 584).all()
    assert not moving_at(answer(picture, (0.0, 0.0)), 388, 584).any()


def test_of_several_past_pictures_the_newest_counts_and_places_are_where_they_were() -> None:
    flow = np.zeros((2, 2, 8, 16), np.float32)
    flow[0] = 99
    flow[1, 0] = np.arange(16) * 4  # x to the right, in steps of one place
    moving = np.zeros((8, 16), np.float32)
    moving[2:4, 8:12] = 1
    camera = np.stack([np.eye(2, 3)] * 2).astype(np.float32)
    motion = DenseMotion(moving, flow, flow[:, 0], camera, np.array([True, True]), [80.0, 40.0], 0.5)
    # Places are the middles of blocks of four pixels: the first is at 1.5, the second at 5.5.
    assert np.allclose(flow_at(motion, 32, 64)[5, 2:62, 0], np.arange(2, 62) - 1.5, atol=1e-4)
    assert np.argwhere(moving_at(motion, 32, 64)).min(axis=0).tolist() == [8, 32]
    assert np.argwhere(moving_at(motion, 32, 64)).max(axis=0).tolist() == [15, 47]


def test_a_map_between_coordinates_is_a_flow_of_pixels() -> None:
    zoom = np.array([[0.5, 0, 0], [0, 0.5, 0]])
    flow = affine_flow(zoom, 4, 8)
    assert flow[0, 0].tolist() == [1.75, 0.75], "halfway from the middle of the first pixel to (4, 2)"
    assert flow[3, 7].tolist() == [-1.75, -0.75]
    turn = affine_flow(np.array([[0.0, -1, 0], [1, 0, 0]]), 4, 4)
    assert np.allclose(turn[0, 0], (3, 0)), "top left comes from top right"


def test_each_of_the_spaced_streams_sees_every_so_many_th_picture() -> None:
    opened: list[list[int]] = []

    def open_stream() -> MotionStream:
        seen: list[int] = []
        opened.append(seen)

        def step(picture: Image) -> DenseMotion:
            seen.append(int(picture[0, 0, 0]))
            return answer(picture, (float(picture[0, 0, 0]), 0.0))

        return step

    stream = open_spaced(open_stream, 2)
    found = [stream(np.full((32, 32, 3), n, np.uint8)).flow[-1, 0, 0, 0] for n in range(5)]
    assert opened == [[0, 2, 4], [1, 3]]
    assert found == [0, 1, 2, 3, 4]
