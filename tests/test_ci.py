"""`.ci/tests` in a small project: which outcomes it lets pass."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "tests"
GOOD = "def test_good():\n    pass\n"
BAD = "def test_bad():\n    assert False\n"
ONLY_ALONE = "import os\ndef test_alone():\n    assert 'PYTEST_XDIST_WORKER' not in os.environ\n"
NAME = "tests/test_it.py::test_alone\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the script, and settings as ours."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / "tests").mkdir()
    copy = tmp_path / ".ci" / "tests"
    copy.write_bytes(SCRIPT.read_bytes())
    copy.chmod(0o755)
    (tmp_path / ".ci" / "passed_only_alone.txt").touch()
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p xdist --numprocesses=1\n")
    return tmp_path


def run(project: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (project / "tests" / "test_it.py").write_text(tests)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    clean["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the others take seconds to load
    return subprocess.run(
        [project / ".ci" / "tests"], capture_output=True, text=True, check=False, env=clean, cwd=project
    )


def listed(project: Path) -> str:
    return (project / ".ci" / "passed_only_alone.txt").read_text()


def test_a_failing_test_fails_the_run(project: Path) -> None:
    assert run(project, GOOD + BAD).returncode == 1


def test_a_test_that_passes_only_alone_is_named_and_the_second_time_fails(project: Path) -> None:
    first = run(project, GOOD + ONLY_ALONE)
    assert (first.returncode, listed(project)) == (0, NAME), first.stdout
    assert "passed only alone:\n" + NAME in first.stdout
    second = run(project, GOOD + ONLY_ALONE)
    assert second.returncode == 1
    assert "In two runs running" in second.stdout


def test_a_good_run_empties_the_list(project: Path) -> None:
    (project / ".ci" / "passed_only_alone.txt").write_text(NAME)
    assert run(project, GOOD).returncode == 0
    assert listed(project) == ""


def test_tests_that_cannot_be_collected_fail_the_run(project: Path) -> None:
    assert run(project, "import nothing_of_this_name\n").returncode != 0
