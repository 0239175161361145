"""Help in plain text, with options and commands in groups."""

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

_NEVER_CUT = 1_000


def _write_parameters(command: TyperCommand | TyperGroup, context: Any, formatter: Any) -> None:
    """Writes arguments and options."""
    for title, parameters in in_groups(command.get_params(context)).items():
        records = [parameter.get_help_record(context) for parameter in parameters]
        with formatter.section(title):
            formatter.write_dl([record for record in records if record is not None])


def in_groups(parameters: Iterable[Any]) -> dict[str, list[Any]]:
    """Parameters by group: arguments, groups in the order of their first option, then other options."""
    groups: dict[str, list[Any]] = {"Arguments": []}
    others: list[Any] = []
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            groups["Arguments"].append(parameter)
        elif group := getattr(parameter, "rich_help_panel", None):
            groups.setdefault(group, []).append(parameter)
        else:
            others.append(parameter)
    return {title: found for title, found in {**groups, "Options": others}.items() if found}


class GroupedCommand(TyperCommand):
    """A command whose help shows its options in groups (``rich_help_panel``)."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the options."""
        _write_parameters(self, ctx, formatter)


class GroupedGroup(TyperGroup):
    """A command with subcommands, whose help shows options and subcommands in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the options, then the subcommands."""
        _write_parameters(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes the subcommands, each with the whole first sentence of its help."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                title = getattr(command, "rich_help_panel", None) or "Commands"
                groups.setdefault(title, []).append((name, command.get_short_help_str(_NEVER_CUT)))
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)
