"""Frames and predictions as a worker's receiver hands them over, without sockets."""

from dataclasses import replace
from typing import Any

from pipeline.wire import decoding, encoding
from pipeline.wire.arrivals import ReceivedFrame, ReceivedPrediction
from pipeline.wire.memory import MemoryBudget
from pipeline.wire.messages import FrameHeader
from tests.wire.peers import frame, prediction

BUDGET = MemoryBudget(64.0)
MS = 1_000_000


def received(
    seq: int, at_ms: float, *, policy: Any = "every", received_ms: float = 0, **changes: Any
) -> ReceivedFrame:
    """A frame of 8 x 8 pixels that was captured at ``at_ms``."""
    sent = replace(frame(seq, policy, side=8), capture_ns=int(at_ms * MS), **changes)
    parts = encoding.encode_frame(sent, "raw", 90, sent_ns=int(at_ms * MS))
    header = decoding.decode_message(parts, 1 << 20)
    assert isinstance(header, FrameHeader)
    return ReceivedFrame(header, parts[2], int((received_ms or at_ms) * MS), BUDGET)


def answer(seq: int, **changes: Any) -> ReceivedPrediction:
    return ReceivedPrediction(prediction(seq, **changes), None, 0)
