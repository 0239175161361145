"""Detects lost frames of an H.264 stream by its frame numbers.

FFmpeg silently fills such a gap with a copy of the previous frame; the following frames are smeared.
"""

from collections.abc import Iterator
from typing import NamedTuple

_START = b"\x00\x00\x01"
_SLICE, _PART_OF_SLICE, _KEY_SLICE, _SEQUENCE, _PICTURE = 1, 2, 5, 7, 8
_SLICES = (_SLICE, _PART_OF_SLICE, _KEY_SLICE)
_WITH_CHROMA = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"""Profiles whose parameters include the chroma format."""
_HEAD_BYTES = 64
"""Length of the start of a slice that contains the frame number."""
_WHOLE_HEAD_BYTES = 1024
_MOST_PARAMETERS = 256
"""Largest number of parameter sets of each kind."""
_P, _B = (0, 3), 1
"""Types of slices: predicted (P, SP), and bidirectionally predicted."""
_RESTARTS = 5
"""Memory management operation: drop all reference frames and restart the numbers at 0."""
_NUMBERS_OF_COMMANDS = {1: 1, 2: 1, 3: 2, 4: 1, 6: 1}


class FrameNumbers:
    """Tracks the frame numbers of one stream, packet by packet.

    Args:
        extradata: Decoder configuration from the container; also defines how packets are divided into units.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._length_bytes = 0  # size of the length prefix of a unit; 0: start codes
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, _Picture] = {}
        self._allowed: tuple[int, ...] = ()  # frame numbers that may come next
        extradata = extradata or b""
        if extradata[:1] == b"\x01" and len(extradata) > 6:
            self._length_bytes = (extradata[4] & 3) + 1
            for unit in _stored_units(extradata):
                self._note(unit)
        else:
            for unit in self._units(extradata):
                self._note(unit)

    def is_gap_before(self, packet: bytes) -> bool:
        """Whether a frame is missing before or within a packet."""
        gap = False
        for unit in self._units(packet):
            kind = unit[0] & 31 if unit else 0
            if kind in (_SEQUENCE, _PICTURE):
                self._note(unit)
            elif kind in _SLICES and (found := self._number_of(unit)) is not None:
                number, sequence = found
                if kind != _KEY_SLICE and self._allowed and not sequence.may_skip:
                    gap |= number not in self._allowed
                if unit[0] & 0x60:  # a reference frame
                    following = (number + 1) % (1 << sequence.number_bits)
                    self._allowed = (number, 0, 1) if self._restarts(unit) else (number, following)
        return gap

    def _number_of(self, unit: bytes) -> "tuple[int, _Sequence] | None":
        """Frame number and sequence parameters of a slice; None if it is truncated or they are unknown."""
        try:
            head = _Bits(unit[:_HEAD_BYTES])
            picture = self._pictures[_begin_of_slice(head)[1]]
            sequence = self._sequences[picture.sequence]
            if sequence.is_apart:
                head.take(2)
            return head.take(sequence.number_bits), sequence
        except (IndexError, KeyError):
            return None

    def _restarts(self, unit: bytes) -> bool:
        """Whether numbers restart after a slice's frame although it is not a key frame."""
        try:
            head = _Bits(unit[:_WHOLE_HEAD_BYTES])
            kind, picture_id = _begin_of_slice(head)
            picture = self._pictures[picture_id]
            sequence = self._sequences[picture.sequence]
            _skip_to_marking(head, kind, unit[0] & 31 == _KEY_SLICE, sequence, picture)
            return unit[0] & 31 != _KEY_SLICE and _RESTARTS in _commands(head)
        except (IndexError, KeyError):
            return False

    def _note(self, unit: bytes) -> None:
        try:
            bits = _Bits(unit)
            if unit[0] & 31 == _SEQUENCE:
                number, sequence = _sequence_of(bits)
                self._sequences[number % _MOST_PARAMETERS] = sequence
            elif unit[0] & 31 == _PICTURE:
                number, picture = _picture_of(bits)
                self._pictures[number % _MOST_PARAMETERS] = picture
        except IndexError:  # truncated: the decoder can't use it either
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


class _Sequence(NamedTuple):
    """Sequence parameter set.

    Attributes:
        number_bits: Bits of a frame number.
        may_skip: Whether gaps in the frame numbers are allowed.
        is_apart: Whether colour planes are coded separately.
        has_colours: Whether chroma exists and is in the same slices.
        order: Type of picture order count, 0 to 2.
        order_bits: Bits of the picture order count (type 0).
        sends_no_order: Whether the picture order count is omitted (type 1).
        is_whole: Whether frames are never sent as two fields.
    """

    number_bits: int
    may_skip: bool
    is_apart: bool
    has_colours: bool
    order: int
    order_bits: int
    sends_no_order: bool
    is_whole: bool


