from collections import Counter

from tests.mutate import ROOT, Mutation, load_mutations, survives

ENOUGH = 3


def rooms_with_code() -> set[str]:
    files = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]
    folders = {file.parent.relative_to(ROOT) for file in files if file.name != "__init__.py"}
    return {str(folder).removeprefix("pipeline/") for folder in folders}


def test_each_room_has_lines_to_break() -> None:
    counts = Counter(mutation.room for mutation in load_mutations())
    assert {room: counts[room] for room in rooms_with_code() if counts[room] < ENOUGH} == {}


def test_the_lines_stand_in_the_code_once_and_their_tests_exist() -> None:
    for mutation in load_mutations():
        assert (ROOT / mutation.file).read_text("utf-8").count(mutation.old) == 1, mutation
        assert mutation.old != mutation.new
        for test in mutation.tests.split():
            file, _, name = test.partition("::")
            assert f"def {name}" in (ROOT / file).read_text("utf-8"), mutation


def test_a_broken_line_is_noticed_and_a_harmless_change_survives() -> None:
    line = "return (len(self._times) - 1) * 1e9 / span_ns"
    rate, tests = "pipeline/base/rate.py", "tests/base/test_rate.py"
    assert not survives(
        Mutation(file=rate, old=line, new="return len(self._times) * 1e9 / span_ns", tests=tests)
    )
    assert survives(Mutation(file=rate, old=line, new=f"{line}  # as before", tests=tests))
