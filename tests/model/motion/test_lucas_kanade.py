import pytest
import torch
from torch.nn import functional as F

from pipeline.model.motion.lucas_kanade import STEP_CHANNELS, WINDOWS, LucasKanade, Steps
from pipeline.model.motion.texture import Texture

ROWS, COLUMNS = 24, 32  # of places, at stride 4


def waves(shift_x: float = 0.0, shift_y: float = 0.0, *, across_only: bool = False) -> torch.Tensor:
    """A texture ``(1, 8, 48, 64)`` whose content lies so many pixels further right and down."""
    y = torch.arange(2 * ROWS)[:, None] * 2.0 - shift_y
    x = torch.arange(2 * COLUMNS)[None] * 2.0 - shift_x
    generator = torch.Generator().manual_seed(0)
    maps = []
    for _ in range(8):
        a, b, phase = (torch.rand(3, generator=generator) * torch.tensor([0.5, 0.5, 6.3])).tolist()
        maps.append(torch.sin(a * x + (0 if across_only else b) * y + phase).expand(2 * ROWS, 2 * COLUMNS))
    return torch.stack(maps)[None]


def step(past: torch.Tensor, flow: tuple[float, float] = (0.0, 0.0), **how: bool) -> Steps:
    kanade = LucasKanade()
    start = torch.tensor(flow)[None, :, None, None].expand(1, 2, ROWS, COLUMNS)
    return kanade(kanade.gradients(waves(**how)), past, start)


@torch.no_grad()
@pytest.mark.parametrize("shift", [(0.5, 0.0), (0.0, -0.3), (-0.8, 0.6)])
def test_a_step_leads_to_where_the_place_was(shift: tuple[float, float]) -> None:
    steps = step(waves(*shift))
    assert steps.pixels.shape == (1, 2, len(WINDOWS), ROWS, COLUMNS)
    assert steps.evidence.shape == (1, STEP_CHANNELS, ROWS, COLUMNS)
    inside = steps.pixels[0, :, :, 4:-4, 4:-4]
    wanted = torch.tensor(shift)[:, None, None, None]
    assert (inside - wanted).abs().mean() < 0.2 * max(map(abs, shift))


@torch.no_grad()
def test_it_goes_on_from_the_flow_so_far() -> None:
    past = waves(6.5, -3.0)
    wrong, near = step(past), step(past, (6.0, -3.0))
    inside = near.pixels[0, :, :, 6:-6, 6:-6]
    assert (inside - torch.tensor([0.5, 0.0])[:, None, None, None]).abs().mean() < 0.08
    unexplained = [x.evidence[0, 2 * len(WINDOWS), 6:-6, 6:-6].mean() for x in (wrong, near)]
    assert unexplained[0] > 3 * unexplained[1]


@torch.no_grad()
def test_along_an_edge_there_is_no_step_and_it_says_so() -> None:
    steps = step(waves(0.5, 0.5, across_only=True), across_only=True)
    inside = steps.pixels[0, :, :, 4:-4, 4:-4]
    assert inside[0].mean() == pytest.approx(0.5, abs=0.1)
    assert inside[1].abs().max() < 1e-3
    edge, corner = (x.evidence[0, -1, 4:-4, 4:-4].median() for x in (steps, step(waves(0.5, 0.5))))
    assert edge < 1e-3
    assert corner > 0.2


@torch.no_grad()
def test_without_texture_there_is_no_step() -> None:
    kanade, flat = LucasKanade(), torch.zeros(1, 8, 2 * ROWS, 2 * COLUMNS)
    steps = kanade(kanade.gradients(flat), flat + 0.5, torch.zeros(1, 2, ROWS, COLUMNS))
    assert not steps.pixels.any()
    assert not steps.evidence[:, -len(WINDOWS) :].any()  # a wall is no corner


@torch.no_grad()
@pytest.mark.parametrize("true", [0.3, 0.7])
def test_steps_of_a_picture_are_as_long_as_its_motion(true: float) -> None:
    def grain(shift: float) -> torch.Tensor:
        x = (torch.arange(4 * COLUMNS) + 0.5 - shift) / (2 * COLUMNS) - 1
        y = (torch.arange(4 * ROWS) + 0.5) / (2 * ROWS) - 1
        grid = torch.stack((x.expand(4 * ROWS, -1), y[:, None].expand(-1, 4 * COLUMNS)), dim=-1)
        return F.grid_sample(
            noise, grid[None], mode="bicubic", padding_mode="reflection", align_corners=False
        )

    noise = torch.randn(1, 3, ROWS // 2, COLUMNS // 2, generator=torch.Generator().manual_seed(0))  # of 8 px
    texture, steps_of = Texture(), LucasKanade()
    here, there = (F.pixel_shuffle(texture(grain(shift)), 2) for shift in (0.0, true))
    found = steps_of(steps_of.gradients(here), there, torch.zeros(1, 2, ROWS, COLUMNS)).pixels
    inside = found[0, :, :, 4:-4, 4:-4].mean(dim=(2, 3))
    torch.testing.assert_close(inside[0], torch.full_like(inside[0], true), atol=0, rtol=0.12)
    assert inside[1].abs().max() < 0.03


@torch.no_grad()
def test_places_that_came_from_outside_the_picture_have_no_say() -> None:
    past = waves(0.5)
    flow = torch.zeros(1, 2, ROWS, COLUMNS)
    flow[..., COLUMNS // 2 :] = 500.0
    steps_of = LucasKanade()
    steps = steps_of(steps_of.gradients(waves()), past, flow)
    left, right = steps.pixels[..., 4 : COLUMNS // 2 - 1], steps.pixels[..., COLUMNS // 2 + 4 :]
    assert left[:, 0].mean() == pytest.approx(0.5, abs=0.1)  # beside them it is as long as ever
    assert not right.any()
    unexplained = steps.evidence[:, 2 * len(WINDOWS) : 3 * len(WINDOWS)]
    assert unexplained[..., COLUMNS // 2 + 4 :].min() == 1
    assert unexplained[..., 4 : COLUMNS // 2 - 4].max() < 0.2


@torch.no_grad()
def test_what_was_hidden_by_something_else_counts_less() -> None:
    past = waves(0.5)
    past[..., :20] = 30.0  # something bright lies there
    steps_of = LucasKanade()
    steps = steps_of(steps_of.gradients(waves()), past, torch.zeros(1, 2, ROWS, COLUMNS))
    beside = steps.pixels[:, :, :, 4:-4, 11:14]  # half of the wide window is hidden
    assert beside[:, 0].mean() == pytest.approx(0.5, abs=0.15)
    unexplained = steps.evidence[0, 2 * len(WINDOWS), 4:-4]
    assert unexplained[:, :8].min() > 0.9
    assert unexplained[:, 14:-4].max() < 0.2


def test_steps_teach_the_textures_of_both_frames() -> None:
    here, there = waves().requires_grad_(), waves(0.5).requires_grad_()
    steps_of = LucasKanade()
    steps = steps_of(steps_of.gradients(here), there, torch.zeros(1, 2, ROWS, COLUMNS))
    steps.pixels.square().sum().backward()
    assert here.grad is not None
    assert here.grad.any()
    assert there.grad is not None
    assert there.grad.any()
    assert steps_of.log_damping.grad is not None
    assert steps_of.log_scale.grad is not None
