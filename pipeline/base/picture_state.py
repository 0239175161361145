"""The states of image health, by name."""

from typing import Literal, TypeAlias, get_args

BadState: TypeAlias = Literal["covered", "dark", "over_exposed", "frozen", "blurred", "smeared"]
"""What is wrong with a picture: such a picture is neither predicted nor remembered."""
PictureState: TypeAlias = Literal["ok"] | BadState
FAULTS = (*get_args(BadState), "signal_lost")
"""Kinds of events that say that a camera does not see, or not well."""
