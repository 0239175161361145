"""Settings for placing and moving streams in a fleet."""

from typing import Annotated

import msgspec

from pipeline.base.quantities import Share, Wait
from pipeline.flow.worker_load import PressureLimits


class FleetPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How streams are placed and moved.

    Attributes:
        spare: How far a worker may be off its fair share, as a part of that share.
        settle_s: A stream that was moved is left alone for so long, except when its worker is gone.
        steady_s: A worker that is new or came back must have been up for so long before it is given streams,
            while there are others; doubled each time it soon goes down again.
        moves_at_once: How many streams one worker gives or takes at the same time by planned moves.
        limits: From when on a worker has too much to do: it is given no more.
    """

    spare: Share = 0.15
    settle_s: Wait = 60.0
    steady_s: Wait = 10.0
    moves_at_once: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 2
    limits: PressureLimits = PressureLimits()
