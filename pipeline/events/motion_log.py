"""The motion log: the input of a stream's rules, losslessly packed in chunks.

A chunk consists of a version byte, a checksum (CRC-32) and LZMA-compressed data: a MessagePack header and two
integer tables. The first table has a row for each prediction: times in ticks, session, depth, number of
things. The second has a row for each thing (moving object) of a prediction: id, box, speed, direction and
score, in the steps of ``scene.rule_input``. Times are stored as differences from the previous row, and things
as differences from the previous row of the same thing, so slow motion gives mostly zeros. Bytes of equal
significance are stored together, which compresses better. The header also holds the entries between
predictions: cuts, motion grids, and changes of sight and label.
"""

import lzma
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Thing
from pipeline.base.sight import Sight
from pipeline.scene.motion_grid import MotionGrid
from pipeline.scene.rule_input import (
    BOX_STEPS,
    SCORE_STEPS,
    SPEED_STEPS,
    TICK_NS,
    TURN_STEPS,
    Cut,
    Look,
    thing_of_steps,
)
from pipeline.scene.steady_label import Held

LogPart: TypeAlias = Look | Cut | MotionGrid
Table: TypeAlias = npt.NDArray[np.int64]

_VERSION = 2
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20, "lc": 0, "lp": 0, "pb": 0}]
"""For binary tables: compression ignores the preceding byte and the position within four bytes."""
_HEAD = struct.Struct("<BI")
_MOST_BYTES = 64 * 2**20
"""Largest size of an unpacked chunk."""
_LOOK_COLUMNS, _THING_COLUMNS = 5, 8
_DEPTH, _THINGS = 3, 4
"""Columns stored as plain values instead of differences."""
_STEPS = np.array([BOX_STEPS] * 4 + [SPEED_STEPS, TURN_STEPS / 360, SCORE_STEPS], np.float64)


class DamagedChunkError(ValueError):
    """A chunk that cannot be unpacked; the message states why."""


class SeenCount(NamedTuple):
    """Number of things seen in a frame.

    Attributes:
        wall_ns: Unix time of its frame.
        things: None if unknown.
    """

    wall_ns: int
    things: int | None


class _FromHere(msgspec.Struct, tag=True, array_like=True, frozen=True):
    sight: Sight | None


class _LabelFromHere(msgspec.Struct, tag=True, array_like=True, frozen=True):
    label: Held | None


_Between: TypeAlias = Cut | MotionGrid | _FromHere | _LabelFromHere


class _Header(msgspec.Struct, array_like=True, frozen=True):
    between: list[tuple[int, _Between]]  # with the index of the prediction that follows
    looks: int
    look_rows: bytes
    things: int
    thing_rows: bytes


def pack(parts: Sequence[LogPart]) -> bytes:
    """Packs the rule input of one stream, in order; predictions must be quantised (``in_steps``)."""
    looks = [part for part in parts if isinstance(part, Look)]
    things = [thing for look in looks for thing in look.things]
    between: list[tuple[int, _Between]] = []
    before, sight, label = 0, None, None
    for part in parts:
        if not isinstance(part, Look):
            between.append((before, part))
            continue
        if part.sight != sight:
            sight = part.sight
            between.append((before, _FromHere(sight)))
        if part.label != label:
            label = part.label
            between.append((before, _LabelFromHere(label)))
        before += 1
    header = _Header(
        between, len(looks), _pack_table(_look_rows(looks)), len(things), _pack_table(_thing_rows(things))
    )
    packed = lzma.compress(msgspec.msgpack.encode(header), lzma.FORMAT_RAW, filters=_FILTERS)
    return _HEAD.pack(_VERSION, zlib.crc32(packed)) + packed


def unpack(chunk: bytes) -> list[LogPart]:
    """Unpacks a chunk.

    Raises:
        DamagedChunkError: The chunk is damaged or has another version.
    """
    header = _header_of(chunk)
    try:
        rows = _unpack_table(header.look_rows, header.looks, _LOOK_COLUMNS)
        things = _things(_unpack_table(header.thing_rows, header.things, _THING_COLUMNS))
        return list(_in_order(_looks(rows, things), header.between))
    except (ValueError, OverflowError) as error:
        raise DamagedChunkError(str(error)) from None


def unpack_counts(chunk: bytes) -> list[SeenCount]:
    """Number of things in each prediction; does not unpack the things, which saves most of the time.

    Raises:
        DamagedChunkError: The chunk is damaged or has another version.
    """
    header = _header_of(chunk)
    try:
        rows = _whole_rows(_unpack_table(header.look_rows, header.looks, _LOOK_COLUMNS))
    except ValueError as error:
        raise DamagedChunkError(str(error)) from None
    return [SeenCount(wall, things if depth else None) for _, wall, _, depth, things in rows.tolist()]


def _header_of(chunk: bytes) -> _Header:
    if chunk[:1] != bytes([_VERSION]):
        raise DamagedChunkError("unknown version")
    packed = chunk[_HEAD.size :]
    if chunk[: _HEAD.size] != _HEAD.pack(_VERSION, zlib.crc32(packed)):
        raise DamagedChunkError("wrong checksum")
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        header = msgspec.msgpack.decode(unpacker.decompress(packed, _MOST_BYTES), type=_Header)
        if not unpacker.eof or unpacker.unused_data:
            raise DamagedChunkError("too long")
    except (lzma.LZMAError, msgspec.DecodeError) as error:
        raise DamagedChunkError(str(error)) from None
    return header


