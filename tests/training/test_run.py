import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.resnet import ResNetCBAM
from pipeline.training.optimise import AveragedModel, compile_features, learning_rate, parameter_groups
from pipeline.training.options import FitOptions
from pipeline.training.rendered.renderer import LABELS
from pipeline.training.run import fit
from pipeline.training.samples import Clips
from pipeline.training.train_command import main, train
from pipeline.training.trainer import Fitting
from tests.training.tiny import TINY, tiny_options


@pytest.fixture
def tiny(tmp_path: Path) -> FitOptions:
    return tiny_options(tmp_path / "run")


def test_a_run_leaves_a_checkpoint_that_says_how_it_was_made(tiny: FitOptions) -> None:
    summary = fit(tiny)
    out = Path(tiny.out)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 4]
    model = load_checkpoint(out / "model.safetensors")
    assert tuple(model.labels) == LABELS
    assert model.metadata["recipe"]["batch_size"] == 6
    assert model.metadata["held_out"]["speeds"].keys() == {"0.4", "1", "2"}
    assert json.loads((out / "summary.json").read_text()) == summary
    assert (out / "model.safetensors").stat().st_size <= 25_000_000
    assert model.metadata["temperature"] == summary["temperature"] > 0
    assert model.preprocessing.size == 32


def test_a_new_run_does_not_touch_an_earlier_one(tiny: FitOptions) -> None:
    Path(tiny.out).mkdir()
    state = Path(tiny.out) / "last.pt"
    state.write_bytes(b"hours of work")
    with pytest.raises(ValueError, match="holds an earlier run: --resume"):
        fit(tiny)
    assert [path.name for path in Path(tiny.out).iterdir()] == ["last.pt"]
    assert state.read_bytes() == b"hours of work"


def test_a_few_steps_on_one_batch_lower_the_loss(tiny: FitOptions) -> None:
    run = Fitting(replace(tiny, steps=8, no_past_share=0, one_past_share=0, label_smoothing=0))
    losses = []
    for _ in range(8):
        run.source.seek(0)
        losses.append(float(run.advance()))
    assert sum(losses[-2:]) < 0.7 * sum(losses[:2])


def test_past_frames_are_dropped_oldest_first(tiny: FitOptions) -> None:
    run = Fitting(replace(tiny, batch_size=4000, no_past_share=0.2, one_past_share=0.3))
    blank = Clips(torch.zeros(4000, 3, 3, 1, 1), torch.zeros(4000))
    past = run._past(blank)
    depth = past.sum(dim=1)
    assert not (past[:, 0] & ~past[:, 1]).any()
    assert [round(float((depth == d).float().mean()), 1) for d in (0, 1, 2)] == [0.2, 0.3, 0.5]
    missing = torch.tensor([False, True]).expand(4000, 2)
    assert not run._past(blank._replace(present=missing))[:, 0].any()
    assert run._past(blank._replace(present=missing))[:, 1].sum() == past[:, 1].sum()


def test_learning_rate_warms_up_and_falls() -> None:
    assert learning_rate(1.0, 0, 10, 0.0) == pytest.approx(0.1)
    assert learning_rate(1.0, 100, 10, 0.5) == pytest.approx(0.505)
    assert learning_rate(1.0, 100, 10, 1.0) == pytest.approx(0.01)


def test_norms_biases_and_embeddings_do_not_decay(tiny: FitOptions) -> None:
    model = Fitting(tiny).model
    free = {id(p) for p in parameter_groups(model, 0.1)[1]["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in free}
    assert {
        "temporal.here.table",
        "temporal.layers.0.attention.log_temperature",
        "temporal.classifier.bias",
    } <= names
    assert "temporal.classifier.weight" not in names


def test_the_average_follows_the_model() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = AveragedModel(model, decay=0.9)
    nn.init.ones_(model.weight)
    average.update(model, step=10_000)
    assert float(average.model.weight) == pytest.approx(0.1)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch 2.11 on Python 3.12, of itself
def test_without_a_compiler_training_goes_on() -> None:
    def probe() -> None:
        raise RuntimeError("no C++ compiler")

    said: list[str] = []
    backbone = ResNetCBAM(18)
    before = backbone.features
    assert not compile_features([backbone], probe, said.append)
    assert "no C++ compiler" in said[0]
    assert backbone.features == before


def test_a_compiled_backbone_learns_the_same(tiny: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    # traced as always, but run by torch itself: what the C++ compiler would take a minute for
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    eager, compiled = Fitting(tiny), Fitting(tiny)
    said: list[str] = []
    compiled.compile(said.append)
    assert said[-1].startswith("compiled: the backbone")
    for _ in range(2):
        assert float(compiled.advance()) == pytest.approx(float(eager.advance()), rel=1e-4)
    assert compiled.model.state_dict().keys() == eager.model.state_dict().keys()
    for name, value in eager.model.state_dict().items():
        torch.testing.assert_close(compiled.model.state_dict()[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_the_command_line_explains_mistakes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--set", "steps=1", "--set", "batches=3"]) == 2
    assert main(["--set", "steps=1", "--out", str(tmp_path), "--pictures", str(tmp_path / "none")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith("training: unknown training option 'batches'")
    assert errors[1].startswith("training: no such folder of pictures")
    with pytest.raises(ValueError, match="unknown"):
        train(None, ["nothing=1"])


def test_a_backbone_of_rate_zero_stays_as_it_started(tiny: FitOptions) -> None:
    run = Fitting(replace(tiny, backbone_rate=0.0))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.advance()
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert "temporal.classifier.weight" in changed
    assert not [name for name in changed if name.startswith("backbones.")]


def test_ctrl_c_and_too_little_memory_are_no_tracebacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"--set={key}={str(value).lower()}" for key, value in TINY.items()]
    for error, code in ((KeyboardInterrupt(), 130), (torch.OutOfMemoryError("CUDA out of memory"), 2)):
        monkeypatch.setattr(Fitting, "advance", lambda _, error=error: _raise(error))
        assert main(["--out", str(tmp_path), *settings]) == code
    assert "lower batch_size" in capsys.readouterr().err


def _raise(error: BaseException) -> None:
    raise error
