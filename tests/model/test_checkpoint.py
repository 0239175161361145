import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.model import shipped as shipped_ones
from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.model.description import describe_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import Preprocessing
from pipeline.model.shipped import CheckpointError, shipped
from tests.model.small import clip, small
from tests.support import files_up_to

LABELS = [*"abcdefgh", "möwe"]


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    model = small(labels=LABELS)
    model.preprocessing = Preprocessing(64, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    path = tmp_path / "new folder" / "model.safetensors"
    save_checkpoint(path, model, metadata={"recipe": {"lr": 1e-3}, "accuracy": 0.93})
    loaded = load_checkpoint(path)
    assert not loaded.training
    assert loaded.labels == tuple(LABELS)
    assert loaded.preprocessing == model.preprocessing
    assert loaded.architecture == model.architecture
    assert loaded.metadata == {"recipe": {"lr": 1e-3}, "accuracy": 0.93}
    half = small()
    half.load_state_dict(
        {k: v.half().float() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    )
    statistics = dict(model.named_buffers())
    half.load_state_dict(statistics, strict=False)
    with torch.no_grad():
        frames = clip(2, model.num_past + 1).unbind(1)
        assert torch.equal(loaded(*frames)[0], half(*frames)[0])
    loaded.train()(*frames)[0].sum().backward()
    assert all(weights.requires_grad for weights in loaded.parameters())


def test_the_same_network_gives_the_same_file(tmp_path: Path) -> None:
    """safetensors puts the metadata in another order each time, and what is compiled is kept by content."""
    files = [tmp_path / f"{number}.safetensors" for number in range(4)]
    for file in files:
        save_checkpoint(file, small(labels=LABELS))
    assert len({file.read_bytes() for file in files}) == 1


def test_dense_motion_comes_back(tmp_path: Path) -> None:
    model, frames = small(motion=True), clip(1, 3)
    save_checkpoint(tmp_path / "model.safetensors", model)
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert loaded.architecture.motion
    assert describe_checkpoint(tmp_path / "model.safetensors").architecture.motion
    assert loaded.motion.state_dict().keys() == model.motion.state_dict().keys()
    with torch.no_grad():
        mask = torch.ones(1, 2, dtype=torch.bool)
        motion, again = (network.motion_trace(frames, mask)[0] for network in (model, loaded))
    torch.testing.assert_close(again.flow, motion.flow, atol=0.1, rtol=0)  # weights are stored in half
    torch.testing.assert_close(again.moving, motion.moving, atol=0.02, rtol=0)


def test_weights_are_half_and_statistics_full_precision(tmp_path: Path) -> None:
    model = small()
    save_checkpoint(tmp_path / "model.safetensors", model)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        types = {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    buffers = dict(model.named_buffers())
    assert all(types[name] == torch.float16 for name, _ in model.named_parameters())
    assert all(types[name] == buffers[name].dtype for name in buffers)


def test_a_saved_model_keeps_everything_when_saved_again(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", small(), metadata={"seed": 3})
    first = load_checkpoint(tmp_path / "a.safetensors")
    save_checkpoint(tmp_path / "b.safetensors", first)
    again = load_checkpoint(tmp_path / "b.safetensors")
    assert again.metadata == {"seed": 3}
    weights = again.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in first.state_dict().items())


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path, model = tmp_path / "model.safetensors", small()
    save_checkpoint(path, model)
    before = path.read_bytes()
    with torch.no_grad():
        model.temporal.classifier.weight[0, 0] = 1e9
    with pytest.raises(CheckpointError, match=r"classifier.weight is not finite"):
        save_checkpoint(path, model)
    with files_up_to(10_000), pytest.raises(OSError, match="File too large"):
        save_checkpoint(path, small())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def rewritten(path: Path, **changes: object) -> Path:
    """The checkpoint with other metadata."""
    with safe_open(path, framework="pt") as file:
        header = {**file.metadata()}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, change in changes.items():
        header[name] = json.dumps(
            {**json.loads(header[name]), **change} if isinstance(change, dict) else change
        )
    save_file(tensors, path, metadata=header)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": {"d_model": 64}}, "does not fit: .* is .*, expected"),
        ({"architecture": {"depth": 34}}, "does not fit: backbones.0.layer1.2.* is None, expected"),
        ({"architecture": {"num_layers": 2}}, "does not fit"),
        ({"architecture": {"depth": 7}}, "depth 7: choose one of"),
        ({"architecture": {"attention": "linear"}}, "choose match or plain"),
        ({"architecture": {"wings": 2}}, "unexpected keyword argument 'wings'"),
        ({"architecture": {"d_model": "many"}}, "does not describe a network"),
        ({"labels": ["a"]}, "1 labels for num_classes 9"),
        ({"preprocessing": {"std": [0, 0, 0]}}, "three positive standard deviations"),
        ({"format": "other"}, "not a checkpoint of this program"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_one_readable_line(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, small())
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(rewritten(path, **changes))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such file"):
        load_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(tmp_path)
    for content in (b"", b"hello, this is a text", b"\xff" * 64):
        (tmp_path / "junk.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match="not a safetensors file, or damaged"):
            load_checkpoint(tmp_path / "junk.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"not a checkpoint of this program \(format none\)"):
        load_checkpoint(tmp_path / "other.safetensors")


def test_truncated_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, small())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


def test_shipped_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_ones, "_SHIPPED", tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(CheckpointError, match=r"no checkpoint 'motion'; available: none"):
        load_checkpoint("motion")
    save_checkpoint(tmp_path / "motion.safetensors", small())
    assert shipped("motion") == tmp_path / "motion.safetensors"
    assert isinstance(load_checkpoint("motion"), TemporalKVQResNetCBAM)
    with pytest.raises(CheckpointError, match=r"no checkpoint 'zoom'; available: motion"):
        load_checkpoint("zoom")


@pytest.mark.parametrize(
    "options", [{}, {"use_shared_weights": False, "scales": ("layer3", "layer4")}], ids=str
)
def test_a_description_without_the_weights(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, small(labels=[*"abcdefghi"], **options))
    assert describe_checkpoint(path) == load_checkpoint(path).description
