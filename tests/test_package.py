"""The package as a stranger gets it: sdist, wheel, and the program from a wheel, far from any checkout."""

import re
import signal
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import psutil
import pytest

import pipeline
from tests.workers.program import Program

ROOT = Path(__file__).parents[1]
GENERATED = re.compile(r"PKG-INFO|setup\.cfg|kvq_stream\.egg-info(/.*)?")
STRAY = (
    "outputs/demo.mp4",
    "keys/mine.key_secret",
    "tests/mine.key_secret",
    "tests/__pycache__/gone.cpython-311.pyc",
    "build/lib/pipeline/gone.py",
)
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
WORKERS = {"kvq-supervisor", "kvq-capture", "kvq-inference", "kvq-sink"}
pytestmark = pytest.mark.timeout(300)  # whichever test is first builds and installs


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed without a warning."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    warnings = [
        line for line in done.stderr.splitlines() if re.search("warning|deprecat", line, re.IGNORECASE)
    ]
    assert warnings == []
    return done.stdout


def tracked() -> set[str]:
    """What git tracks and has not been removed."""
    names = run("git", "ls-files", cwd=ROOT).splitlines()
    return {name for name in names if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the checkout in which somebody has worked."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("sdist")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for name in STRAY:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("not for others")
    run(sys.executable, "-c", BUILD, out, cwd=copy)
    (found,) = out.iterdir()
    return found


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, as `python -m build` does."""
    out = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", out, sdist, cwd=out)
    (found,) = out.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment: the wheel, and the packages of the tests without ours."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True)
    libraries = sysconfig.get_path("purelib", "venv", {"base": str(place), "platbase": str(place)})
    # A .pth inside a folder that a .pth names is not read: an editable install there stays out.
    (Path(libraries) / "packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("--no-deps", "--no-index", "--no-compile", "--quiet", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", place, "install", *options, wheel, cwd=place)
    return place / "bin"


def test_the_sdist_holds_what_git_tracks_and_nothing_else(sdist: Path) -> None:
    with tarfile.open(sdist) as packed:
        names = {member.name.partition("/")[2] for member in packed if member.isfile()}
    assert {name for name in names if not GENERATED.fullmatch(name)} == tracked()
    assert sdist.stat().st_size < 40e6


def test_the_wheel_holds_every_module_and_the_data_beside_them(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
    rooms = (
        "pipeline/",
        "workers/",
        "configs/",
        "benchmarks/",
        "run_stream.py",
        "temporal_kvq_resnet_cbam.py",
    )
    wanted = {name for name in tracked() if name.startswith(rooms)}
    assert {name for name in wanted - names if not name.startswith("benchmarks/results/")} == set()
    assert names - wanted == set()
    assert wheel.name == f"kvq_stream-{pipeline.__version__}-py3-none-any.whl"


@pytest.mark.parametrize("command", [("kvq-stream",), ("python", "-m", "run_stream")], ids=" ".join)
def test_an_installed_program_says_its_version(
    installed: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    said = run(installed / command[0], *command[1:], "--version", cwd=tmp_path)
    assert said == f"kvq-stream {pipeline.__version__}\n"


def test_modules_come_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    modules = ("pipeline", "workers", "configs", "benchmarks", "run_stream", "temporal_kvq_resnet_cbam")
    code = f"import importlib.util as u; [print(u.find_spec(name).origin) for name in {modules}]"
    origins = run(installed / "python", "-c", code, cwd=tmp_path).splitlines()
    assert len(origins) == len(modules)
    assert all(Path(origin).is_relative_to(installed.parent) for origin in origins), origins


@pytest.mark.slow
@pytest.mark.parametrize("command", [("kvq-stream",), ("python", "-m", "run_stream")], ids=" ".join)
def test_the_demo_plays_in_an_empty_folder(installed: Path, place: Path, command: tuple[str, ...]) -> None:
    class Installed(Program):
        program = (str(installed / command[0]), *command[1:])

    with Installed(place, "--headless", "--no-web", "--report", "report.json") as program:
        program.wait_for("all workers are ready")
        names = {psutil.Process(pid).name() for pid in program.members()}
        program.wait_for(r"[1-9]\S* predicted [1-9]")
        program.signal(signal.SIGINT)
        outcome = program.finish()
    assert outcome.code == 0, outcome.told()
    assert names >= WORKERS
    assert outcome.stream("demo")["rendered"] > 0
    assert outcome.report["model"]["name"] == "motion_resnet18"
    (video,) = (program.folder / "outputs").glob("*/demo.mp4")
    assert video.stat().st_size > 0


def test_a_missing_package_is_named_with_a_command_that_needs_no_checkout(
    installed: Path, tmp_path: Path
) -> None:
    code = "import sys, run_stream; sys.modules['msgspec'] = None; sys.argv = ['it']; run_stream.main()"
    done = subprocess.run(
        [installed / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: the package msgspec is not installed: pip install kvq-stream\n"


def test_the_version_is_the_same_everywhere() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[0] == pipeline.__version__
    assert re.findall(r'^version: "(.+)"$', citation, re.MULTILINE) == [pipeline.__version__]
