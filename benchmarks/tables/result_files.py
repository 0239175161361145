"""Reads stored results and formats them as Markdown."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
Tables = dict[str, Callable[[], str]]
"""Functions that return a table in Markdown, by the table's name in the documents."""
_PACKAGES = {"openvino": "OpenVINO", "torch": "torch"}


def read(name: str) -> dict[str, Any]:
    """One result file: ``end_to_end`` is ``benchmarks/results/end_to_end.json``."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return result


def read_lines(name: str) -> list[dict[str, Any]]:
    """A result file with one JSON object per line."""
    lines = (RESULTS / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """A Markdown table.

    Args:
        head: Column headings.
        rows: Cells below them.
        text: Number of left-aligned columns; the others are right-aligned.

    Raises:
        ValueError: A row has more or fewer cells than the head.
    """
    lines = [_row(head), "|" + "---|" * text + "---:|" * (len(head) - text)]
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"{len(row)} cells below {len(head)} headings: {row}")
        lines.append(_row(row))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|"


def source(*names: str, about: str = "") -> str:
    """The line below a table: its files, the machine of the measurement, and further facts.

    Args:
        names: Names of the files, with suffix. The machine is that of the first file that names one.
        about: Further facts, without a full stop.
    """
    documents = [read(name.removesuffix(".json")) for name in names if name.endswith(".json")]
    machines = [document["machine"] for document in documents if "machine" in document]
    facts = [_machine(machines[0])] if machines else []
    facts += [about] if about else []
    files = ", ".join(f"`benchmarks/results/{name}`" for name in names)
    behind = f" ({'; '.join(facts)})" if facts else ""
    return f"\n\nSource: {files}{behind}."


def _machine(machine: dict[str, str]) -> str:
    parts = [machine["gpu"]] if "gpu" in machine else []
    threads = machine.get("cpu_threads") or machine["cpus"]
    parts.append(f"{machine['processor']}, {threads} {'thread' if threads == '1' else 'threads'}")
    parts += [
        f"{shown} {machine[package].partition('+')[0]}"
        for package, shown in _PACKAGES.items()
        if package in machine
    ]
    return ", ".join(parts)


def best(values: Sequence[float], shown: Sequence[str], *, low: bool = False) -> list[str]:
    """The cells, with the best one, and all that look the same, in bold."""
    winner = shown[values.index(min(values) if low else max(values))]
    return [f"**{cell}**" if cell == winner else cell for cell in shown]


def goal(met: bool) -> str:
    """Whether a goal was met, as a cell."""
    return "met" if met else "**missed**"
