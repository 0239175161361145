"""The guide's examples run word for word; what it leaves open (``train_loader`` ...) is given a value."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.model.attention import CrossAttention
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.resnet import ResNetCBAM
from tests.model.small import clip, small
from tests.support import need_module

Namespace = dict[str, Any]
EXAMPLES = dict(
    re.findall(
        r"## ([\w ,-]+)\n```python\n(.*?)```",
        Path(__file__).with_name("guide_examples.md").read_text("utf-8"),
        re.DOTALL,
    )
)
FRAMES = ("img_t_minus_2", "img_t_minus_1", "img_t")


def run(names: list[str], namespace: Namespace) -> Namespace:
    for name in names:
        exec(compile(EXAMPLES[name], name, "exec"), namespace)
    return namespace


def frames(size: int = 64, batch: int = 2) -> Namespace:
    return dict(zip(FRAMES, clip(batch, 3, size).unbind(1), strict=True))


@pytest.fixture
def screenless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    need_module("matplotlib", "matplotlib")
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)
    yield
    plt.close("all")


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text("utf-8")
    assert len(EXAMPLES) == 18
    assert [name for name in EXAMPLES if f'"{name}"' not in source] == []


@torch.no_grad()
def test_walk_through_the_network() -> None:
    names = ["inputs", "features", "flatten", "keys values query", "cross-attention", "debugging information"]
    parts = run(
        names,
        {
            "torch": torch,
            "batch_size": 1,
            "channels": 2048,
            "resnet": ResNetCBAM(50).eval(),
            "k_proj": nn.Linear(2048, 512),
            "q_proj": nn.Linear(2048, 512),
            "cross_attention": CrossAttention(512, 8, "plain"),
            "v_t_minus_2": None,
            "v_t_minus_1": None,
        },
    )
    assert parts["attention_weights"].shape == (1, 49, 98)
    assert parts["attended_output"].shape == (1, 49, 512)
    _, info = small()(*clip(1, 3).unbind(1))
    assert list(info) == list(parts["kqv_info"])


def test_basic_use(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(["basic use", "attention weights"], {})
    assert result["output"].shape == (4, 1000)
    assert result["attention_weights"].shape == (4, 49, 98)
    assert capsys.readouterr().out.splitlines() == [
        "输出形状: torch.Size([4, 1000])",
        "Q形状: torch.Size([4, 49, 512])",
        "K形状: torch.Size([4, 98, 512])",
        "V形状: torch.Size([4, 98, 512])",
    ]


@pytest.mark.parametrize(("example", "backbones"), [("shared weights", 1), ("unshared weights", 3)])
def test_weight_sharing(example: str, backbones: int) -> None:
    model = run([example], {"TemporalKVQResNetCBAM": TemporalKVQResNetCBAM})["model"]
    assert len(model.backbones) == backbones


def test_training() -> None:
    torch.manual_seed(0)
    loader = [(*clip(2, 3).unbind(1), torch.tensor([1, 2]))]
    result = run(
        ["training"],
        {"TemporalKVQResNetCBAM": TemporalKVQResNetCBAM, "num_epochs": 1, "train_loader": loader},
    )
    assert result["loss"].isfinite()
    assert all(weights.grad.isfinite().all() for weights in result["model"].parameters())


@pytest.mark.usefixtures("screenless")
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive", "ignore:Glyph")
def test_its_own_drawing_of_attention(tmp_path: Path) -> None:
    run(["visualize attention"], {"attention_weights": torch.rand(1, 49, 98)})
    assert (tmp_path / "attention_map.png").stat().st_size > 0


@pytest.mark.filterwarnings("ignore")
def test_memory_and_mixed_precision() -> None:
    """Its calls are deprecated in torch and meant for CUDA, but they work: here without both effects."""
    model = run(["memory"], {"torch": torch, "TemporalKVQResNetCBAM": TemporalKVQResNetCBAM, **frames()})[
        "model"
    ]
    before = model.temporal.classifier.weight.clone()
    run(
        ["mixed precision"],
        {
            "torch": torch,
            "model": model,
            "criterion": nn.CrossEntropyLoss(),
            "labels": torch.tensor([1, 2]),
            "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
            **frames(),
        },
    )
    assert not torch.equal(model.temporal.classifier.weight, before)


def test_checkpointing_the_whole_forward_gives_the_same_gradients() -> None:
    model = small()
    images = [x.requires_grad_() for x in clip(2, 3).unbind(1)]
    gradients: list[Tensor] = []
    for call in (
        model.forward,
        lambda *x: torch.utils.checkpoint.checkpoint(model.forward, *x, use_reentrant=False),
    ):
        output, _ = call(*images)
        gradients.append(torch.autograd.grad(output.square().sum(), images[0])[0])
    torch.testing.assert_close(*gradients)


def test_data_loader() -> None:
    loader = run(["data loader"], {"label": 3})["TemporalDataLoader"](list("abcdef"))
    assert loader[4] == ("c", "d", "e", 3)


@torch.no_grad()
def test_more_time_steps() -> None:
    names = [f"feat_t_minus_{i}" for i in (4, 3, 2, 1)]
    five = clip(2, 5).unbind(1)
    source = EXAMPLES["more time steps"]
    assert source.count("= ...") == 1
    model = small(num_past=4)
    _, info = model(*five)
    namespace: Namespace = {
        "torch": torch,
        "five": five,
        **{name: info[name.replace("feat", "k")] for name in names},
    }
    exec(source.replace("= ...", "= five"), namespace)
    assert torch.equal(namespace["img_t"], five[-1])
    assert torch.equal(namespace["K"], info["K"])


@torch.no_grad()
def test_scales() -> None:
    namespace = run(["scales"], {"torch": torch, "resnet": ResNetCBAM(18).eval(), "img": clip(2, 1)[:, 0]})
    assert namespace["K"].shape == (2, 128 + 512, 2, 2)
    _, info = small(scales=("layer2", "layer4"))(*clip(2, 3).unbind(1))
    assert info["K"].shape == (2, 2 * (64 + 4), 32)


@torch.no_grad()
def test_dynamic_query() -> None:
    """The guide's own class in place of ours: the same weights, the same answer."""
    theirs = run(["dynamic query"], {"nn": nn})["DynamicQueryGenerator"](512, 32)
    model, images = small(), clip(2, 3).unbind(1)
    expected, info = model(*images)
    theirs.load_state_dict(model.temporal.layers[0].query.state_dict())
    model.temporal.layers[0].query = theirs
    assert torch.equal(model(*images)[0], expected)
    torch.testing.assert_close(theirs(info["feat_flat_t"]), info["Q"])
