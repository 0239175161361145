"""Films of layered scenes: the pictures do what the truth says."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.model.motion.geometry import warp
from pipeline.training.rendered.layered_scene import LayeredScene
from pipeline.training.rendered.scene_renderer import SceneClips, SceneRenderer

HEIGHT, WIDTH = 64, 96
PLAIN = LayeredScene(
    bare_share=0,
    blur_share=0,
    shadow_share=0,
    rain_share=0,
    overlay_share=0,
    dark_share=0,
    noisy_share=0,
    compressed_share=0,
    skipped_share=0,
    encoded_share=0,
)


class Clean(SceneRenderer):
    """Films without light, sensor, weather and codec."""

    def _spoilt(self, frames: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        covered = torch.zeros((len(frames), self.height // 4, self.width // 4), dtype=torch.bool)
        return frames, covered


def renderer(seed: int = 3, *, scene: LayeredScene = PLAIN, num_past: int = 2) -> SceneRenderer:
    return SceneRenderer("cpu", HEIGHT, WIDTH, seed, bank_count=8, scene=scene, num_past=num_past)


def away_from_edges(owner: Tensor) -> Tensor:
    """Places with two places around them of the same layer, ``(n, h, w)``."""
    return F.max_pool2d(owner, 5, 1, 2) == -F.max_pool2d(-owner, 5, 1, 2)


def difference(clips: SceneClips, flow: Tensor) -> float:
    """Between the new frame and the past ones warped to it, where that can be seen; the median clip's."""
    seen = clips.truth.visible & away_from_edges(clips.truth.owner)[:, None]
    worst = []
    for slot in range(flow.shape[1]):
        dense = F.interpolate(flow[:, slot], scale_factor=4.0, mode="bilinear", align_corners=False)
        off = (warp(clips.frames[:, slot], dense, 1) - clips.frames[:, -1]).abs().mean(dim=1)
        off = F.avg_pool2d(off, 4) * seen[:, slot]
        worst.append(off.sum(dim=(1, 2)) / seen[:, slot].sum(dim=(1, 2)).clamp_min(1))
    return float(torch.stack(worst).amax(dim=0).median())


def test_past_frames_warped_by_the_true_flow_give_the_new_one() -> None:
    clips = Clean("cpu", HEIGHT, WIDTH, 3, bank_count=8, scene=PLAIN).clips(16)
    true = clips.truth.flow
    smallest = difference(clips, true)
    assert smallest < 0.02
    for wrong in (torch.zeros_like(true), -true, true.flip(2), true.flip(1), true + 2):
        assert difference(clips, wrong) > 2 * smallest
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        assert difference(clips, true + torch.tensor([x, y]).view(2, 1, 1)) > smallest


def test_frames_are_pictures_and_the_truth_fits_them() -> None:
    clips = renderer(scene=LayeredScene(), num_past=3).clips(8)
    assert clips.frames.shape == (8, 4, 3, HEIGHT, WIDTH)
    assert clips.frames.min() >= 0
    assert clips.frames.max() <= 1
    assert clips.frames.std(dim=(1, 2, 3, 4)).min() > 0.005
    h, w = HEIGHT // 4, WIDTH // 4
    shapes = {name: tuple(part.shape) for name, part in clips.truth._asdict().items()}
    assert shapes == {
        "flow": (8, 3, 2, h, w),
        "visible": (8, 3, h, w),
        "moving": (8, h, w),
        "certain": (8, h, w),
        "owner": (8, h, w),
        "camera": (8, 3, 2, h, w),
    }
    assert clips.truth.flow.isfinite().all()


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_any_share_of_blurred_clips_in_any_batch(n: int, share: float) -> None:
    clips = renderer(scene=LayeredScene(blur_share=share)).clips(n)
    assert clips.frames.shape == (n, 3, 3, HEIGHT, WIDTH)
    assert clips.frames.isfinite().all()


def test_the_same_seed_films_the_same_and_another_does_not() -> None:
    first, again, other = (renderer(seed).clips(2) for seed in (3, 3, 4))
    assert torch.equal(first.frames, again.frames)
    assert all(torch.equal(a, b) for a, b in zip(first.truth, again.truth, strict=True))
    assert not torch.equal(first.frames, other.frames)
    assert not torch.equal(first.truth.flow, other.truth.flow)


def test_seek_goes_on_as_if_the_batches_before_had_been_rendered() -> None:
    whole = renderer()
    batches = [whole.clips(1) for _ in range(6)]  # with a redraw of the bank in between
    later = renderer()
    later.seek(5)
    assert torch.equal(later.clips(1).frames, batches[5].frames)
    assert not torch.equal(batches[4].frames, batches[5].frames)
    assert later.step == whole.step == 6


def test_what_a_burnt_in_text_covers_is_left_out_of_the_truth() -> None:
    scene = LayeredScene(empty_share=1, plane_share=0, overlay_share=1, standing_share=1)
    truth = renderer(scene=scene).clips(8).truth
    assert not truth.certain.all()
    assert truth.certain.float().mean() > 0.7
    assert not (truth.visible & ~truth.certain[:, None]).any()


def test_bare_layers_have_parts_without_texture() -> None:
    def textured(share: float) -> Tensor:
        scene = LayeredScene(bare_share=share, empty_share=1, plane_share=0)
        frames = Clean("cpu", HEIGHT, WIDTH, 3, bank_count=8, scene=scene).clips(8).frames[:, -1]
        mean = F.avg_pool2d(frames, 8)
        return (F.avg_pool2d(frames.square(), 8) - mean.square()).clamp_min(0).sqrt().mean(dim=1)

    assert (textured(1.0) < 0.01).float().mean() > (textured(0.0) < 0.01).float().mean() + 0.15
