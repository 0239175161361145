import torch

from pipeline.model.motion.lucas_kanade import STEP_CHANNELS, WINDOWS, Steps
from pipeline.model.motion.refine import Refined, Refiner


def start(flow_px: float = 0.0) -> Refined:
    return Refined(torch.full((2, 2, 6, 10), flow_px), torch.zeros(2, 6, 10), torch.zeros(2, 8, 6, 10))


def maps(channels: int, seed: int) -> torch.Tensor:
    return torch.randn(2, channels, 6, 10, generator=torch.Generator().manual_seed(seed))


def test_before_anything_is_learned_a_round_keeps_the_flow() -> None:
    refiner = Refiner(4, 2, 5, 16, 8, (1, 2, 1))
    found = refiner(maps(12, 0), maps(12, 1), start(3.0), torch.zeros(2, 2, 6, 10), maps(5, 2))
    assert torch.equal(found.flow, start(3.0).flow)
    assert found.hidden.shape == (2, 8, 6, 10)
    assert found.hidden.any()


def test_corrections_are_in_cells_and_errors_stay_in_their_range() -> None:
    refiner = Refiner(4, 2, 5, 16, 8, (1, 2, 1))
    for bias, expected in ((-50.0, -4.0), (50.0, 4.5), (1.0, 1.0)):
        refiner.out.bias.data = torch.tensor([2.0, -1.0, bias])
        found = refiner(maps(12, 0), maps(12, 1), start(3.0), torch.zeros(2, 2, 6, 10), maps(5, 2))
        assert found.flow[0, :, 0, 0].tolist() == [3 + 2 * 4, 3 - 4]
        assert found.log_error.unique().tolist() == [expected]


def test_a_round_does_not_teach_the_flow_that_it_starts_from() -> None:
    refiner, first = Refiner(4, 1, 5, 16, 8, (1, 1, 1)), start(1.0)
    for part in first[:3]:
        part.requires_grad_()
    torch.nn.init.normal_(refiner.out.weight)
    refiner(maps(12, 0), maps(12, 1), first, torch.zeros(2, 2, 6, 10), maps(5, 2)).flow.sum().backward()
    assert first.flow.grad is None
    assert first.hidden.grad.any()


def test_steps_are_taken_as_far_as_their_gates_say() -> None:
    refiner = Refiner(4, 2, 5, 16, 8, (1, 2, 1), steps=True)
    refiner.out.bias.data = torch.tensor([0.0, 0.0, 0.0, 40.0, -40.0])
    pixels = torch.stack((maps(2, 3), maps(2, 4)), dim=2)
    assert pixels.shape[2] == len(WINDOWS)
    steps = Steps(pixels, maps(STEP_CHANNELS, 5))
    found = refiner(maps(12, 0), maps(12, 1), start(3.0), torch.zeros(2, 2, 6, 10), maps(5, 2), steps)
    torch.testing.assert_close(found.flow, 3.0 + pixels[:, :, 0])
    other = refiner(
        maps(12, 0),
        maps(12, 1),
        start(3.0),
        torch.zeros(2, 2, 6, 10),
        maps(5, 2),
        steps._replace(evidence=maps(STEP_CHANNELS, 6)),
    )
    assert not torch.allclose(other.hidden, found.hidden)
