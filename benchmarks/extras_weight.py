"""Installation size of each optional extra: ``python -m benchmarks.extras_weight --json FILE``.

Install all extras first: ``pip install -e '.[openvino,int8,onnx,plots,mqtt,push,fleet]'``.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "kvq-stream"
_FOR_DEVELOPERS = {"test", "dev"}
_CUDA = ("nvidia-", "cuda-", "triton")


def closure(name: str, extras: Iterable[str] = ()) -> set[str]:
    """Canonical names of a distribution and all its dependencies on this machine.

    Raises:
        ValueError: One of them is not installed.
    """
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(name), extra) for extra in ("", *extras)]
    while waiting:
        one, extra = waiting.pop()
        if (one, extra) in seen:
            continue
        seen.add((one, extra))
        found.add(one)
        for text in _distribution(one).requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(needed.name), more) for more in ("", *needed.extras)]
    return found


def installed_bytes(names: Iterable[str]) -> int:
    """Size of the files of distributions, without bytecode."""
    files = [Path(str(file.locate())) for name in names for file in _distribution(name).files or ()]
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())


def download_bytes(names: Iterable[str]) -> int:
    """Size of what pip downloads for the installed versions of distributions.

    Raises:
        ValueError: pip can't download one of them.
    """
    wanted = [f"{name}=={_distribution(name).version}" for name in sorted(names)]
    if not wanted:
        return 0
    with tempfile.TemporaryDirectory(prefix="kvq-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, *wanted],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ValueError(f"pip download failed:\n{done.stderr[-2000:]}")
        return sum(file.stat().st_size for file in Path(folder).iterdir())


def measure() -> list[dict[str, Any]]:
    """Rows for the program without extras, for its CUDA libraries, and for the addition of each extra."""
    base = closure(PROJECT) - {PROJECT}
    cuda = {one for one in base if one.startswith(_CUDA)}
    extras = _distribution(PROJECT).metadata.get_all("Provides-Extra") or []
    added = {one: closure(PROJECT, [one]) - base - {PROJECT} for one in extras if one not in _FOR_DEVELOPERS}
    return [
        _row(name, packages) for name, packages in {"base": base, "base, CUDA only": cuda, **added}.items()
    ]


def _row(name: str, packages: set[str]) -> dict[str, Any]:
    return {
        "name": name,
        "download_mb": round(download_bytes(packages) / 1e6, 1),
        "installed_mb": round(installed_bytes(packages) / 1e6, 1),
        "packages": {one: _distribution(one).version for one in sorted(packages)},
    }


def _distribution(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise ValueError(f"{name} is not installed: install all extras first") from None


def main() -> None:
    """Prints a table and optionally writes JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args()
    rows = measure()
    for row in rows:
        print(
            f"{row['name']:16} {len(row['packages']):3} packages, download {row['download_mb']:7.1f} MB, "
            f"installed {row['installed_mb']:7.1f} MB"
        )
    if options.json:
        about = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
        options.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