class _Picture(NamedTuple):
    """Picture parameter set.

    Attributes:
        sequence: Id of its sequence parameter set.
        has_two_orders: Whether each field has its own picture order count.
        references: Default number of reference frames of a slice, for each direction.
        weights: Whether P slices have prediction weights.
        weights_b: 1 if B slices have prediction weights of their own.
        may_repeat: Whether redundant slices are allowed.
    """

    sequence: int
    has_two_orders: bool
    references: tuple[int, int]
    weights: bool
    weights_b: int
    may_repeat: bool


class _Bits:
    """Reads a unit bit by bit, after its first byte; raises ``IndexError`` at its end."""

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


def _stored_units(extradata: bytes) -> Iterator[bytes]:
    """Parameter sets in the container: two lists, each a count, then units with a two-byte length."""
    place = 5
    for mask in (31, 255):
        count = extradata[place] & mask if place < len(extradata) else 0
        place += 1
        for _ in range(count):
            begins = place + 2
            place = begins + int.from_bytes(extradata[begins - 2 : begins], "big")
            yield extradata[begins:place]


def _sequence_of(bits: _Bits) -> tuple[int, _Sequence]:
    profile, is_apart, chroma = bits.take(8), False, 1
    bits.take(16)
    number = bits.golomb()
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
    number_bits = min(bits.golomb() + 4, 16)
    order, order_bits, sends_no_order = bits.golomb(), 0, False
    if order == 0:
        order_bits = bits.golomb() + 4
    elif order == 1:
        sends_no_order = bool(bits.take(1))
        bits.signed()
        bits.signed()
        for _ in range(bits.golomb()):
            bits.signed()
    bits.golomb()
    may_skip = bool(bits.take(1))
    bits.golomb()
    bits.golomb()
    has_colours, is_whole = bool(chroma) and not is_apart, bool(bits.take(1))
    return number, _Sequence(
        number_bits, may_skip, is_apart, has_colours, order, order_bits, sends_no_order, is_whole
    )


def _skip_scaling(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _picture_of(bits: _Bits) -> tuple[int, _Picture]:
    number, sequence = bits.golomb(), bits.golomb()
    bits.take(1)
    has_two_orders = bool(bits.take(1))
    if bits.golomb():  # slice groups, which cameras do not use: only the number is read
        return number, _Picture(sequence, has_two_orders, (1, 1), False, 0, False)
    references = bits.golomb() + 1, bits.golomb() + 1
    weights, weights_b = bool(bits.take(1)), bits.take(2)
    for _ in range(3):
        bits.signed()
    bits.take(2)
    return number, _Picture(
        sequence, has_two_orders, references, weights, weights_b, may_repeat=bool(bits.take(1))
    )


def _begin_of_slice(head: _Bits) -> tuple[int, int]:
    """Type of a slice, and id of its picture parameter set."""
    head.golomb()
    return head.golomb() % 5, head.golomb()


def _skip_to_marking(head: _Bits, kind: int, is_key: bool, sequence: _Sequence, picture: _Picture) -> None:
    """Skips from the parameter set id of a slice to its reference marking."""
    if sequence.is_apart:
        head.take(2)
    head.take(sequence.number_bits)
    is_field = not sequence.is_whole and bool(head.take(1))
    if is_field:
        head.take(1)
    if is_key:
        head.golomb()
    orders = 2 if picture.has_two_orders and not is_field else 1
    if sequence.order == 0:
        head.take(sequence.order_bits)
        for _ in range(orders - 1):
            head.signed()
    elif sequence.order == 1 and not sequence.sends_no_order:
        for _ in range(orders):
            head.signed()
    if picture.may_repeat:
        head.golomb()
    if kind == _B:
        head.take(1)
    ways = {**dict.fromkeys(_P, 1), _B: 2}.get(kind, 0)
    references = list(picture.references[:ways])
    if ways and head.take(1):
        references = [head.golomb() + 1 for _ in range(ways)]
    for _ in range(ways):
        if head.take(1):
            while head.golomb() != 3:
                head.golomb()
    if (picture.weights and kind in _P) or (picture.weights_b == 1 and kind == _B):
        _skip_weights(head, references, sequence.has_colours)


def _skip_weights(head: _Bits, references: list[int], has_colours: bool) -> None:
    for _ in range(1 + has_colours):
        head.golomb()
    for _ in range(sum(references)):
        for pairs in (1, 2)[: 1 + has_colours]:
            if head.take(1):
                for _ in range(2 * pairs):
                    head.signed()


def _commands(head: _Bits) -> Iterator[int]:
    """Memory management operations of a frame that is not a key frame."""
    if not head.take(1):
        return
    while command := head.golomb():
        yield command
        for _ in range(_NUMBERS_OF_COMMANDS.get(command, 0)):
            head.golomb()
