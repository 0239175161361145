"""Opens the clips of a run for training and validation: rendered motions or recorded clips."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.training.parallel import Ranks
from pipeline.training.rendered.films_ahead import FilmsAhead
from pipeline.training.rendered.renderer import MotionRenderer
from pipeline.training.rendered.scene_renderer import SceneRenderer
from pipeline.training.samples import Clips, ClipSource
from pipeline.training.training_options import TrainingOptions

_VALIDATION_SEED = 500_009
_RANK_SEED = 104_729
_MOST = 256

Batches = Callable[[], Iterable[Clips]]
"""Returns the same batches on each call."""


class Sources(NamedTuple):
    """The data of a run.

    Attributes:
        training: This rank's share of the training clips.
        validation: Clips for choosing the best weights.
        held_out: Clips for the final metrics; None if these come from other images, see `evaluate`.
        windows: For recorded clips, the number of windows for training and validation.
        clips: For recorded clips, the keys of the clips in ``train`` and ``held_out``, and in
            ``validation`` if that is a separate set.
    """

    training: ClipSource
    validation: Batches
    held_out: Batches | None
    windows: tuple[int, int] | None = None
    clips: dict[str, tuple[str, ...]] | None = None


class Interleaved:
    """Every ``count``-th batch of a source, for ranks that read the same data.

    Attributes:
        labels: Names of the classes.
    """

    def __init__(self, source: ClipSource, ranks: Ranks) -> None:
        """Starts at the rank's first batch."""
        self.labels = source.labels
        self._source, self._ranks, self._step = source, ranks, 0

    def seek(self, step: int) -> None:
        """Continues as if this rank had made ``step`` batches."""
        self._step = step

    def clips(self, n: int) -> Clips:
        """This rank's next batch."""
        self._source.seek(self._step * self._ranks.count + self._ranks.rank)
        self._step += 1
        return self._source.clips(n)


def open_sources(options: TrainingOptions, ranks: Ranks, notify: Callable[[str], None]) -> Sources:
    """Opens the data named in the options.

    Raises:
        ValueError: Images or clips are missing or invalid.
    """
    return _recorded(options, ranks, notify) if options.data else _rendered(options, ranks)


def open_scenes(options: TrainingOptions, ranks: Ranks) -> SceneRenderer | FilmsAhead | None:
    """This rank's layered scenes for dense motion; None if the options disable them.

    On a GPU a second process renders while this one trains.

    Raises:
        ValueError: Images are missing, or the batch can't be divided among the ranks.
    """
    if not options.scene_batch_size:
        return None
    if options.scene_batch_size % ranks.count:
        raise ValueError(
            f"scene_batch_size {options.scene_batch_size} is not a multiple of {ranks.count} ranks"
        )
    on_gpu = ranks.device.type == "cuda"
    open_renderer = partial(
        SceneRenderer,
        ranks.device,
        options.scene_height,
        options.scene_width,
        options.seed + _RANK_SEED * ranks.rank,
        Path(options.pictures) if options.pictures else None,
        num_past=options.model.num_past,
        photo_share=options.photo_share,
        bank_count=options.bank_count,
        scene=options.scenes,
        fused=options.compile and on_gpu,
    )
    if on_gpu and options.scenes_ahead:
        return FilmsAhead(open_renderer, options.scene_batch_size // ranks.count, options.scenes_ahead)
    return open_renderer()


def _rendered(options: TrainingOptions, ranks: Ranks) -> Sources:
    def renderer(seed: int, bank_count: int, redraw_every: int) -> MotionRenderer:
        return MotionRenderer(
            ranks.device,
            options.model.image_size,
            seed,
            Path(options.pictures) if options.pictures else None,
            num_past=options.model.num_past,
            photo_share=options.photo_share,
            bank_count=bank_count,
            redraw_every=redraw_every,
            supersample=options.supersample,
            scene=options.scene,
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


def _recorded(options: TrainingOptions, ranks: Ranks, notify: Callable[[str], None]) -> Sources:
    # imported here, because rendered clips do not need PyAV
    from pipeline.training.recorded.open_clips import open_recorded

    training, validation, test = open_recorded(
        Path(options.data),
        num_past=options.model.num_past,
        size_px=options.model.image_size,
        spacing_ms=options.spacing_ms,
        validation_share=options.validation_share,
        seed=options.seed,
        device=ranks.device,
        labels=None,
        augment=options.augment,
        notify=notify,
        mirror=options.mirror,
    )
    if test is None:
        notify(
            "no test clips: the validation clips select the weights and are also used for the final scores"
        )
    most = min(options.batch_size, _MOST)
    held_out = validation if test is None else test
    clips = {"train": training.names, "held_out": held_out.names}
    return Sources(
        training if ranks.count == 1 else Interleaved(training, ranks),
        lambda: validation.evaluate_batches(most, options.windows_per_clip),
        lambda: held_out.evaluate_batches(most),
        (len(training), len(validation)),
        clips if test is None else clips | {"validation": validation.names},
    )
