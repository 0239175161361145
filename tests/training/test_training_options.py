from pathlib import Path

import pytest

from pipeline.base.errors import ConfigError
from pipeline.model.checkpoint import load_checkpoint
from pipeline.training.training_options import load_options

SHIPPED = Path(__file__).parents[2] / "configs" / "train_motion.toml"


def test_the_defaults_are_the_shipped_recipe_and_can_be_overridden() -> None:
    assert load_options() == load_options(SHIPPED)
    options = load_options(
        None, ["batch_size=8", "minutes=1", "out=some/where", "model.depth=50", "compile=false"]
    )
    assert (options.model.depth, options.model.d_model, options.model.attention) == (50, 256, "match")
    assert (options.batch_size, options.minutes, options.out) == (8, 1.0, "some/where")
    assert not options.compile
    assert options.scene.dark_share == 0.2


def test_the_shipped_network_was_trained_with_the_shipped_recipe_of_dense_motion() -> None:
    recipe = load_options(SHIPPED.with_name("train_dense_motion.toml")).recipe()
    made_with = load_checkpoint("motion_resnet18").metadata["recipe"]
    for table in ("model", "scene", "scenes"):
        assert made_with.pop(table).items() <= recipe.pop(table).items()
    assert made_with.items() <= recipe.items()


def test_the_command_line_wins_over_single_keys_and_these_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("seed = 1\nbatch_size = 2\nout = 'a'\n[scene]\ndark_share = 0.5\n")
    options = load_options(file, ["batch_size=3", "out=b"], {"out": "2024"})
    assert (options.seed, options.batch_size, options.out, options.scene.dark_share) == (1, 3, "2024", 0.5)
    assert options.scene.blur_share == load_options().scene.blur_share


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batch=8", "unknown key 'batch'"),
        ("batch_size=8.5", "batch_size: must be a whole number from 1"),
        ("batch_size=many", "batch_size: must be a whole number from 1"),
        ("compile=1", "compile: expected `bool`, got `int`"),
        ("batch_size=0", "batch_size: must be a whole number from 1"),
        ("scene.object_share=2", "scene.object_share: must be a number from 0 to 1"),
        ("scene.rain=0.2", "unknown key .?scene.rain"),
        ("weight_decay=-1", "weight_decay: must be a number from 0"),
        ("model.attention=none", "model.attention: 'none' is not allowed; expected one of: match, plain"),
        ("model.heads=3", "unknown key 'model.heads'"),
        (
            "model.dept=34",
            r"'model.dept' \(did you mean depth\?\); all keys are in docs/reference/training_opt",
        ),
        ("steps=-1", "steps: must be a whole number from 0 .*; all keys are in docs/reference/training_opt"),
        ("model.num_classes=3", "unknown key 'model.num_classes'"),
        ("model.d_model=255", "d_model 255 is not a multiple of num_heads 8"),
        ("model.image_size=100000", "model.image_size must be at most 2048"),
        ("model=5", "model: expected `object`, got `int`"),
        ("max_speed=0.1", r"max_speed \(0.1\) is below min_speed"),
        ("batch_size", "expected section.key=value"),
        ("model.num_past=9", "model.num_past must be at most 8, not 9"),
        ("precision=fp8", "precision: 'fp8' is not allowed; expected one of: auto, bf16, fp16, fp32"),
        ("model.scales=[4]", "model.scales.*: expected `str`, got `int`"),
        ("minutes=inf", "minutes: must be a number from 0"),
        ("learning_rate=nan", "learning_rate: expected `float`"),
        ("minutes=0", "minutes or steps must be above 0"),
        ("init=motion", "no checkpoint 'motion'"),
    ],
)
def test_errors_name_the_key(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        load_options(None, [override])
    assert "\n" not in str(error.value)


def test_errors_in_files_are_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("depth = \n")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load_options(bad)
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_options(tmp_path / "none.toml")


def test_values_are_the_keys_only_in_the_guides_attention() -> None:
    assert not load_options().model.tied_values
    assert load_options(None, ["model.attention=plain"]).model.tied_values
    assert not load_options(None, ["model.attention=plain", "model.tied_values=false"]).model.tied_values


def test_own_clips_have_defaults_of_their_own(tmp_path: Path) -> None:
    options = load_options(None, ["steps=7"], {"data": "clips"})
    assert (options.steps, options.minutes, options.init) == (7, 0, "motion_resnet18")
    assert (options.backbone_rate, options.freeze_batch_norm, options.model.image_size) == (0.1, True, 192)
    assert load_options(None, [], {"data": "clips", "init": ""}).model.image_size == 224
    file = tmp_path / "mine.toml"
    file.write_text("data = 'clips'\nbackbone_rate = 0.5\n")
    assert load_options(file).backbone_rate == 0.5


def test_pictures_to_train_on_are_not_held_out() -> None:
    with pytest.raises(ConfigError, match="give photos never trained on"):
        load_options(None, [], {"pictures": "photos", "held_out": "./photos/"})
    load_options(None, [], {"pictures": "photos", "held_out": "others"})
