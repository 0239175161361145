"""Batches of windows of recorded clips."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.training.recorded.augment import augment_clips
from pipeline.training.recorded.frame_store import FrameStore
from pipeline.training.rendered.pictures import seeded
from pipeline.training.samples import Clips

Windows = npt.NDArray[np.int64]
"""Numbers of frames in the store, ``(windows, T + 1)``, oldest first."""


@dataclass(frozen=True)
class Batches:
    """Batches made on demand; each iteration gives the same ones.

    Attributes:
        count: Number of batches.
        make: Makes the batch with the given number.
    """

    count: int
    make: Callable[[int], Clips]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Clips]:
        return map(self.make, range(self.count))


class RecordedClips:
    """Windows of recorded clips, as a `ClipSource`.

    Each batch holds equal shares of the classes, regardless of their number of clips. Clips of a class, and
    windows of a clip, are sampled uniformly.

    Attributes:
        labels: Names of the classes.
        names: Keys of the clips, see `ClipEntry.key`.
        seed: Random seed of the order and the augmentation.
        step: Batches made so far.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        clips: Sequence[tuple[str, Windows]],
        store: FrameStore,
        *,
        names: Sequence[str] = (),
        seed: int,
        device: torch.device,
        augment: bool,
        mirror: bool = False,
    ) -> None:
        """Uses windows of frames in the store.

        Args:
            labels: Names of the classes; each has at least one clip.
            clips: Label and windows of each clip, at least one window each.
            store: The frames.
            names: Keys of the clips.
            seed: Random seed.
            device: Device of the batches.
            augment: Augment the batches of ``clips``; `evaluate_batches` never does.
            mirror: Include horizontal flips.
        """
        self.labels, self.names, self.seed, self.step = labels, tuple(names), seed, 0
        self._store, self._device, self._augment, self._mirror = store, device, augment, mirror
        self._all = [(labels.index(label), windows) for label, windows in clips]
        self._by_class = [[w for c, w in self._all if c == number] for number in range(len(labels))]

    def __len__(self) -> int:
        """Number of windows."""
        return sum(len(windows) for _, windows in self._all)

    def seek(self, step: int) -> None:
        """Continues as if ``step`` batches had been made."""
        self.step = step

    @torch.no_grad()
    def clips(self, n: int) -> Clips:
        """The next batch of ``n`` random windows."""
        rng = np.random.default_rng((self.seed, self.step))
        # a random offset distributes the remainder over the classes
        classes = rng.permutation((np.arange(n) + rng.integers(len(self.labels))) % len(self.labels))
        rows = []
        for number in classes:
            of_class = self._by_class[number]
            windows = of_class[rng.integers(len(of_class))]
            rows.append(windows[rng.integers(len(windows))])
        frames = self._frames(np.stack(rows))
        if self._augment:
            generator = seeded(self._device, self.seed, 4, self.step)
            frames = augment_clips(frames, generator, mirror=self._mirror)
        self.step += 1
        return Clips(frames, torch.from_numpy(classes).to(self._device))

    def evaluate_batches(self, n: int, per_clip: int = 0) -> Batches:
        """All windows once, clip by clip, without augmentation.

        Args:
            n: Windows in a batch; the last one may have fewer.
            per_clip: Maximum number of windows of each clip, evenly spaced; 0 = all.
        """
        rows, classes, numbers = [], [], []
        for number, (label, windows) in enumerate(self._all):
            count = min(per_clip or len(windows), len(windows))
            rows.append(windows[np.linspace(0, len(windows) - 1, count).round().astype(int)])
            classes += [label] * count
            numbers += [number] * count
        order = np.concatenate(rows)

        def batch(number: int) -> Clips:
            part = slice(number * n, (number + 1) * n)
            frames = self._frames(order[part])
            labels, of_clips = (torch.tensor(x[part], device=self._device) for x in (classes, numbers))
            return Clips(frames, labels, numbers=of_clips)

        return Batches(math.ceil(len(order) / n), batch)

    def _frames(self, rows: Windows) -> Tensor:
        """Frames ``(n, T + 1, 3, size, size)`` between 0 and 1."""
        pixels = np.stack([self._store[number] for number in rows.ravel().tolist()])
        on_device = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2)
        return on_device.float().div_(255).view(*rows.shape, *on_device.shape[1:])
