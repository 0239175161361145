import numpy as np
import pytest
import torch

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import Preprocessing
from pipeline.training.evaluation.network_motion import open_network_motion
from tests.training.evaluation.data_sets import textured


@pytest.fixture(scope="module")
def model() -> TemporalKVQResNetCBAM:
    torch.manual_seed(0)
    options = {"depth": 18, "num_classes": 9, "d_model": 32, "num_heads": 2, "image_size": 64}
    return TemporalKVQResNetCBAM(**options, motion=True).eval()


def test_fields_are_those_of_the_networks_own_step(model: TemporalKVQResNetCBAM) -> None:
    pictures = [textured(64, 96, seed) for seed in range(3)]
    stream = open_network_motion(model)()
    found = [stream(picture) for picture in pictures][-1]
    mean, std = np.array(model.preprocessing.mean), np.array(model.preprocessing.std)
    state = model.init_state(1, (64, 96))
    for picture in pictures:
        pixels = (picture[..., ::-1] / 255 - mean) / std  # red first
        frame = torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32))
        with torch.inference_mode():
            output, state = model.step(frame, state)
    for name in ("flow", "uncertainty", "moving", "camera"):
        field = getattr(found, name)
        assert field.dtype == np.float32
        assert np.allclose(field, getattr(output, name)[0].numpy(), atol=1e-4), name
    assert found.flow.shape == (2, 2, 16, 24)
    assert found.slots == (0, 1)


def test_each_stream_has_a_past_of_its_own(model: TemporalKVQResNetCBAM) -> None:
    open_stream = open_network_motion(model)
    first, second = open_stream(), open_stream()
    picture = textured(64, 64)
    first(textured(64, 64, seed=1))
    assert np.abs(first(picture).flow[-1]).max() > 0
    blank = second(picture)
    assert not blank.flow.any()
    assert blank.slots == ()


def test_large_pictures_are_shrunk_and_keep_their_aspect(model: TemporalKVQResNetCBAM) -> None:
    stream = open_network_motion(model)()
    stream(textured(388, 584))
    fields = stream(textured(388, 584, seed=1))
    assert fields.moving.shape == (64, 96)
    assert fields.aspect == 388 / 584


def test_the_networks_own_mean_and_deviation_are_taken(model: TemporalKVQResNetCBAM) -> None:
    pictures = [textured(64, 64, seed) for seed in range(2)]

    def flow() -> np.ndarray:
        stream = open_network_motion(model)()
        return [stream(picture) for picture in pictures][-1].flow

    usual, preprocessing = flow(), model.preprocessing
    model.preprocessing = Preprocessing(64, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))
    changed = flow()
    model.preprocessing = preprocessing
    assert np.abs(changed - usual).max() > 1e-3


def test_a_network_without_a_motion_head_is_refused_in_one_line() -> None:
    plain = TemporalKVQResNetCBAM(depth=18, num_classes=9, d_model=32, num_heads=2, image_size=64).eval()
    with pytest.raises(ValueError, match="no motion head") as error:
        open_network_motion(plain)
    assert "\n" not in str(error.value)
