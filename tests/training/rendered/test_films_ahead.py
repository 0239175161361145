"""Scenes filmed ahead by a second process: the same ones, and no process is left or waited for in vain."""

import os
import signal
from functools import partial
from multiprocessing import active_children

import pytest
import torch

from pipeline.training.rendered.films_ahead import FilmsAhead
from pipeline.training.rendered.scene_renderer import SceneRenderer

OPEN = partial(SceneRenderer, "cpu", 64, 96, 3, bank_count=8)


def test_the_batches_are_those_of_the_renderer_also_of_a_run_that_goes_on() -> None:
    ahead, alone = FilmsAhead(OPEN, 2, ahead=2), OPEN()
    for _ in range(2):
        found, wanted = ahead.clips(2), alone.clips(2)
        assert torch.equal(found.frames, wanted.frames)
        assert torch.equal(found.truth.flow, wanted.truth.flow)
    ahead.seek(5)
    alone.seek(5)
    assert torch.equal(ahead.clips(2).frames, alone.clips(2).frames)


def film(ahead: FilmsAhead, batches: int) -> None:
    for _ in range(batches):
        ahead.clips(1)


def test_a_killed_process_is_an_error() -> None:
    ahead = FilmsAhead(OPEN, 1, ahead=1)
    film(ahead, 1)
    for child in active_children():
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"exited unexpectedly|killed by signal"):
        film(ahead, 5)  # those that were finished before still come


def test_another_size_than_that_of_the_batches_is_refused() -> None:
    with pytest.raises(ValueError, match="3 clips requested, but batches of 2"):
        FilmsAhead(OPEN, 2, ahead=1).clips(3)
