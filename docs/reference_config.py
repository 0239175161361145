"""Turns configuration files and their msgspec schemas into tables for the reference pages."""

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as types
from reference_markdown import fenced, prose, table, top, wrapped

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@dataclass
class Table:
    """One table of a configuration file.

    Attributes:
        name: Its name, as in ``[name]``; "" for the keys before the first table.
        meaning: The comment above it, in one line.
        rows: Key, default as in the file, and comment of each key.
    """

    name: str
    meaning: str
    rows: list[tuple[str, str, str]] = field(default_factory=list)


_ROW = re.compile(
    r"(?P<unset># )?(?P<key>\w+) = (?P<default>\"[^\"]*\"|\[[^\]]*\]|\S+)(?:\s+# (?P<meaning>.+))?"
)


def tables(path: Path) -> list[Table]:
    """The tables of a TOML file with their comments; a comment above plain keys starts a separate table."""
    found, comment = [Table("", "")], ""
    for line in path.read_text("utf-8").splitlines():
        header = re.fullmatch(r"\[([\w.]+)\](?:\s+#.*)?", line)
        row = _ROW.fullmatch(line)
        if header:
            found.append(Table(header[1], comment))
        elif row and not (row["unset"] and not found[-1].name):
            if comment:
                found.append(Table(found[-1].name, comment))
            default = "" if row["unset"] else f"`{row['default']}`"
            found[-1].rows.append((row["key"], default, row["meaning"] or ""))
        elif line.startswith("# "):
            comment = comment or line[2:]
            continue
        elif line.startswith("#"):
            continue
        comment = ""
    return [table for table in found if table.rows]


_UNITS = {
    "ms": "ms", "s": "s", "mb": "MiB", "px": "px", "days": "days", "fps": "frames/s", "frames": "frames",
    "steps": "steps", "minutes": "min", "seconds": "s", "height": "px", "width": "px", "deg": "°",
    "m": "m", "h": "h",
}  # fmt: skip


def names() -> dict[str, str]:
    """The two kinds of names and the characters allowed in each."""
    from pipeline.base.text import Name, StreamId

    kinds = {"name": Name, "stream id": StreamId}
    return {kind: types.type_info(of).extra_json_schema["description"] for kind, of in kinds.items()}


def unit(key: str) -> str:
    """The unit at the end of a key's name; "" if there is none."""
    if key.endswith("_m_s"):
        return "m/s"
    return _UNITS.get(key.rpartition("_")[2], "")


def value(node: Any, key: str) -> str:
    """The values that a type allows, with their unit."""
    match node:
        case types.Metadata(extra_json_schema={"description": str(text)}):
            return next((f"a {kind}" for kind, known in names().items() if text == known), prose(text))
        case types.Metadata():
            return value(node.type, key)
        case types.UnionType():
            return value(next(one for one in node.types if not isinstance(one, types.NoneType)), key)
        case types.BoolType():
            return "`true`, `false`"
        case types.LiteralType():
            return ", ".join(f"`{one}`" for one in node.values)
        case types.TupleType():
            return f"[{', '.join(value(item, key) for item in node.item_types)}]"
        case types.ListType() | types.VarTupleType():
            inner = value(node.item_type, key)
            if isinstance(node.item_type, types.LiteralType):
                return f"list of {inner}"
            if inner == "text" or inner.startswith("a "):
                return f"list of {inner.removeprefix('a ')}s"
            return f"list; each {inner}"
        case types.IntType() | types.FloatType():
            return number(node, unit(key))
    return "text"


def number(node: Any, of: str) -> str:
    """A range of numbers with its unit."""
    kind = "whole number" if isinstance(node, types.IntType) else "number"
    kind = f"multiple of {node.multiple_of}" if node.multiple_of else kind
    least, most = (
        low if low is not None else other for low, other in ((node.ge, node.gt), (node.le, node.lt))
    )
    if least is None or most is None:
        return f"{kind}, {of}" if of else kind
    above = "above " if node.ge is None else ""
    below = "below " if node.le is None else ""
    bounds = f"{above}{least:,.12g} to {below}{most:,.12g}"
    if most >= 1e9:
        bounds = f"{above}{least:,.12g} or more" if not above else f"above {least:,.12g}"
    shown = f"{bounds} {of}".rstrip()
    return f"{shown}, {kind}" if node.multiple_of else shown


def fields_of(schema: Any, name: str) -> dict[str, Any]:
    """The fields of the table with this name, by key."""
    node: Any = types.type_info(schema)
    for part in filter(None, name.split(".")):
        node = next(one.type for one in node.fields if one.name == part)
    return {one.name: one for one in node.fields}


