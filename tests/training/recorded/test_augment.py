import torch

from pipeline.training.recorded.augment import augment_clips


def ramp(n: int, steps: int = 3, size: int = 48) -> torch.Tensor:
    """Clips of still pictures that get brighter from left to right."""
    return torch.linspace(0.2, 0.8, size).expand(n, steps, 3, size, size).clone()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_what_is_still_stays_still_but_for_noise() -> None:
    varied = augment_clips(ramp(16), rng())
    between_frames = (varied[:, 1] - varied[:, 0]).std(dim=(1, 2, 3))
    assert (between_frames < 0.045).all()
    assert (between_frames > 0).all()
    assert (varied.mean(dim=(1, 2, 3, 4)).std() > 0.02).all()
    assert float(varied.min()) >= 0
    assert float(varied.max()) <= 1


def test_only_the_option_mirrors() -> None:
    def slopes(mirror: bool) -> torch.Tensor:
        varied = augment_clips(ramp(64), rng(1), mirror=mirror)
        return varied[..., 24:].mean(dim=(1, 2, 3, 4)) - varied[..., :24].mean(dim=(1, 2, 3, 4))

    assert (slopes(False) > 0).all()
    assert 16 < int((slopes(True) < 0).sum()) < 48


def test_frames_keep_their_order() -> None:
    clips = ramp(8) + torch.tensor([-0.15, 0.0, 0.15]).view(1, 3, 1, 1, 1)
    levels = augment_clips(clips, rng(2)).mean(dim=(2, 3, 4))
    assert (levels.diff(dim=1) > 0).all()


def test_the_generator_fixes_everything() -> None:
    clips = ramp(4)
    assert torch.equal(augment_clips(clips, rng(5)), augment_clips(clips, rng(5)))
    assert not torch.equal(augment_clips(clips, rng(5)), augment_clips(clips, rng(6)))
