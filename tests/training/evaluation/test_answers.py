import torch

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.answers import streaming_difference


def test_streaming_equals_the_whole_clip() -> None:
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(depth=18, num_classes=9, d_model=16, num_heads=2, image_size=64).eval()
    assert streaming_difference(model, torch.rand(2, 3, 3, 64, 64)) < 1e-4
