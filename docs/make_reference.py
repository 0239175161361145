"""Writes the reference pages that are generated from the source code.

    python docs/make_reference.py           # writes docs/reference/*.md
    python docs/make_reference.py --check   # lists outdated pages and exits with code 1 if there are any

Sources are the comments in ``configs/*.toml``, the msgspec schemas, the help texts and the first lines of
the modules' docstrings. To change a page, change its source.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1])
)  # use this checkout even if another version is installed

import reference_events
from reference_config import configuration, training_options
from reference_markdown import COMMAND, fenced, prose, table, top, wrapped

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"


def command_line() -> list[str]:
    """The lines of docs/reference/command_line.md."""
    from typer.main import get_command

    from workers import exit_codes
    from workers.commands.app import app

    lines = top("Command line")
    lines += wrapped(
        "The installed command is `kvq-stream`; in a checkout it is `python run_stream.py`. "
        "`--help` describes each command."
    )
    lines += ["## Exit codes", ""]
    meanings = exit_codes.MEANINGS.items()
    lines += table(("Code", "Meaning"), [(f"`{code:d}`", prose(meaning)) for code, meaning in meanings])
    return lines + list(commands(get_command(app), "", 2))


def commands(command: Any, name: str, level: int) -> Iterator[str]:
    """The lines that describe a command and its subcommands."""
    from pipeline.base.program import PROGRAM
    from workers.commands.grouped_help import in_groups

    yield from (f"{'#' * level} {f'`{name}`' if name else 'The whole pipeline'}", "")
    for paragraph in (command.help or "").split("\n\n"):
        yield from wrapped(prose(" ".join(paragraph.split())))
    if example := re.search(rf"{re.escape(PROGRAM)} (.*)", command.epilog or ""):
        yield from fenced(f"python run_stream.py {example[1]}")
    rows = [
        ("" if number else group, parameter_name(one), default_of(one), prose(one.help or ""))
        for group, parameters in in_groups(one for one in command.params if one.name != "help").items()
        for number, one in enumerate(parameters)
    ]
    if rows:
        yield from table(("Group", "Option", "Default", "Meaning"), rows)
    for child in getattr(command, "commands", {}).values():
        yield from commands(child, f"{name} {child.name}".strip(), min(level + bool(name), 3))


def parameter_name(parameter: Any) -> str:
    """An option with its placeholder, or the placeholder of an argument."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`"
    placeholder = "" if getattr(parameter, "is_flag", False) else f" {parameter.metavar}"
    return ", ".join(f"`{name}{placeholder}`" for name in parameter.opts)


def default_of(parameter: Any) -> str:
    """The default of an option; "" if the option has no effect when it is left out."""
    if parameter.required:
        return "required"
    default = parameter.default
    if isinstance(default, list | tuple):
        return ", ".join(f"`{one}`" for one in default)
    is_shown = isinstance(default, str | int | float | Path) and default is not False and default != ""
    return f"`{default}`" if is_shown else ""


def modules() -> list[str]:
    """The lines of docs/reference/modules.md."""
    lines = top("Modules")
    lines += wrapped(
        "One line for each module, by room. [architecture.md](../architecture.md) explains the rooms and the "
        "imports between them."
    )
    scripts = sorted(ROOT.glob("*.py"))
    lines += ["## Top level", "", *table(("Module", "Purpose"), [module_row(file) for file in scripts])]
    for room in rooms():
        files = [file for file in sorted(room.glob("*.py")) if file.name != "__init__.py"]
        lines += [f"## `{room.relative_to(ROOT)}`", "", *wrapped(prose(first_line(room / "__init__.py")))]
        lines += table(("Module", "Purpose"), [module_row(file) for file in files]) if files else []
    return lines


def rooms() -> list[Path]:
    """Packages from the top of the import order to the bottom, each before the packages inside it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = next(one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    names = [name.strip() for layer in layers["layers"] for name in layer.split("|")]
    tops = [ROOT / name.replace(".", "/") for name in names]
    tops += [*sorted(ROOT.glob("pipeline/*/")), ROOT / "benchmarks", ROOT / "configs"]
    found = [package.parent for top in tops for package in sorted(top.rglob("__init__.py"))]
    return list(dict.fromkeys(found))


def module_row(file: Path) -> tuple[str, str]:
    """The name and purpose of a module."""
    return f"`{file.name}`", prose(first_line(file))


def first_line(file: Path) -> str:
    """The first paragraph of a module's docstring.

    Raises:
        SystemExit: The module has no docstring.
    """
    text = ast.get_docstring(ast.parse(file.read_text("utf-8")))
    if not text:
        sys.exit(f"{file.relative_to(ROOT)}: add a docstring whose first line states the module's purpose")
    return " ".join(text.partition("\n\n")[0].split())


PAGES: dict[str, Callable[[], list[str]]] = {
    "configuration.md": configuration,
    "training_options.md": training_options,
    "command_line.md": command_line,
    "modules.md": modules,
    "events.md": lambda: reference_events.page().splitlines(),
}


def main(arguments: list[str]) -> int:
    """Writes or checks all pages; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print(f"usage: {COMMAND} [--check]", file=sys.stderr)
        return 2
    stale = []
    for name, make in PAGES.items():
        file, text = FOLDER / name, "\n".join(make()).rstrip("\n") + "\n"
        if not file.exists() or file.read_text("utf-8") != text:
            stale.append(f"docs/reference/{name}")
            if not arguments:
                FOLDER.mkdir(exist_ok=True)
                file.write_text(text, "utf-8")
    for path in stale:
        print(f"{path} is out of date: run {COMMAND}" if arguments else f"wrote {path}")
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
