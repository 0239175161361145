import cv2
import numpy as np
import pytest

from pipeline.training.evaluation.opencv_baselines import BackgroundModel, fit_similarity, flow_baselines
from tests.training.evaluation.data_sets import passing_box, shifted_pair, textured


def test_names_of_the_rivals() -> None:
    assert list(flow_baselines()) == ["dis", "farneback"]
    assert list(flow_baselines(all_presets=True)) == ["dis", "dis_fast", "dis_ultrafast", "farneback"]


@pytest.mark.parametrize(("name", "most_px"), [("dis", 0.1), ("dis_fast", 0.2), ("farneback", 0.2)])
def test_flow_is_from_the_new_picture_to_the_past_one(name: str, most_px: float) -> None:
    new, past, truth = shifted_pair(3, -2)
    flow = flow_baselines(all_presets=True)[name](new, past)
    error = np.linalg.norm(flow - truth, axis=2)
    assert np.median(error) < most_px


def test_dis_starts_without_a_guess() -> None:
    new, past, truth = shifted_pair(20, -10, 256, 320)
    greys = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (new, past)]
    flow = flow_baselines()["dis"](new, past)
    preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    assert np.array_equal(flow, cv2.DISOpticalFlow.create(preset).calc(*greys, None))
    assert not np.array_equal(flow, cv2.DISOpticalFlow.create(preset).calc(*greys, np.zeros_like(truth)))


def test_pictures_of_several_sizes_one_after_another() -> None:
    for name, baseline in flow_baselines(all_presets=True).items():
        for height, width in ((96, 128), (256, 320), (64, 512)):
            new, past, truth = shifted_pair(3, 2, height, width)
            assert np.median(np.linalg.norm(baseline(new, past) - truth, axis=2)) < 0.2, name


def test_mog2_finds_a_moving_box_in_a_still_scene() -> None:
    background = BackgroundModel()
    for _ in range(40):
        learned = background.moving(textured(96, 128))
    assert not learned.any()
    for picture, (top, bottom, left, right) in passing_box(20):
        truth = np.zeros((96, 128), np.bool_)
        truth[top:bottom, left:right] = True
        moving = background.moving(picture)
        assert (moving & truth).sum() / (moving | truth).sum() > 0.7


def test_the_similarity_that_most_places_follow() -> None:
    places = np.stack(np.meshgrid(np.arange(0.0, 320, 4), np.arange(0.0, 240, 4)), axis=-1)
    scale, angle = 1.02, 0.03
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    truth = places @ turn.T + (4, -3) - places
    flow = truth.copy()
    flow[10:30, 10:40] += 20  # something that moves by itself
    assert np.allclose(fit_similarity(places, flow)(places), truth, atol=0.01)


def test_no_similarity_is_no_motion() -> None:
    places = np.zeros((1, 1, 2))
    assert np.array_equal(fit_similarity(places, places + 1)(places), places)
