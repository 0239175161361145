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
