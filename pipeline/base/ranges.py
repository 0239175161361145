"""Ranges of numbers from peers, narrow enough to prevent overflow."""

from typing import Annotated, TypeAlias

import msgspec

MOST_COUNT = 2**53
"""Largest count that JSON and browsers represent exactly; ``account.stats.add_counts`` clamps sums to it."""

FrameCount: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
"""Frames or epochs of one stream, enough for 1,100 years at 30 frames per second."""
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNT)]
TimeNs: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""Unix time in ns, until the year 2116."""
SourceTimeNs: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
"""Time in ns on a source's own clock."""
Duration: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1e8)]
"""Up to three years; subtracted from the current time, it still gives a valid time."""
Difference: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
"""Any number; like all types of this module, neither infinite nor NaN."""
Score: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
