"""Settings for placing and moving streams in a fleet."""

from typing import Annotated

import msgspec

from pipeline.base.quantities import Share, Wait
from pipeline.flow.worker_load import PressureLimits


class FleetPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How streams are placed and moved.

    Attributes:
        spare: Tolerated deviation from a worker's fair share, as a fraction of that share.
        settle_s: Time after a move during which a stream is not moved again, unless its worker goes down.
        steady_s: Uptime that a new or returning worker needs before it is given streams, if there are
            other workers; doubled each time the worker soon goes down again.
        moves_at_once: Largest number of concurrent planned moves from or to one worker.
        limits: Limits above which a worker is overloaded and is given no more streams.
    """

    spare: Share = 0.15
    settle_s: Wait = 60.0
    steady_s: Wait = 10.0
    moves_at_once: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 2
    limits: PressureLimits = PressureLimits()
