"""Breaks the code one line at a time and checks that a test fails: ``python -m tests.mutate [ROOM ...]``.

The lines are in ``mutations.toml``: at least three of the core of each room. A line that can be broken
without any test failing is printed as ``survived``, and the exit code is 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("mutations.toml")
_LEFT_OUT = shutil.ignore_patterns(".git", "__pycache__", "*_cache", "outputs", "docs")


class Mutation(msgspec.Struct, forbid_unknown_fields=True):
    """One line that is broken.

    Attributes:
        file: Path in the repository.
        old: Text that stands there exactly once.
        new: What takes its place.
        tests: Arguments of pytest: the tests of which one has to fail.
    """

    file: str
    old: str
    new: str
    tests: str

    @property
    def room(self) -> str:
        """The folder of the file below ``pipeline``, such as ``wire/shared``; or ``workers``."""
        return str(Path(self.file).parent).removeprefix("pipeline/")


def load_mutations() -> list[Mutation]:
    """All of ``mutations.toml``."""
    return msgspec.convert(tomllib.loads(LIST.read_text("utf-8"))["mutations"], list[Mutation])


def survives(mutation: Mutation) -> bool:
    """Whether the tests pass on a copy of the tree with the line broken."""
    with tempfile.TemporaryDirectory(prefix="kvq-mutate-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=_LEFT_OUT)
        file = copy / mutation.file
        text = file.read_text("utf-8")
        assert text.count(mutation.old) == 1, f"{mutation.file}: {mutation.old!r} must stand there once"
        file.write_text(text.replace(mutation.old, mutation.new), "utf-8")
        return _pass(copy, mutation.tests.split())


def main(rooms: Sequence[str]) -> int:
    """Tries all mutations, or those of some rooms."""
    known = sorted({mutation.room for mutation in load_mutations()})
    if set(rooms) - set(known):
        print(f"usage: python -m tests.mutate [ROOM ...], of {', '.join(known)}")
        return 2
    mutations = [mutation for mutation in load_mutations() if not rooms or mutation.room in rooms]
    tests = sorted({test for mutation in mutations for test in mutation.tests.split()})
    if not _pass(ROOT, tests):
        print("these tests fail as the code is, so they prove nothing: pytest " + " ".join(tests))
        return 1
    survivors = 0
    for mutation in mutations:
        survived = survives(mutation)
        survivors += survived
        outcome = "survived" if survived else "noticed "
        print(f"{outcome}  {mutation.file}: {mutation.old.strip()}  ->  {mutation.new.strip()}", flush=True)
    return 1 if survivors else 0


def _pass(tree: Path, tests: Sequence[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", *tests]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):  # nothing ran: that proves nothing
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
