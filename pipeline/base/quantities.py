"""Numbers of the configuration, each with a unit and a finite range."""

from typing import Annotated, TypeAlias

import msgspec

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=31_536_000.0)]
"""Duration of a run, up to a year; 0 for no limit."""
Wait: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)]
"""Seconds, up to a day; 0 for none."""
Timeout: TypeAlias = Annotated[float, msgspec.Meta(ge=0.01, le=86_400.0)]
"""Seconds, up to a day."""
ClipPart: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=600.0)]
"""Seconds of video."""
Interval: TypeAlias = Annotated[float, msgspec.Meta(ge=0.01, le=10.0)]
"""Seconds between periodic messages."""
AgeHours: TypeAlias = Annotated[float, msgspec.Meta(ge=0.01, le=8_760.0)]
"""Hours, up to a year."""
Messages: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
"""Number of small queued messages, in memory or on disk."""
Waits: TypeAlias = Annotated[list[Wait], msgspec.Meta(min_length=1, max_length=100)]
"""Seconds before each attempt; the last value repeats."""
Milliseconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=3_600_000.0)]
"""Milliseconds, up to an hour."""
FrameAge: TypeAlias = Annotated[float, msgspec.Meta(ge=100.0, le=3_600_000.0)]
"""Milliseconds, up to an hour; a limit below one tick of a worker would drop every frame."""
WholeMilliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]
RunFrames: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
"""Number of frames of a run; 0 for no limit."""
QueueLength: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
"""Number of frames held in memory."""
Attempts: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
LongerSide: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_024, multiple_of=32)]
"""Longer side of the model's input, in pixels; 0 for the checkpoint's own."""
Pixels: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=16_384)]
"""Side of an image; 0 for the source's own."""
Rate: TypeAlias = Annotated[float, msgspec.Meta(ge=0.01, le=1_000.0)]
"""Frames per second."""
WantedRate: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1_000.0)]
"""Frames per second; 0 for the source's own."""
Memory: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=16_384.0)]
"""Megabytes of 2**20 bytes; 0 for none."""
MessageSize: TypeAlias = Annotated[float, msgspec.Meta(ge=0.01, le=16_384.0)]
"""Megabytes of 2**20 bytes."""
StoreSize: TypeAlias = Annotated[float, msgspec.Meta(ge=1.0, le=1_048_576.0)]
"""Megabytes of 2**20 bytes on a disk, up to 2**40 bytes."""
Days: TypeAlias = Annotated[float, msgspec.Meta(ge=0.01, le=36_500.0)]
JpegQuality: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=100)]
Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
GreyLevels: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=255.0)]
Threads: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_024)]
BatchSize: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=4_096)]
WorkerCount: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=32)]
TopK: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Niceness: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=19)]
Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
