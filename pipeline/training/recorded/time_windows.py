"""Windows of frames from labelled clips."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.model.history import StreamHistory

Clip = Tensor | Sequence[Tensor]
"""Frames ``(3, H, W)`` in order: a tensor ``(N, 3, H, W)`` or a sequence of frames, read on demand."""


class TemporalDataset(Dataset[tuple[Tensor, ...]]):
    """Every window of ``sequence_length`` consecutive frames, with the label of its newest frame.

    Windows never cross clip boundaries, so a clip of N frames gives N - ``sequence_length`` + 1 windows, and
    a clip shorter than that none.
    """

    def __init__(
        self, clips: Sequence[Clip], labels: Sequence[int | Sequence[int]], sequence_length: int = 3
    ) -> None:
        """Keeps the clips; frames are read when a window is requested.

        Args:
            clips: Each a sequence of frames ``(3, H, W)``.
            labels: For each clip one class for all its frames, or a class for each frame.
            sequence_length: Frames in a window, including the newest.

        Raises:
            ValueError: The labels do not match the clips, or there are no windows.
        """
        if sequence_length < 1:
            raise ValueError(f"sequence_length must be at least 1, not {sequence_length}")
        if len(clips) != len(labels):
            raise ValueError(f"{len(clips)} clips need as many labels, not {len(labels)}")
        for number, (clip, label) in enumerate(zip(clips, labels, strict=True)):
            if not isinstance(label, int) and len(label) != len(clip):
                raise ValueError(f"clip {number} has {len(clip)} frames but {len(label)} labels")
        self.clips, self.labels, self.sequence_length = clips, labels, sequence_length
        self._ends = list(accumulate(max(len(clip) - sequence_length + 1, 0) for clip in clips))
        if not len(self):
            raise ValueError(f"no clip has {sequence_length} frames: nothing to train on")

    def __len__(self) -> int:
        """Number of windows in all clips."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """One window.

        Returns:
            Frames ``(3, H, W)``, oldest first, then the label, a scalar.

        Raises:
            IndexError: The window does not exist.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        index %= len(self)
        number = bisect_right(self._ends, index)
        start = index - (self._ends[number - 1] if number else 0)
        newest = start + self.sequence_length - 1
        label = self.labels[number]
        label = label if isinstance(label, int) else label[newest]
        return *(self.clips[number][i] for i in range(start, newest + 1)), torch.tensor(label)


class TemporalDataLoader(DataLoader[tuple[Tensor, ...]]):
    """Batches ``(img_t_minus_2, img_t_minus_1, img_t, labels)``, each image ``(B, 3, H, W)``."""

    def __init__(self, dataset: TemporalDataset, sequence_length: int = 3, **options: Any) -> None:
        """Wraps a data set.

        Args:
            dataset: Windows of ``sequence_length`` frames.
            sequence_length: Frames in a window; must match the data set.
            **options: Options of `torch.utils.data.DataLoader`, such as ``batch_size`` and ``shuffle``.

        Raises:
            ValueError: The data set has windows of another length.
        """
        if dataset.sequence_length != sequence_length:
            raise ValueError(
                f"sequence_length is {sequence_length}, but the data set has windows of "
                f"{dataset.sequence_length} frames"
            )
        super().__init__(dataset, **options)


def windows_by_time(times_ns: Sequence[int], num_past: int, spacing_ms: float) -> npt.NDArray[np.int64]:
    """Every window of a clip without missing past frames, selected as in the live pipeline.

    Args:
        times_ns: Time of each frame, increasing.
        num_past: Past frames in a window, ``T``.
        spacing_ms: Time between the frames of a window; 0, or a clip with a lower frame rate, gives
            consecutive frames.

    Returns:
        Indices of frames ``(windows, T + 1)``, oldest first.
    """
    history: StreamHistory[int] = StreamHistory(num_past, spacing_ms)
    windows = []
    for newest, time_ns in enumerate(times_ns):
        past = [slot.key for slot in history.select(time_ns) if slot is not None]
        if len(past) == num_past:
            windows.append([*past, newest])
        history.append(newest, time_ns, None)
    return np.array(windows, np.int64).reshape(-1, num_past + 1)
