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
