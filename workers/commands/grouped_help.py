"""Help in plain text, with options and commands in groups."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

_NEVER_CUT = 1_000


def _write_parameters(command: TyperCommand | TyperGroup, context: Any, formatter: Any) -> None:
    """Writes arguments, then groups in the order of their first option, then options without a group."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            groups.setdefault(group_of(parameter), []).append(record)
    for title in sorted(groups, key=rank):
        with formatter.section(title):
            formatter.write_dl(groups[title])


def group_of(parameter: Any) -> str:
    """The heading under which an argument or option stands."""
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or "Options"


def rank(group: str) -> int:
    """Sorts arguments first and options without a group last."""
    return {"Arguments": -1, "Options": 1}.get(group, 0)


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
