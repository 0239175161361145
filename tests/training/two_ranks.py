"""Run by torchrun in tests: trains as the command does, then leaves what each rank ended with."""

import sys
from pathlib import Path

import torch

import run_stream
from pipeline.training import run
from pipeline.training.trainer import Trainer

BROKEN = "--break-rank-1"


class Watched(Trainer):
    """Leaves its weights at each save, on every rank; breaks on request."""

    def save(self) -> None:
        super().save()
        torch.save(self.model.state_dict(), self.out / f"rank{self.ranks.rank}.pt")
        if BROKEN in sys.argv[0] and self.ranks.rank == 1:
            raise ValueError("it has had enough")


if __name__ == "__main__":
    run.Trainer = Watched  # type: ignore[misc]
    Path(sys.argv[sys.argv.index("--out") + 1]).mkdir(exist_ok=True)
    broken = BROKEN in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != BROKEN]
    sys.argv = ["run_stream.py" + (BROKEN if broken else ""), "train", *arguments]
    run_stream.main()
