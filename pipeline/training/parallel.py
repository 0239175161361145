"""Data-parallel training with torchrun: ``torchrun --nproc-per-node N run_stream.py train ...``.

Each process ("rank") has its own device and its own share of every batch; gradients are averaged. Only rank 0
writes, validates and prints. Small values are exchanged over gloo, so that no GPU has to wait for them.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed as dist
from torch import nn

from pipeline.model.device import pick_device

# Maximum wait of the other ranks while rank 0 validates; torchrun ends them at once if a rank dies.
_PATIENCE = timedelta(hours=4)


@dataclass(frozen=True)
class Ranks:
    """This process within a distributed run.

    Attributes:
        rank: Number of this process, 0 for the leader.
        count: Number of processes.
        device: Device of this process.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes, validates and prints."""
        return self.rank == 0

    def agree(self, *values: float) -> list[float]:
        """The values of rank 0; all ranks must call it."""
        if self.count == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64)
        dist.broadcast(shared, src=0)
        return [float(value) for value in shared]

    def mean(self, *values: float) -> list[float]:
        """The mean over all ranks; all ranks must call it."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return [float(value) / self.count for value in total]

    def start_alike(self, model: nn.Module) -> None:
        """Copies the weights of rank 0 to all ranks."""
        if self.count > 1:
            for value in model.state_dict().values():
                dist.broadcast(value, src=0)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Averages gradients over the ranks in one message; a missing gradient counts as zero.

        Used instead of DistributedDataParallel, because a step may have several losses, each with its own
        forward pass.
        """
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Joins the processes started by torchrun; without torchrun, a single rank.

    Args:
        device: As for `pick_device`; under torchrun, ``cuda`` means each rank's own GPU.

    Raises:
        ValueError: The device does not exist, or there are more ranks than GPUs.
    """
    chosen = pick_device(device)
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if count == 1:
        yield Ranks(0, 1, chosen)
        return
    local = int(os.environ["LOCAL_RANK"])
    if chosen.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"rank {local} has no GPU: torch sees {torch.cuda.device_count()}; lower --nproc-per-node"
            )
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    # After an error the group is not destroyed, which would deadlock with ranks that wait for this one.
    ranks = Ranks(rank, count, chosen)
    yield ranks
    ranks.agree(0.0)  # all ranks exit together, after rank 0 has written everything
    dist.destroy_process_group()
