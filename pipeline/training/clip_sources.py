"""Which clips a run learns from and is validated on: rendered camera motion, or recorded clips."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.training.options import FitOptions
from pipeline.training.parallel import Ranks
from pipeline.training.rendered.renderer import MotionRenderer, Scene
from pipeline.training.samples import Clips, ClipSource

_VALIDATION_SEED = 500_009
_RANK_SEED = 104_729
_MOST = 256

Batches = Callable[[], Iterator[Clips]]
"""The same batches at each call."""


class Sources(NamedTuple):
    """What a run needs of its data.

    Attributes:
        training: this rank's share of the clips to train on.
        validation: clips for choosing the best weights.
        held_out: clips for the final figures; None if these come from other pictures, see `evaluate`.
        windows: of recorded clips, how many there are to train on and for validation.
        clips: of recorded clips, the keys of those in ``train`` and of those in ``held_out``.
    """

    training: ClipSource
    validation: Batches
    held_out: Batches | None
    windows: tuple[int, int] | None = None
    clips: dict[str, tuple[str, ...]] | None = None


class Interleaved:
    """Every ``count``-th batch of a source, for one of several ranks that read the same data.

    Attributes:
        labels: names of the classes.
    """

    def __init__(self, source: ClipSource, ranks: Ranks) -> None:
        """Starts at the rank's first batch."""
        self.labels = source.labels
        self._source, self._ranks, self._step = source, ranks, 0

    def seek(self, step: int) -> None:
        """Goes on as if this rank had made ``step`` batches."""
        self._step = step

    def clips(self, n: int) -> Clips:
        """This rank's next batch."""
        self._source.seek(self._step * self._ranks.count + self._ranks.rank)
        self._step += 1
        return self._source.clips(n)


def open_sources(options: FitOptions, ranks: Ranks, say: Callable[[str], None]) -> Sources:
    """Opens what the options name.

    Raises:
        ValueError: no such pictures or clips, or a mistake in them.
    """
    return _recorded(options, ranks, say) if options.data else _rendered(options, ranks)


def scene(options: FitOptions) -> Scene:
    """The disturbances that the options ask for."""
    return Scene(
        object_share=options.object_share,
        scrolling_share=options.scrolling_share,
        overlay_share=options.overlay_share,
        flat_share=options.flat_share,
        blur_share=options.blur_share,
        dark_share=options.dark_share,
        compressed_share=options.compressed_share,
    )


def _rendered(options: FitOptions, ranks: Ranks) -> Sources:
    def renderer(seed: int, bank_count: int, redraw_every: int) -> MotionRenderer:
        return MotionRenderer(
            ranks.device,
            options.size_px,
            seed,
            Path(options.pictures) if options.pictures else None,
            num_past=options.num_past,
            photo_share=options.photo_share,
            bank_count=bank_count,
            redraw_every=redraw_every,
            supersample=options.supersample,
            scene=scene(options),
            speeds=(options.min_speed, options.max_speed),
        )

    fresh = renderer(options.seed + _VALIDATION_SEED, min(options.bank_count, 128), 0)

    def validation() -> Iterator[Clips]:
        fresh.seek(0)
        left, most = options.validate_samples, min(options.batch_size, _MOST)
        while left:
            yield fresh.clips(min(left, most))
            left -= min(left, most)

    training = renderer(
        options.seed + _RANK_SEED * ranks.rank, options.bank_count, options.redraw_every_steps
    )
    return Sources(training, validation, None)


def _recorded(options: FitOptions, ranks: Ranks, say: Callable[[str], None]) -> Sources:
    # PyAV and its friends are not needed where motion is rendered
    from pipeline.training.recorded.recorded_clips import open_recorded

    training, kept = open_recorded(
        Path(options.data),
        num_past=options.num_past,
        size_px=options.size_px,
        spacing_ms=options.spacing_ms,
        validation_share=options.validation_share,
        seed=options.seed,
        device=ranks.device,
        labels=None,
        augment=options.augment,
        say=say,
        mirror=options.mirror,
    )
    most = min(options.batch_size, _MOST)
    return Sources(
        training if ranks.count == 1 else Interleaved(training, ranks),
        lambda: kept.evaluate_batches(most, options.windows_per_clip),
        lambda: kept.evaluate_batches(most),
        (len(training), len(kept)),
        {"train": training.names, "held_out": kept.names},
    )
