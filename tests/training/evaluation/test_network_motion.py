import pytest

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.network_motion import open_network_motion


def test_a_network_without_a_motion_head_is_refused_in_one_line() -> None:
    plain = TemporalKVQResNetCBAM(depth=18, num_classes=9, d_model=32, num_heads=2, image_size=64).eval()
    with pytest.raises(ValueError, match="no motion head") as error:
        open_network_motion(plain)
    assert "\n" not in str(error.value)