def filled(path: Path, schema: Any, left_out: frozenset[str]) -> Iterator[tuple[Table, list[list[str]]]]:
    """The tables of a file, each with rows of key, default, values and meaning.

    Raises:
        SystemExit: A key has no comment, or the file and the schema have different keys.
    """
    found = tables(path)
    for name in dict.fromkeys(one.name for one in found):
        keys = {row[0] for one in found if one.name == name for row in one.rows}
        inner = {one.name.removeprefix(f"{name}.") for one in found if one.name != name}
        if odd := (fields_of(schema, name).keys() ^ keys) - left_out - inner:
            sys.exit(
                f"{path.name} [{name}]: only in the file or only in the schema: {', '.join(sorted(odd))}"
            )
    for one in found:
        fields = fields_of(schema, one.name)
        for key, _, meaning in one.rows:
            if not meaning and key not in left_out:
                sys.exit(f"{path.name} [{one.name}]: add a comment after {key}")
        yield (
            one,
            [
                [f"`{key}`", default, value(fields[key].type, key), prose(meaning)]
                for key, default, meaning in one.rows
                if key not in left_out
            ],
        )


def attributes(schema: type) -> dict[str, str]:
    """The descriptions of a struct's attributes in its docstring, by name."""
    _, _, text = (schema.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^ {8}(\w+): (.+(?:\n {9,}.+)*)", text, re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in entries}


def default_of(one: Any) -> str:
    """The default of a field as in TOML; "" if the key is optional and has no default."""
    default = one.default_factory() if one.default is msgspec.NODEFAULT else one.default
    return "" if default is None else f"`{msgspec.json.encode(default).decode()}`"


def structs(schema: Any) -> list[list[str]]:
    """Rows of key, default, values and meaning of a struct, from its docstring.

    Raises:
        SystemExit: The docstring does not describe a key.
    """
    meanings = attributes(schema)
    fields = fields_of(schema, "")
    if left_out := fields.keys() - meanings.keys():
        sys.exit(f"{schema.__name__}: describe {min(left_out)} under Attributes in its docstring")
    return [
        [
            f"`{one.name}`",
            "required" if one.required else default_of(one),
            value(one.type, one.name),
            prose(meanings[one.name]).rstrip("."),
        ]
        for one in sorted(fields.values(), key=lambda one: not one.required)
    ]


def configuration() -> list[str]:
    """The lines of docs/reference/configuration.md."""
    from pipeline.base.config import Config, StreamConfig
    from pipeline.base.outlet import Outlet

    lines = top("Configuration")
    lines += wrapped("All keys of the pipeline. A file needs only the keys that differ from the defaults:")
    lines += fenced("python run_stream.py --config mine.toml --set capture.encoding=jpeg")
    lines += wrapped(
        "Later sources win: `configs/default.toml`, the file of `--config`, `--set KEY=VALUE`, then other "
        "options of the [command line](command_line.md). Values are written as in TOML; on the command line "
        "text needs no quotes. An unknown key or a value out of range is an error that names the key; the "
        "exit code is 2."
    )
    lines += wrapped(" ".join(f"A {kind} is {allowed}." for kind, allowed in names().items()))
    lines += wrapped("For training see [training options](training_options.md).")
    head = ("Key", "Default", "Values", "Meaning")
    lines += ["## `[[streams]]`", "", "One table for each camera or file.", ""]
    lines += table(head, structs(StreamConfig))
    named = [one.name for one in types.type_info(Config).fields if isinstance(one.type, types.DictType)]
    for section, rows in filled(CONFIGS / "default.toml", Config, frozenset({"streams", *named})):
        if rows:
            lines += [f"## `[{section.name}]`", "", *wrapped(prose(section.meaning)), *table(head, rows)]
    lines += ["## `[outlets.NAME]`", ""]
    lines += wrapped(f"{first_line(Outlet)} `NAME` is a name of your own. See [outlets.md](../outlets.md).")
    lines += table(head, structs(Outlet))
    others = ", ".join(f"`[{name}.NAME]`" for name in named if name != "outlets")
    return [*lines, "## Zones, lines and rules", "", *wrapped(f"{others}: see [events.md](events.md).")]


def first_line(schema: type) -> str:
    """The first line of a struct's docstring."""
    return (schema.__doc__ or "").partition("\n")[0]


def training_options() -> list[str]:
    """The lines of docs/reference/training_options.md."""
    from pipeline.training.training_options import TrainingOptions

    lines = top("Training options")
    lines += wrapped(
        "All options of `python run_stream.py train`. A file needs only the options that differ from the "
        "defaults:"
    )
    lines += fenced("python run_stream.py train --config mine.toml --set batch_size=128 --set model.depth=50")
    lines += wrapped(
        "Defaults are in `configs/train_motion.toml`; with `--data`, `configs/train_clips.toml` changes some "
        "of them. A checkpoint in `init` sets the keys of `[model]`."
    )
    clips = tomllib.loads((CONFIGS / "train_clips.toml").read_text("utf-8"))
    for section, rows in filled(CONFIGS / "train_motion.toml", TrainingOptions, frozenset({"num_classes"})):
        other = clips.get(section.name, {}) if section.name else clips
        lines += [f"## `[{section.name}]`" if section.name else f"## {section.meaning}", ""]
        lines += wrapped(prose(section.meaning)) if section.name else []
        for row in rows:
            key = row[0].strip("`")
            row.insert(2, f"`{msgspec.json.encode(other[key]).decode()}`" if key in other else "")
        lines += table(("Key", "Default", "With `--data`", "Values", "Meaning"), rows)
    return lines
