"""Names of the inputs and outputs of an exported step."""

from typing import NamedTuple

from pipeline.model.architecture import MOTION_STAGES, Architecture

_STATE = ("keys", "values", "valid")
_MOTION_STATE = ("match", "fine")
MOTION = ("flow", "uncertainty", "moving", "camera")
"""Outputs of dense motion, see ``StepOutput``."""


class Ports(NamedTuple):
    """The names for one network.

    Attributes:
        state: Parts of the ``State``.
        answer: Parts of the answer.
        features: Additional outputs of a step for pixels: everything its answer needs from the image.
    """

    state: tuple[str, ...]
    answer: tuple[str, ...]
    features: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs of a step: the frame and the state."""
        return ("frame", *self.state)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs of a step: the answer and the next state; a step for pixels adds ``features``."""
        return (*self.answer, *(f"next_{part}" for part in self.state))

    @property
    def kept(self) -> tuple[str, ...]:
        """Outputs of a step for pixels besides the answer: the next state and the features."""
        return (*(f"next_{part}" for part in self.state), *self.features)


def ports(architecture: Architecture) -> Ports:
    """The names for a network."""
    queries = (f"query_{number}" for number in range(architecture.num_layers))
    seen = ("appearance", *queries)
    if not architecture.motion:
        return Ports(_STATE, ("logits", "attention"), seen)
    maps = tuple(f"new_{stage}" for stage in MOTION_STAGES)
    return Ports((*_STATE, *_MOTION_STATE), ("logits", "attention", *MOTION), (*seen, *maps))
