"""The sockets of the pipeline, by the names that workers use.

A ``FramePublisher`` (frames) or ``Publisher`` (all else) binds and sends; receivers connect, announce
themselves and poll; ``wait_any`` waits on several receivers at once. Nothing outside this room knows ZeroMQ.
"""

from pipeline.base.errors import SecurityError, TransportError, WireError
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.publisher import SMALL_QUEUE, Publisher
from pipeline.wire.receivers import (
    FrameReceiver,
    PredictionReceiver,
    ReceivedFrame,
    ReceivedPrediction,
    StatsReceiver,
)
from pipeline.wire.security import SecurityPolicy
from pipeline.wire.subscriber import wait_any

__all__ = [
    "SMALL_QUEUE",
    "FramePublisher",
    "FrameReceiver",
    "PredictionReceiver",
    "Publisher",
    "ReceivedFrame",
    "ReceivedPrediction",
    "SecurityError",
    "SecurityPolicy",
    "StatsReceiver",
    "TransportError",
    "WireError",
    "wait_any",
]
