import torch

from pipeline.training.clip_sources import Interleaved
from pipeline.training.parallel import Ranks
from pipeline.training.samples import Clips


def test_ranks_read_every_batch_once() -> None:
    class Numbered:
        labels = ("a", "b")

        def __init__(self) -> None:
            self.step = 0

        def seek(self, step: int) -> None:
            self.step = step

        def clips(self, n: int) -> Clips:
            self.step += 1
            return Clips(torch.tensor(self.step - 1), torch.zeros(n))

    cpu = torch.device("cpu")
    shares = [Interleaved(Numbered(), Ranks(rank, 3, cpu)) for rank in range(3)]
    read = [int(share.clips(1).frames) for _ in range(2) for share in shares]
    assert read == [0, 1, 2, 3, 4, 5]
    shares[1].seek(4)
    assert int(shares[1].clips(1).frames) == 13
