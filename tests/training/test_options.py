from pathlib import Path

import pytest

from pipeline.training.option_file import load_options
from pipeline.training.options import FitOptions

SHIPPED = Path(__file__).parents[2] / "configs" / "train_motion.toml"


def test_the_shipped_configuration_loads_and_can_be_overridden() -> None:
    options = load_options(SHIPPED, ["batch_size=8", "minutes=1", "out=some/where", "compile=false"])
    assert (options.depth, options.d_model, options.attention) == (18, 256, "match")
    assert (options.batch_size, options.minutes, options.out, options.compile) == (
        8,
        1.0,
        "some/where",
        False,
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batch=8", "unknown training option 'batch'"),
        ("batch_size=8.5", "batch_size must be a whole number, not 8.5"),
        ("batch_size=many", "batch_size must be a whole number, not 'many'"),
        ("compile=1", "compile must be true or false, not 1"),
        ("batch_size=0", "batch_size must be above 0"),
        ("object_share=2", "object_share must be between 0 and 1"),
        ("weight_decay=-1", "weight_decay must not be below 0"),
        ("attention=none", "attention must be match or plain"),
        ("max_speed=0.1", "max_speed"),
        ("batch_size", "--set needs key=value"),
        ("num_past=9", "num_past must be between 1 and 8"),
        ("tied_values=maybe", "tied_values must be auto or true or false, not 'maybe'"),
        ("precision=fp8", "precision must be auto or fp32 or bf16 or fp16"),
        ("scales=[4]", "scales must be a list of texts"),
        ("minutes=inf", "minutes must not be below 0"),
    ],
)
def test_mistakes_name_the_key(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_options(SHIPPED, [override])


def test_mistakes_in_files_are_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("depth = \n")
    with pytest.raises(ValueError, match=r"bad\.toml"):
        load_options(bad)
    with pytest.raises(ValueError, match="No such file"):
        load_options(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="minutes or steps"):
        FitOptions()


def test_lists_can_be_written_with_commas() -> None:
    assert load_options(SHIPPED, ["scales=layer3, layer4"]).scales == ("layer3", "layer4")
    assert load_options(SHIPPED, ['scales=["layer2"]']).scales == ("layer2",)
    assert load_options(SHIPPED, ["tied_values=true"]).tied_values == "true"


def test_own_clips_have_defaults_of_their_own(tmp_path: Path) -> None:
    options = load_options(None, ["steps=7"], {"data": "clips"})
    assert (options.steps, options.init, options.backbone_rate) == (7, "motion_resnet18", 0.1)
    assert options.freeze_batch_norm
    assert load_options(None, [], {"data": "clips", "init": ""}).init == ""
    file = tmp_path / "mine.toml"
    file.write_text("data = 'clips'\nbackbone_rate = 0.5\n")
    assert load_options(file).backbone_rate == 0.5
    assert load_options(SHIPPED).init == ""


def test_pictures_to_train_on_are_not_held_out() -> None:
    with pytest.raises(ValueError, match="give photos never trained on"):
        FitOptions(steps=1, pictures="photos", held_out="./photos/")
    FitOptions(steps=1, pictures="photos", held_out="others")
