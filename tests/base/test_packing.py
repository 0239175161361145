from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from pipeline.base.packing import pack, unpack


class Sample(msgspec.Struct):
    values: npt.NDArray[np.float32] | None
    place: complex
    any: npt.NDArray[Any] | None = None


def test_arrays_and_complex_numbers_come_back_as_they_were():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::2]
    sample = unpack(pack(Sample(values, 1 - 2j, np.ones((0, 3), np.int16))), Sample)
    np.testing.assert_array_equal(sample.values, values)
    assert (sample.place, sample.any.shape, sample.any.dtype) == (1 - 2j, (0, 3), np.int16)
    assert unpack(pack(Sample(None, 0j)), Sample).values is None


@pytest.mark.parametrize(
    "array",
    [
        ("<f8", (1,), bytes(8)),
        ("<f4", (2,), bytes(4)),
        ("<f4", (-1, -1), bytes(4)),
        ("|O", (1,), bytes(8)),
        ("<f4", (2**40, 2**40), b""),
        ("<f4", (1,) * 9, bytes(4)),
        ("<f4", 1, bytes(4)),
        "text",
        7,
    ],
)
def test_an_array_that_is_not_as_it_says_is_refused(array):
    with pytest.raises(ValueError, match="a"):
        unpack(msgspec.msgpack.encode({"values": array, "place": (0.0, 0.0)}), Sample)


@pytest.mark.parametrize("data", [b"", b"\x80\x04\x95", b"\xc1", b"\x91" * 5000])
def test_what_is_no_such_struct_is_refused(data):
    with pytest.raises(ValueError, match="e"):
        unpack(data, Sample)


def test_other_objects_are_not_packed():
    with pytest.raises(NotImplementedError):
        pack(object())
