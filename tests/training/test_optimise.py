"""What decays, how fast to learn, which weights are kept."""

from pathlib import Path

import pytest
from torch import nn

from pipeline.model.resnet import ResNetCBAM
from pipeline.training.optimise import (
    average_of,
    compile_features,
    learning_rate,
    parameter_groups,
    update_average,
)
from pipeline.training.trainer import Trainer
from tests.training.tiny import tiny_options


def test_learning_rate_warms_up_and_falls() -> None:
    assert learning_rate(1.0, 0, 10, 0.0) == pytest.approx(0.1)
    assert learning_rate(1.0, 100, 10, 0.5) == pytest.approx(0.505)
    assert learning_rate(1.0, 100, 10, 1.0) == pytest.approx(0.01)


def test_norms_biases_and_embeddings_do_not_decay(tmp_path: Path) -> None:
    model = Trainer(tiny_options(tmp_path)).model
    free = {id(p) for p in parameter_groups(model, 0.1)[1]["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in free}
    assert {
        "temporal.here.table",
        "temporal.layers.0.attention.log_temperature",
        "temporal.classifier.bias",
    } <= names
    assert "temporal.classifier.weight" not in names


def test_the_average_starts_with_the_first_weights_and_follows_the_model() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.zeros_(model[0].weight)
    average = average_of(model)
    nn.init.ones_(model[0].weight)
    model[1].running_mean.fill_(1.0)
    update_average(average, model, decay=0.9, step=10_000)
    weights = average.module.state_dict()
    assert float(weights["0.weight"]) == pytest.approx(0.1)
    assert float(weights["1.running_mean"]) == pytest.approx(0.1)
    update_average(average, model, decay=0.9, step=0)
    assert float(average.module[0].weight) == pytest.approx(0.91), "short at first: 0.1 of what was"


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch 2.11 on Python 3.12, of itself
def test_without_a_compiler_training_goes_on() -> None:
    def probe() -> None:
        raise RuntimeError("no C++ compiler")

    printed: list[str] = []
    backbone = ResNetCBAM(18)
    before = backbone.features
    assert not compile_features([backbone], probe, printed.append)
    assert "no C++ compiler" in printed[0]
    assert backbone.features == before
