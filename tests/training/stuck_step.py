"""Run by a test: trains as the command does, but its first step never ends."""

import sys
import time

import run_stream
from pipeline.training import run
from pipeline.training.trainer import Trainer


class Stuck(Trainer):
    """Leaves a file when its step begins."""

    def advance(self) -> None:  # type: ignore[override]
        (self.out / "stuck").touch()
        time.sleep(1000)


if __name__ == "__main__":
    run.Trainer = Stuck  # type: ignore[misc]
    sys.argv = ["run_stream.py", "train", *sys.argv[1:]]
    run_stream.main()
