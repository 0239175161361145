"""Whether a picture of an H.264 stream was lost whole: each picture that others build on has a number.

FFmpeg fills such a gap with a copy of the picture before, and says nothing: what follows is smeared.
"""

from collections.abc import Iterator

_START = b"\x00\x00\x01"
_SLICE, _PART_OF_SLICE, _KEY_SLICE, _PARAMETERS = 1, 2, 5, 7
_WITH_CHROMA = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"""Profiles whose parameters begin with the format of their colours."""
_HEAD_BYTES = 64
"""Of a slice: the number stands in its first few bytes."""


class FrameNumbers:
    """Follows the numbers of one stream, packet by packet.

    Args:
        extradata: What the container holds for the decoder; tells also how packets are divided.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._length_bytes = 0  # of a unit, before it; 0: start codes stand between units
        self._bits: int | None = None  # of a number; None: not known yet
        self._may_skip = self._is_apart = False
        self._last: int | None = None
        extradata = extradata or b""
        if extradata[:1] == b"\x01" and len(extradata) > 6:
            self._length_bytes = (extradata[4] & 3) + 1
            self._note(extradata[8 : 8 + int.from_bytes(extradata[6:8], "big")])
        else:
            for unit in self._units(extradata):
                self._note(unit)

    def is_gap_before(self, packet: bytes) -> bool:
        """Whether a picture is missing before the one of a packet, or in it."""
        gap = False
        for unit in self._units(packet):
            kind = unit[0] & 31 if unit else 0
            if kind == _PARAMETERS:
                self._note(unit)
            elif kind in (_SLICE, _PART_OF_SLICE, _KEY_SLICE) and self._bits is not None:
                number = _number_of(unit[:_HEAD_BYTES], self._bits, self._is_apart)
                if number is None:
                    continue
                if kind != _KEY_SLICE and self._last is not None and not self._may_skip:
                    gap |= number not in (self._last, (self._last + 1) % (1 << self._bits))
                if unit[0] & 0x60:  # others build on it
                    self._last = number
        return gap

    def _note(self, unit: bytes) -> None:
        try:
            self._bits, self._may_skip, self._is_apart = _parameters_of(_Bits(unit))
        except IndexError:  # cut off on its way: the decoder can't use it either
            return

    def _units(self, data: bytes) -> Iterator[bytes]:
        if not self._length_bytes:
            yield from (part for part in data.split(_START)[1:] if part)
            return
        place = 0
        while place + self._length_bytes < len(data):
            begins = place + self._length_bytes
            place = begins + int.from_bytes(data[place:begins], "big")
            yield data[begins:place]


class _Bits:
    """Reads a unit bit by bit, after its first byte; ``IndexError`` at its end."""

    def __init__(self, unit: bytes) -> None:
        self._data, self._place = unit[1:].replace(b"\x00\x00\x03", b"\x00\x00"), 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._place >> 3] >> 7 - (self._place & 7) & 1
            self._place += 1
        return value

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        value = self.golomb()
        return (value + 1) // 2 if value & 1 else -(value // 2)


def _parameters_of(bits: _Bits) -> tuple[int, bool, bool]:
    """Bits of a number; whether numbers may be left out; whether colours are coded apart."""
    profile, is_apart = bits.take(8), False
    bits.take(16)
    bits.golomb()
    if profile in _WITH_CHROMA:
        chroma = bits.golomb()
        is_apart = chroma == 3 and bool(bits.take(1))
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            for n in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling(bits, 16 if n < 6 else 64)
    number_bits = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.golomb()):
            bits.signed()
    bits.golomb()
    return min(number_bits, 16), bool(bits.take(1)), is_apart


def _skip_scaling(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _number_of(slice_head: bytes, number_bits: int, is_apart: bool) -> int | None:
    """None for a slice that is cut off."""
    bits = _Bits(slice_head)
    try:
        for _ in range(3):  # first block, type, parameters
            bits.golomb()
        if is_apart:
            bits.take(2)
        return bits.take(number_bits)
    except IndexError:
        return None
