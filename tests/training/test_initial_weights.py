"""Where the weights of a run come from."""

from pathlib import Path

import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18, resnet50

from pipeline.model.checkpoint import save_checkpoint
from pipeline.training.initial_weights import adopt_shape, build_model, keeps_classifier
from pipeline.training.option_file import load_options
from pipeline.training.options import FitOptions
from pipeline.training.rendered.renderer import LABELS
from tests.model.small import clip, small
from tests.training.tiny import tiny_options


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "ours.safetensors"
    save_checkpoint(path, small(num_past=1, scales=("layer3", "layer4"), labels=LABELS))
    return path


def test_fine_tuning_starts_where_the_checkpoint_ended(checkpoint: Path, tmp_path: Path) -> None:
    options = adopt_shape(tiny_options(tmp_path, init=str(checkpoint), size_px=224, num_heads=8, d_model=256))
    assert (options.num_past, options.scales, options.size_px, options.d_model) == (
        1,
        ("layer3", "layer4"),
        64,
        32,
    )
    order = tuple(sorted(LABELS))
    assert keeps_classifier(options, order)
    model = build_model(options, order).eval()
    frames = clip(2, 2).unbind(dim=1)
    ours = small(num_past=1, scales=("layer3", "layer4"), labels=LABELS)
    expected = ours(*frames)[0][:, [LABELS.index(label) for label in order]]
    torch.testing.assert_close(model(*frames)[0], expected, rtol=1e-2, atol=1e-2)


def test_other_classes_get_a_new_classifier(checkpoint: Path, tmp_path: Path) -> None:
    options = adopt_shape(tiny_options(tmp_path, init=str(checkpoint), d_model=256, num_heads=8, size_px=96))
    assert not keeps_classifier(options, ("open", "shut"))
    model = build_model(options, ("open", "shut")).eval()
    assert model.labels == ("open", "shut")
    assert model.preprocessing.size == 96
    assert model(*clip(2, 2, size=96).unbind(dim=1))[0].shape == (2, 2)
    ours = small(num_past=1, scales=("layer3", "layer4"), labels=LABELS).state_dict()
    key = "temporal.layers.0.key.0.weight"
    torch.testing.assert_close(model.state_dict()[key], ours[key], rtol=1e-2, atol=1e-2)


def test_a_shape_that_the_checkpoint_has_not_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"d_model 48 does not fit .* where it is 32: leave d_model out"):
        adopt_shape(tiny_options(tmp_path, init=str(checkpoint), d_model=48, num_heads=8))
    with pytest.raises(ValueError, match="depth 50 does not fit motion_resnet18, where it is 18"):
        adopt_shape(tiny_options(tmp_path, init="motion_resnet18", depth=50, d_model=256, num_heads=8))


def test_what_somebody_wrote_wins_even_if_it_is_the_default(checkpoint: Path) -> None:
    def adopted(*overrides: str) -> FitOptions:
        return adopt_shape(load_options(None, ["steps=1", *overrides], {"init": str(checkpoint)}))

    assert (adopted().size_px, adopted().d_model) == (64, 32)
    assert adopted(f"size_px={FitOptions.size_px}").size_px == FitOptions.size_px != 64
    with pytest.raises(ValueError, match=f"d_model {FitOptions.d_model} does not fit .* where it is 32"):
        adopted(f"d_model={FitOptions.d_model}")
    assert adopted("d_model=32", "tied_values=auto").d_model == 32


def test_a_torchvision_file_starts_the_backbone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    plain = resnet18().eval()
    torch.save(plain.state_dict(), tmp_path / "resnet18.pth")
    options = adopt_shape(tiny_options(tmp_path, init=str(tmp_path / "resnet18.pth")))
    model = build_model(options, LABELS).eval()
    pictures = clip(1, 1, size=64)[:, 0]
    expected = torch.nn.Sequential(*list(plain.children())[:-2])(pictures)
    assert torch.equal(model.backbones[0].features(pictures)["layer4"], expected)


def test_weights_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    def start(init: Path | str) -> str:
        with pytest.raises(ValueError, match=r".") as caught:
            build_model(adopt_shape(tiny_options(tmp_path, init=str(init))), LABELS)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    torch.save(resnet50().state_dict(), tmp_path / "deep.pth")
    assert "not the weights of this ResNet" in start(tmp_path / "deep.pth")
    (tmp_path / "text.pth").write_text("not weights\n")
    assert "not a file of weights, or damaged" in start(tmp_path / "text.pth")
    torch.save({"epoch": 3}, tmp_path / "state.pth")
    assert "must hold the state_dict of a torchvision ResNet" in start(tmp_path / "state.pth")
    assert "none.pth: no such file" in start(tmp_path / "none.pth")
    assert "no checkpoint 'motion'; shipped: motion_resnet18" in start("motion")
    (tmp_path / "damaged.safetensors").write_bytes(b"x" * 100)
    assert "not a safetensors file, or damaged" in start(tmp_path / "damaged.safetensors")


def test_imagenet_weights_are_those_that_torchvision_has_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    downloaded = tmp_path / "hub" / "checkpoints" / Path(ResNet18_Weights.DEFAULT.url).name
    downloaded.mkdir(parents=True)  # in the place of the file: torchvision cannot read it
    with pytest.raises(ValueError, match="init imagenet: torchvision's weights can't be downloaded"):
        build_model(tiny_options(tmp_path, init="imagenet"), LABELS)
    downloaded.rmdir()
    plain = resnet18()
    torch.save(plain.state_dict(), downloaded)
    model = build_model(tiny_options(tmp_path, init="imagenet"), LABELS)
    weights = model.backbones[0].state_dict()
    assert all(
        torch.equal(weights[name], value) for name, value in plain.state_dict().items() if "fc." not in name
    )
