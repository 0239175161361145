import pytest

from pipeline.base.errors import UserError
from workers.commands.app import app


@pytest.mark.parametrize("command", [[], ["capture"]], ids=str)
@pytest.mark.parametrize("value", ["-1", "-100"])
def test_a_number_below_zero_is_refused_by_the_option_that_was_typed(command: list[str], value: str) -> None:
    with pytest.raises(UserError, match=f"^--frames {value}: must be a finite number of at least 0$"):
        app([*command, "--frames", value])


@pytest.mark.parametrize("value", ["-0.5", "nan", "inf"])
def test_a_time_has_to_be_finite(value: str) -> None:
    with pytest.raises(UserError, match=f"^--seconds {value}: must be a finite number of at least 0$"):
        app(["monitor", "--seconds", value])
