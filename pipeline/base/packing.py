"""Packs structs with arrays as MessagePack, and unpacks them without pickle."""

import math
from typing import Any, TypeVar, get_args

import msgspec
import numpy as np

T = TypeVar("T")
_ALLOWED = {"|b1", "|u1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"}
_MOST_SIDES = 8


def pack(value: Any) -> bytes:
    """Packs structs and dataclasses of plain types, complex numbers and arrays of numbers."""
    return msgspec.msgpack.encode(value, enc_hook=_encode)


def unpack(data: bytes | memoryview, kind: type[T]) -> T:
    """Unpacks the output of ``pack``; arrays must have the dtype that ``kind`` declares, and are read-only.

    Raises:
        ValueError: The data is damaged or of another type.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind, dec_hook=_decode)
    except (msgspec.DecodeError, RecursionError, TypeError, OverflowError) as error:
        raise ValueError(str(error)) from None


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, complex):
        return value.real, value.imag
    raise NotImplementedError(type(value).__name__)


class _Packed(msgspec.Struct, array_like=True):
    number: str
    shape: tuple[int, ...]
    data: bytes


def _decode(kind: type, value: Any) -> Any:
    if kind is complex:
        return complex(*msgspec.convert(value, tuple[float, float]))
    packed = msgspec.convert(value, _Packed)
    wanted = get_args(get_args(kind)[1])[0]
    if packed.number not in _ALLOWED or (wanted is not Any and np.dtype(packed.number) != np.dtype(wanted)):
        raise ValueError(f"unexpected array type {packed.number!r}")
    size = np.dtype(packed.number).itemsize * math.prod(packed.shape)
    if len(packed.shape) > _MOST_SIDES or min(packed.shape, default=0) < 0 or size != len(packed.data):
        raise ValueError(f"array shape {packed.shape} does not match {len(packed.data)} bytes of data")
    return np.frombuffer(packed.data, packed.number).reshape(packed.shape)
