import torch

from pipeline.training.rendered.nuisance import burnt_in, light_and_sensor, moving_objects, noisy
from pipeline.training.rendered.pictures import seeded

CPU = torch.device("cpu")
GREY = torch.full((16, 3, 3, 48, 48), 0.5)


def test_objects_move_and_leave_the_rest_alone() -> None:
    white = torch.full((16, 3, 96, 96), 255, dtype=torch.uint8)
    crossed = moving_objects(GREY, white, seeded(CPU, 1))
    covered = (crossed != 0.5).float().mean(dim=(2, 3, 4))
    assert covered.amin(dim=1).median() > 0.02
    assert covered.max() < 0.5
    assert (crossed[:, 0] != crossed[:, 2]).flatten(1).any(dim=1).float().mean() > 0.9


def test_burnt_in_text_stays_where_it_is() -> None:
    marked = burnt_in(GREY, seeded(CPU, 1))
    inked = (marked != 0.5).any(dim=2).flatten(2)
    assert inked.any(dim=2).float().mean() > 0.9
    same = (inked[:, 0] == inked[:, 2]).float().mean(dim=1)
    assert same.min() > 0.9


def test_light_changes_between_frames_and_stays_in_range() -> None:
    seen = light_and_sensor(GREY, seeded(CPU, 1))
    assert seen.amin() >= 0
    assert seen.amax() <= 1
    brightness = seen.mean(dim=(2, 3, 4))
    assert (brightness[:, 0] - brightness[:, 1]).abs().amin() > 0
    assert brightness[:, 0].std() > 0.03


def test_noise_differs_from_pixel_to_pixel_and_from_clip_to_clip() -> None:
    seen = noisy(GREY, seeded(CPU, 1))
    spread = (seen - GREY).flatten(1).std(dim=1)
    assert 0.01 < spread.min() < 0.03
    assert 0.05 < spread.max() < 0.1
    assert not torch.equal(seen[:, 0], seen[:, 1])
