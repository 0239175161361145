"""The output of ``fleet status``: workers, streams and recent moves."""

from collections import Counter
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_MOST_STREAMS = 40
_MOST_NOTES = 12
_NOTES = {"said": "log", "more": "scale up", "fewer": "scale down", "not moved": "move failed"}
"""What the table shows instead of a note's key."""
_STATES = {"waits": "waiting", "not heard": "no answer"}
"""What the table shows instead of a state's key."""


def render_status(status: dict[str, Any]) -> RenderableType:
    """The result of ``Coordinator.status`` as tables."""
    workers = Table(title=f"fleet {status['fleet']}", title_justify="left")
    for name in ("worker", "state", "node", "streams", "busy", "restarts"):
        workers.add_column(name)
    for name, about in status["workers"].items():
        busy = about.get("busy")
        workers.add_row(
            Text(name),
            Text(_state(about)),
            Text(f"{about['host']} ({about['node'][:8]})" if "host" in about else ""),
            _or_nothing(about.get("streams")),
            f"{busy:.0%}" if busy is not None else "",
            _or_nothing(about.get("restarts")),
        )
    streams = Table()
    for name in ("stream", "read by", "worker", "generation", "since", "why"):
        streams.add_column(name)
    for name, about in list(status["streams"].items())[:_MOST_STREAMS]:
        arrow = f" -> {about['moving_to']}" if about["moving_to"] else ""
        since = about["since_s"]
        streams.add_row(
            Text(name),
            Text(about["capture"]),
            Text(f"{about['worker'] or '-'}{arrow}"),
            _or_nothing(about["generation"]),
            f"{since:.0f} s" if since is not None else "",
            Text(about["why"]),
        )
    parts: list[RenderableType] = [workers]
    silent = {name: about["why"] for name, about in status["workers"].items() if "why" in about}
    waiting = [name for name, about in status["workers"].items() if about["state"] == "waits"]
    if rest := [name for name in waiting if name not in silent]:
        parts.append(Text(f"being started by Ray: {', '.join(rest)}"))
    parts += [Text(f"{name}: {why}") for name, why in silent.items()]
    if status["waits"]:
        parts.append(Text(status["waits"]))
    parts += [
        Text(
            f"web page on {about['host']}: {about['page']}\nfrom another machine, first run: {_tunnel(about)}"
        )
        for about in status["workers"].values()
        if "page" in about
    ]
    parts.append(streams)
    if (more := len(status["streams"]) - _MOST_STREAMS) > 0:
        counts = Counter(one["worker"] or "unassigned" for one in status["streams"].values())
        each = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        parts.append(Text(f"and {more} more; total: {each}"))
    parts += [Text(note_in_words(note)) for note in status["notes"][-_MOST_NOTES:]]
    return Group(*parts)


def _state(about: dict[str, Any]) -> str:
    state: str = about["state"]
    return about.get("drain") or state if state == "ready" else _STATES.get(state, state)


def _or_nothing(value: int | None) -> str:
    return "" if value is None else str(value)


def _tunnel(about: dict[str, Any]) -> str:
    address = about["page"].removeprefix("http://")
    return f"ssh -L {address.rpartition(':')[2]}:{address} {about['host']}"


def note_in_words(note: dict[str, Any]) -> str:
    """Formats a note as one line."""
    time = datetime.fromtimestamp(note["time_ns"] / 1e9).astimezone().strftime("%H:%M:%S")
    where = " ".join(
        part
        for part in (
            note.get("stream"),
            f"{note['source']} ->" if note.get("source") else "",
            note.get("worker"),
            f"generation {note['generation']}" if "generation" in note else "",
            f"in {note['took_ms']:.0f} ms" if "took_ms" in note else "",
            f"memory {note['memory']}" if note.get("memory") else "",
        )
        if part
    )
    what = _NOTES.get(note["what"], note["what"])
    return f"{time} {what}: {': '.join(part for part in (where, note.get('why', '')) if part)}"
