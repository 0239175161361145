from typing import Annotated, Any

import msgspec
import pytest

from pipeline.base.schema import readable


@pytest.mark.parametrize(("least", "most"), [(0, 3), (0.0, 3.0)])
def test_a_range_reads_the_same_with_whole_bounds_and_with_others(least: Any, most: Any) -> None:
    # `typing` takes Meta(ge=0) and Meta(ge=0.0) for the same type, whichever was written first.
    number = Annotated[float, msgspec.Meta(ge=least, le=most)]
    schema = msgspec.defstruct("Options", [("share", number)])
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert({"share": 4.0}, schema)
    assert readable(error.value, schema) == "share: must be a number from 0 to 3"


def test_an_unknown_key_comes_with_the_one_that_was_probably_meant() -> None:
    inner = msgspec.defstruct("Inner", [("longer_side_px", int)], forbid_unknown_fields=True)
    schema = msgspec.defstruct("Options", [("model", inner)], forbid_unknown_fields=True)
    wrong = {
        "unknown key 'model.longer_side' (did you mean longer_side_px?)": {"model": {"longer_side": 1}},
        "unknown key 'modle' (did you mean model?)": {"modle": {}},
        "unknown key 'model.colour'": {"model": {"colour": 1}},
    }
    for expected, values in wrong.items():
        with pytest.raises(msgspec.ValidationError) as error:
            msgspec.convert(values, schema)
        assert readable(error.value, schema) == expected
