"""Run by torchrun in tests: trains as the command does, then leaves what each rank ended with."""

import sys
from pathlib import Path

import torch

from pipeline.training import run as fit
from pipeline.training.train_command import main
from pipeline.training.trainer import Fitting

BROKEN = "--break-rank-1"


class Watched(Fitting):
    """Leaves its weights at each save, on every rank; breaks on request."""

    def save(self) -> None:
        super().save()
        torch.save(self.model.state_dict(), self.out / f"rank{self.ranks.rank}.pt")
        if BROKEN in sys.argv and self.ranks.rank == 1:
            raise ValueError("rank 1 has had enough")


if __name__ == "__main__":
    fit.Fitting = Watched  # type: ignore[misc]
    Path(sys.argv[sys.argv.index("--out") + 1]).mkdir(exist_ok=True)
    raise SystemExit(main([argument for argument in sys.argv[1:] if argument != BROKEN]))