def _in_order(looks: Sequence[Look], between: Sequence[tuple[int, _Between]]) -> Iterator[LogPart]:
    """The predictions with their sights and labels, and the entries between them."""
    done, sight, label = 0, None, None
    for before, part in [*between, (len(looks), None)]:
        for look in looks[done:before]:
            yield msgspec.structs.replace(look, sight=sight, label=label) if sight or label else look
        done = max(done, before)
        if isinstance(part, _FromHere):
            sight = part.sight
        elif isinstance(part, _LabelFromHere):
            label = part.label
        elif part is not None:
            yield part


# -- looks -----------------------------------------------------------------------------------------


def _look_rows(looks: Sequence[Look]) -> Table:
    table = np.array(
        [
            (
                look.now.time_ns // TICK_NS,
                look.now.wall_ns // TICK_NS,
                look.session,
                look.depth,
                len(look.things),
            )
            for look in looks
        ],
        np.int64,
    ).reshape(-1, _LOOK_COLUMNS)
    table[:, 1] -= table[:, 0]
    table[1:, :_DEPTH] -= table[:-1, :_DEPTH].copy()
    return table


def _whole_rows(rows: Table) -> Table:
    """Restores times in nanoseconds and sessions from their differences."""
    rows[:, :_DEPTH] = np.cumsum(rows[:, :_DEPTH], axis=0)
    rows[:, 1] += rows[:, 0]
    rows[:, :2] *= TICK_NS
    return rows


def _looks(rows: Table, things: list[Thing]) -> list[Look]:
    rows = _whole_rows(rows)
    if (rows[:, _THINGS] < 0).any() or rows[:, _THINGS].sum() != len(things):
        raise DamagedChunkError("wrong number of objects")
    each = iter(things)
    return [
        Look(session=session, now=Moment(time, wall), depth=depth, things=list(islice(each, count)))
        for time, wall, session, depth, count in rows.tolist()
    ]


# -- things ----------------------------------------------------------------------------------------


def _thing_rows(things: Sequence[Thing]) -> Table:
    """Ids in the order of the predictions; other columns by thing, so that neighbours are similar."""
    numbers = np.array([thing.id for thing in things], np.int64)
    values = np.array(
        [(*thing.box, thing.speed, thing.direction_deg, thing.score) for thing in things], np.float64
    ).reshape(-1, _THING_COLUMNS - 1)
    table = np.column_stack([numbers, np.rint(values * _STEPS).astype(np.int64)])
    order, is_first = _by_thing(numbers)
    ordered = table[order]
    differences = ordered.copy()
    differences[1:, 1:] -= np.where(is_first[1:, None], 0, ordered[:-1, 1:])
    differences[:, 0] = numbers
    return differences


def _things(table: Table) -> list[Thing]:
    numbers = table[:, 0].copy()
    order, is_first = _by_thing(numbers)
    sums = np.cumsum(table[:, 1:], axis=0)
    firsts = np.flatnonzero(is_first)
    before = (sums - table[:, 1:])[firsts]  # running sums over the things before it
    values = sums - np.repeat(before, np.diff([*firsts, len(table)]), axis=0)
    table[order, 1:] = values
    boxes = (table[:, 1:5] / BOX_STEPS).tolist()
    others = (
        (table[:, 5] / SPEED_STEPS).tolist(),
        (table[:, 6] * 360 / TURN_STEPS).tolist(),
        (table[:, 7] / SCORE_STEPS).tolist(),
    )
    return [
        thing_of_steps(number, (box[0], box[1], box[2], box[3]), speed, direction_deg, score)
        for number, box, speed, direction_deg, score in zip(numbers.tolist(), boxes, *others, strict=True)
    ]


def _by_thing(numbers: Table) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """The order that groups the rows of each thing, and which rows are then the first of a thing."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    is_first = np.ones(len(ordered), np.bool_)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return order, is_first


# -- tables ----------------------------------------------------------------------------------------


def _pack_table(table: Table) -> bytes:
    """Encodes by zigzag, column by column, low bytes first: small values give runs of zeros."""
    signless = ((table << 1) ^ (table >> 63)).T.astype("<i8")
    planes = np.ascontiguousarray(signless).view(np.uint8).reshape(table.shape[1], -1, 8).swapaxes(1, 2)
    return planes.tobytes()


def _unpack_table(data: bytes, rows: int, columns: int) -> Table:
    """Reverses ``_pack_table``.

    Raises:
        ValueError: The data has the wrong length.
    """
    planes = np.frombuffer(data, np.uint8).reshape(columns, 8, rows)
    signless = np.ascontiguousarray(planes.swapaxes(1, 2)).view("<u8").reshape(columns, rows)
    return ((signless >> 1).astype(np.int64) ^ -(signless & 1).astype(np.int64)).T.copy()
