import pytest
import torch

from pipeline.training.recorded.time_windows import TemporalDataLoader, TemporalDataset, windows_by_time


def clip(first: int, length: int) -> torch.Tensor:
    """Frames whose pixels all hold their number."""
    return torch.arange(first, first + length).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).float()


def test_windows_stay_in_their_clip() -> None:
    dataset = TemporalDataset([clip(0, 4), clip(100, 2), clip(200, 3)], [0, 1, 2])
    windows = [[int(part.flatten()[0]) for part in dataset[i]] for i in range(len(dataset))]
    assert windows == [[0, 1, 2, 0], [1, 2, 3, 0], [200, 201, 202, 2]]
    assert len(list(dataset)) == 3
    assert int(dataset[-1][-1]) == 2


def test_labels_of_frames_are_those_of_the_newest() -> None:
    dataset = TemporalDataset([clip(0, 4)], [[0, 1, 2, 3]])
    assert [int(dataset[i][-1]) for i in range(2)] == [2, 3]


def test_loader_gives_the_guides_batches() -> None:
    dataset = TemporalDataset([clip(0, 6)], [4], sequence_length=3)
    batches = list(TemporalDataLoader(dataset, sequence_length=3, batch_size=4))
    assert len(batches) == 1
    img_t_minus_2, img_t_minus_1, img_t, labels = batches[0]
    assert img_t.shape == (4, 3, 2, 2)
    assert torch.equal(img_t_minus_1 - img_t_minus_2, torch.ones(4, 3, 2, 2))
    assert torch.equal(img_t - img_t_minus_1, torch.ones(4, 3, 2, 2))
    assert labels.tolist() == [4] * 4


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="2 clips need as many labels"):
        TemporalDataset([clip(0, 4), clip(0, 4)], [1])
    with pytest.raises(ValueError, match="clip 0 has 4 frames but 2 labels"):
        TemporalDataset([clip(0, 4)], [[1, 2]])
    with pytest.raises(ValueError, match="nothing to train on"):
        TemporalDataset([clip(0, 2)], [1])
    with pytest.raises(ValueError, match="windows of 3 frames"):
        TemporalDataLoader(TemporalDataset([clip(0, 4)], [1]), sequence_length=5)
    with pytest.raises(IndexError):
        TemporalDataset([clip(0, 4)], [1])[2]


def test_windows_by_time_are_those_of_the_live_pipeline() -> None:
    at_25 = [40_000_000 * n for n in range(8)]
    assert windows_by_time(at_25, 2, 0).tolist() == [[n - 2, n - 1, n] for n in range(2, 8)]
    assert windows_by_time(at_25, 2, 80).tolist() == [[0, 1, 3], *([n - 4, n - 2, n] for n in range(4, 8))]
    assert windows_by_time(at_25, 1, 120).tolist() == [[0, 2], *([n - 3, n] for n in range(3, 8))]
    assert windows_by_time(at_25, 2, 20).tolist() == windows_by_time(at_25, 2, 0).tolist()


def test_windows_by_time_have_no_holes() -> None:
    with_a_hole = [40_000_000 * n for n in (0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17)]
    windows = windows_by_time(with_a_hole, 2, 80)
    assert windows.tolist() == [[0, 1, 3], [0, 2, 4], [1, 3, 5], [6, 7, 9], [6, 8, 10], [7, 9, 11]]
    assert windows_by_time([0, 1], 2, 0).shape == (0, 3)
    assert windows_by_time([], 2, 80).shape == (0, 3)
