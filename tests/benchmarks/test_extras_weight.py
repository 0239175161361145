import json
import re
import tomllib
import zipfile
from pathlib import Path

import pytest

from benchmarks.extras_weight import closure, download_bytes, installed_bytes

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"^\| `?(?P<name>[\w, ]+?)`? \| (?P<download>[\d.,]+) MB \| (?P<installed>[\d.,]+) MB \|", re.M
)


def rounded(size_mb: float) -> str:
    return f"{size_mb:,.0f}" if size_mb >= 10.0 else f"{size_mb:.1f}"


def write_wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    """A wheel that pip accepts."""
    info, path = f"{name}-1.0.dist-info", folder / f"{name}-1.0-py3-none-any.whl"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for place, text in (files | about).items():
            wheel.writestr(place, text)
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages in a folder of their own: `top` needs `low`, with an extra `high`, elsewhere `other`."""
    needs = {
        "top": ("low", 'high>=1; extra == "more"', 'other; sys_platform == "none"'),
        "low": (),
        "high": ("low",),
    }
    for name, requirements in needs.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        lines = [f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {one}" for one in requirements)]
        (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
        (tmp_path / f"{name}.py").write_text("x" * 1000)
        (tmp_path / f"{name}.pyc").write_text("x" * 500)
        (info / "RECORD").write_text(f"{name}.py,,\n{name}.pyc,,\n{name}_gone.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_what_is_needed_is_found_through_all_steps_and_only_for_this_machine(installed: Path) -> None:
    assert closure("Top") == {"top", "low"}
    assert closure("top", ["more"]) == {"top", "low", "high"}


def test_a_size_is_that_of_the_files_without_compiled_ones(installed: Path) -> None:
    assert installed_bytes({"top", "low"}) == 2000


def test_what_is_not_installed_is_named(installed: Path) -> None:
    with pytest.raises(ValueError, match="no-such-package is not installed: install all extras first"):
        closure("no_such_package")


def test_a_download_is_as_large_as_what_pip_fetches(
    installed: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tmp_path_factory.mktemp("shop")
    sizes = [write_wheel(shop, name, {f"{name}.py": "x" * 3000}).stat().st_size for name in ("top", "low")]
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shop))
    assert download_bytes({"top", "low"}) == sum(sizes)
    assert download_bytes(()) == 0
    with pytest.raises(ValueError, match="pip download failed"):
        download_bytes({"high"})


def test_the_table_in_the_documents_is_what_was_measured() -> None:
    stored = json.loads((ROOT / "benchmarks" / "results" / "extras_weight.json").read_text())["rows"]
    text = (ROOT / "docs" / "install.md").read_text("utf-8")
    told = {row["name"]: (row["download"], row["installed"]) for row in ROW.finditer(text)}
    assert told == {
        row["name"]: (rounded(row["download_mb"]), rounded(row["installed_mb"]))
        for row in stored
        if row["packages"]
    }


def test_every_extra_is_in_the_documents_and_was_measured() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    stored = json.loads((ROOT / "benchmarks" / "results" / "extras_weight.json").read_text())["rows"]
    assert {row["name"] for row in stored} == extras - {"test", "docs", "dev"} | {"base", "base, CUDA only"}
    text = (ROOT / "docs" / "install.md").read_text("utf-8")
    assert {name for name in extras if f"| `{name}` |" in text} == extras
