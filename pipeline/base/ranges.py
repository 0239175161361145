"""Ranges of numbers from peers, narrow enough that no use can overflow."""

from typing import Annotated, TypeAlias

import msgspec

MOST_COUNT = 2**53
"""Largest count: JSON and browsers keep it exactly. Sums stay there: see ``account.stats.add_counts``."""

FrameCount: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
"""Frames of one stream, epochs: 1,100 years at 30 frames a second."""
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNT)]
TimeNs: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""Unix time in ns, until the year 2116."""
SourceTimeNs: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
"""Time in ns on a source's own clock."""
Duration: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1e8)]
"""Three years, which a time may go back and still be one."""
Difference: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
"""Any number; neither infinite nor NaN, as all of these."""
Score: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
