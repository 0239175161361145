"""What can be wrong with a camera's picture is listed once."""

from typing import get_args

from pipeline.base.event import EventKind
from pipeline.base.picture_state import FAULTS, BadState


def test_faults_are_kinds_of_events_and_each_bad_picture_is_one() -> None:
    assert set(get_args(BadState)) | {"signal_lost"} == set(FAULTS) <= set(get_args(EventKind))
