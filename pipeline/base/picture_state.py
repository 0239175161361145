"""Names of the states of image health."""

from typing import Literal, TypeAlias, get_args

BadState: TypeAlias = Literal["covered", "dark", "over_exposed", "frozen", "blurred", "smeared"]
"""Faults of a frame; a faulty frame gets no prediction and is not kept as history."""
PictureState: TypeAlias = Literal["ok"] | BadState
FAULTS = (*get_args(BadState), "signal_lost")
"""Kinds of events that report a camera without a usable image."""
