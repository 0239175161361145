"""Where the weights of a run come from."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18, resnet50

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.initial_weights import build_model, check_init, keeps_classifier
from pipeline.training.trainer import Trainer
from pipeline.training.training_options import load_options
from tests.model.small import clip, small
from tests.training.tiny import settings, tiny_options, with_std_times_4


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "ours.safetensors"
    save_checkpoint(path, small(num_past=1, scales=("layer3", "layer4"), labels=CAMERA_MOTIONS))
    return path


def test_fine_tuning_starts_where_the_checkpoint_ended(checkpoint: Path, tmp_path: Path) -> None:
    options = load_options(None, ["steps=1"], {"init": str(checkpoint)})
    shape = options.model
    assert (shape.num_past, shape.scales, shape.image_size, shape.d_model) == (
        1,
        ("layer3", "layer4"),
        64,
        32,
    )
    order = tuple(sorted(CAMERA_MOTIONS))
    assert keeps_classifier(options, order)
    model = build_model(options, order).eval()
    frames = clip(2, 2).unbind(dim=1)
    ours = small(num_past=1, scales=("layer3", "layer4"), labels=CAMERA_MOTIONS)
    expected = ours(*frames)[0][:, [CAMERA_MOTIONS.index(label) for label in order]]
    torch.testing.assert_close(model(*frames)[0], expected, rtol=1e-2, atol=1e-2)


def test_fine_tuning_keeps_the_mean_and_std_of_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    wide = with_std_times_4(checkpoint, tmp_path / "wide.safetensors")
    losses = []
    for init in (checkpoint, wide):
        options = load_options(
            None,
            settings({"model.image_size": 96, "device": "cpu", "steps": 2, "batch_size": 4, "bank_count": 8}),
            {"init": str(init)},
        )
        losses.append(float(Trainer(options).advance()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert build_model(options, ("open", "shut")).preprocessing == replace(
        load_checkpoint(wide).preprocessing, size=96
    )


def test_other_classes_get_a_new_classifier(checkpoint: Path, tmp_path: Path) -> None:
    options = load_options(None, ["model.image_size=96"], {"init": str(checkpoint)})
    assert not keeps_classifier(options, ("open", "shut"))
    model = build_model(options, ("open", "shut")).eval()
    assert model.labels == ("open", "shut")
    assert model.preprocessing.size == 96
    assert model(*clip(2, 2, size=96).unbind(dim=1))[0].shape == (2, 2)
    ours = small(num_past=1, scales=("layer3", "layer4"), labels=CAMERA_MOTIONS).state_dict()
    key = "temporal.layers.0.key.0.weight"
    torch.testing.assert_close(model.state_dict()[key], ours[key], rtol=1e-2, atol=1e-2)


def test_an_architecture_that_the_checkpoint_has_not_is_refused(checkpoint: Path) -> None:
    def check(override: str, init: str) -> None:
        check_init(load_options(None, [override], {"init": init}))

    with pytest.raises(ValueError, match=r"model\.d_model 48 does not fit .* where it is 32: omit it"):
        check("model.d_model=48", str(checkpoint))
    with pytest.raises(ValueError, match=r"model\.depth 50 does not fit motion_resnet18, where it is 18"):
        check("model.depth=50", "motion_resnet18")
    check("model.d_model=32", str(checkpoint))
    check("model.image_size=96", str(checkpoint))


def with_motion(path: Path) -> TemporalKVQResNetCBAM:
    """Saves a network with dense motion whose classes have learned from it."""
    model = small(motion=True, labels=CAMERA_MOTIONS)
    save_checkpoint(path, model)
    return model


def test_dense_motion_is_taken_over_with_the_classes_in_another_order(tmp_path: Path) -> None:
    ours = with_motion(tmp_path / "ours.safetensors")
    order = tuple(sorted(CAMERA_MOTIONS))
    options = load_options(None, [], {"init": str(tmp_path / "ours.safetensors")})
    assert options.model.motion
    model, frames = build_model(options, order).eval(), clip(2, 3)
    expected = ours(*frames.unbind(dim=1))[0][:, [CAMERA_MOTIONS.index(label) for label in order]]
    torch.testing.assert_close(model(*frames.unbind(dim=1))[0], expected, rtol=2e-2, atol=2e-2)
    seen = torch.ones(2, 2, dtype=torch.bool)
    motion, same = (network.motion_trace(frames, seen)[0] for network in (ours, model))
    torch.testing.assert_close(same.flow, motion.flow, rtol=0, atol=0.1)


def test_other_classes_learn_anew_from_the_motion_that_is_kept(tmp_path: Path) -> None:
    ours = with_motion(tmp_path / "ours.safetensors").state_dict()
    options = load_options(None, [], {"init": str(tmp_path / "ours.safetensors")})
    weights = build_model(options, ("open", "shut")).state_dict()
    assert not weights["motion_votes.2.weight"].any()
    for name in (name for name in ours if name.startswith("motion.")):
        torch.testing.assert_close(weights[name], ours[name], rtol=1e-2, atol=1e-3)


def test_a_checkpoint_without_dense_motion_can_learn_it(checkpoint: Path) -> None:
    options = load_options(None, ["model.motion=true"], {"init": str(checkpoint)})
    check_init(options)
    torch.manual_seed(4)
    model = build_model(options, CAMERA_MOTIONS).eval()
    torch.manual_seed(4)
    fresh = TemporalKVQResNetCBAM(model.architecture).state_dict()
    kept = small(num_past=1, scales=("layer3", "layer4"), labels=CAMERA_MOTIONS).state_dict()
    for name, weights in model.state_dict().items():
        if name in kept:
            torch.testing.assert_close(weights, kept[name], rtol=1e-2, atol=1e-2, msg=name)
        else:
            assert name.startswith(("motion.", "motion_votes.")), name
            assert torch.equal(weights, fresh[name]), name
    before = load_checkpoint(checkpoint)(*clip(1, 2).unbind(dim=1))[0]
    torch.testing.assert_close(model(*clip(1, 2).unbind(dim=1))[0], before)


def test_dense_motion_of_a_checkpoint_cannot_be_left_out(tmp_path: Path) -> None:
    with_motion(tmp_path / "ours.safetensors")
    options = load_options(None, ["model.motion=false"], {"init": str(tmp_path / "ours.safetensors")})
    with pytest.raises(ValueError, match=r"model\.motion False does not fit .*, where it is True: omit it"):
        check_init(options)


def test_what_is_set_wins_over_the_size_of_the_checkpoint(checkpoint: Path) -> None:
    def size(*overrides: str) -> int:
        return load_options(None, overrides, {"init": str(checkpoint)}).model.image_size

    assert size() == 64
    assert size("model.image_size=192") == load_options().model.image_size == 192


def test_a_torchvision_file_starts_the_backbone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    plain = resnet18().eval()
    torch.save(plain.state_dict(), tmp_path / "resnet18.pth")
    options = tiny_options(tmp_path, init=str(tmp_path / "resnet18.pth"))
    model = build_model(options, CAMERA_MOTIONS).eval()
    pictures = clip(1, 1, size=64)[:, 0]
    expected = torch.nn.Sequential(*list(plain.children())[:-2])(pictures)
    assert torch.equal(model.backbones[0].features(pictures)["layer4"], expected)


def test_weights_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    def start(init: Path | str) -> str:
        with pytest.raises(ValueError, match=r".") as caught:
            build_model(load_options(None, [], {"init": str(init)}), CAMERA_MOTIONS)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    torch.save(resnet50().state_dict(), tmp_path / "deep.pth")
    assert "not the weights of this ResNet" in start(tmp_path / "deep.pth")
    (tmp_path / "text.pth").write_text("not weights\n")
    assert "not a weights file, or damaged" in start(tmp_path / "text.pth")
    torch.save({"epoch": 3}, tmp_path / "state.pth")
    assert "must contain only the state_dict of a torchvision ResNet" in start(tmp_path / "state.pth")
    assert "none.pth: no such file" in start(tmp_path / "none.pth")
    assert "no checkpoint 'motion'; available: motion_resnet18" in start("motion")
    (tmp_path / "damaged.safetensors").write_bytes(b"x" * 100)
    assert "not a safetensors file, or damaged" in start(tmp_path / "damaged.safetensors")


def test_imagenet_weights_are_those_that_torchvision_has_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    downloaded = tmp_path / "hub" / "checkpoints" / Path(ResNet18_Weights.DEFAULT.url).name
    downloaded.mkdir(parents=True)  # in the place of the file: torchvision cannot read it
    with pytest.raises(ValueError, match="init imagenet: torchvision's weights can't be downloaded"):
        build_model(tiny_options(tmp_path, init="imagenet"), CAMERA_MOTIONS)
    downloaded.rmdir()
    plain = resnet18()
    torch.save(plain.state_dict(), downloaded)
    model = build_model(tiny_options(tmp_path, init="imagenet"), CAMERA_MOTIONS)
    weights = model.backbones[0].state_dict()
    assert all(
        torch.equal(weights[name], value) for name, value in plain.state_dict().items() if "fc." not in name
    )


def test_every_option_of_the_shape_reaches_the_model(tmp_path: Path) -> None:
    shape: dict[str, Any] = {
        "depth": 34,
        "use_shared_weights": False,
        "d_model": 48,
        "num_heads": 3,
        "num_layers": 2,
        "num_past": 1,
        "attention": "plain",
        "scales": ["layer2", "layer4"],
        "cbam_start": "official",
        "head": "grid",
    }
    options = tiny_options(
        tmp_path,
        gradient_checkpointing=True,
        **{f"model.{name}": value for name, value in shape.items()},
        **{"model.tied_values": False},
    )
    model = build_model(options, ("open", "shut"))
    expected = shape | {
        "scales": ("layer2", "layer4"),
        "tied_values": False,
        "image_size": 32,
        "num_classes": 2,
        "motion": False,
    }
    assert asdict(model.architecture) == expected
    assert all(backbone.gradient_checkpointing for backbone in model.backbones)
    assert build_model(
        tiny_options(tmp_path, **{"model.attention": "plain"}), ("open",)
    ).architecture.tied_values
