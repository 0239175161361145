"""Where points of a layer go, and how much of the screen it covers."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.training.rendered.layer_truth import screen
from pipeline.training.rendered.layered_scene import LayeredScene, random_scenes
from pipeline.training.rendered.scene_layers import Path, Shape, cover, to_layer, to_screen

HEIGHT, WIDTH = 96, 160
TIMES = torch.tensor([-2.0, -1.0, 0.0])


def disc(radius: float, *, power: float = 2.0, stretch: float = 1.0) -> Shape:
    none = torch.zeros(1, 3)
    return Shape(torch.tensor([[radius, radius * stretch]]), torch.tensor([power]), none, none, torch.ones(1))


def place(path: Path) -> tuple[Tensor, Tensor]:
    x, y = screen(HEIGHT, WIDTH, 4, TIMES.device)
    shape = (*path.turn.shape[:2], len(y), len(x))
    return x.expand(shape), y.expand(shape)


def test_to_screen_undoes_to_layer_for_every_layer_of_random_scenes() -> None:
    options = LayeredScene(swaying_share=0.5)
    scenes = random_scenes(64, TIMES, HEIGHT / WIDTH, options, torch.Generator().manual_seed(4))
    x, y = place(scenes.layers[0].path)
    for number, layer in enumerate(scenes.layers):
        there_x, there_y = to_screen(layer.path, *to_layer(layer.path, x, y))
        off_px = torch.hypot(there_x - x, there_y - y) * WIDTH / 2
        assert off_px.max() < 0.1, number  # where the largest waves are steepest
        assert off_px.quantile(0.99) < 0.02, number


def test_a_similarity_without_waves_is_undone_exactly() -> None:
    blank = torch.zeros(1, 1, 2)
    path = Path(
        torch.tensor([[[0.9, 0.3]]]), torch.tensor([[[0.2, -0.1]]]), blank, blank, torch.zeros(1, 2, 3)
    )
    u, v = to_layer(path, torch.tensor(0.9), torch.tensor(0.4))
    assert complex(0.9, 0.3) * complex(u, v) + complex(0.2, -0.1) == pytest.approx(
        complex(0.9, 0.4), abs=1e-6
    )


@pytest.mark.parametrize("radius", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("stretch", [1.0, 0.6])
def test_the_cover_of_an_ellipse_has_its_area(radius: float, stretch: float) -> None:
    u, v = screen(256, 256, 1, TIMES.device)
    covered = cover(disc(radius, stretch=stretch), u, v, torch.tensor([2 / 256]))
    assert covered.shape == (1, 1, 256, 256)
    assert float(covered.mean()) * 4 == pytest.approx(math.pi * radius * radius * stretch, rel=0.02)
    assert covered.min() == 0
    assert covered.max() == 1


def test_a_high_power_is_nearly_a_box_and_no_radius_covers_everything() -> None:
    u, v = screen(256, 256, 1, TIMES.device)
    softness = torch.tensor([2 / 256])
    assert float(cover(disc(0.5, power=40), u, v, softness).mean()) == pytest.approx(0.25, rel=0.05)
    assert cover(disc(0.0), u, v, softness).eq(1).all()
    assert not cover(disc(0.5)._replace(opacity=torch.zeros(1)), u, v, softness).any()


def test_an_outline_lies_where_its_harmonics_say() -> None:
    wobble, phase = torch.tensor([[0.2, 0.15, 0.1]]), torch.tensor([[0.4, 2.0, 5.0]])
    shape = disc(0.5)._replace(wobble=wobble, phase=phase)
    angle = torch.linspace(-3.1, 3.1, 40)
    waves = torch.cos(torch.tensor([[2.0], [3.0], [5.0]]) * angle + phase.T)
    radius = 0.5 * (1 + (wobble.T * waves).sum(dim=0))
    x, y = ((radius * f(angle)).view(1, 1, 1, -1) for f in (torch.cos, torch.sin))
    softness = torch.tensor([0.2])
    torch.testing.assert_close(cover(shape, x, y, softness), torch.full_like(x, 0.5), atol=1e-4, rtol=0)


def test_a_soft_edge_is_as_wide_as_asked() -> None:
    u, v = screen(2, 1024, 1, TIMES.device)
    for softness in (0.02, 0.1):
        row = cover(disc(0.5), u, v * 0, torch.tensor([softness]))[0, 0, 0]
        width = ((row > 0) & (row < 1)).sum() / 2 * (2 / 1024)
        assert float(width) == pytest.approx(softness, rel=0.1)
