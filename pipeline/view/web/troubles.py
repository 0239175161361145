"""Current problems as text, the worst first, for the header of the page."""

from collections.abc import Mapping, Sequence

import msgspec

from pipeline.view.web.board import Board, Picture


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A problem that makes the page show a state other than ``live``.

    Attributes:
        words: The problem, such as ``inference down``.
        since_ns: Unix time at which it began; None if ``words`` contains it or it is unknown.
        next: What is being done about it, such as ``restarting``; empty if nothing is.
        next_ns: Unix time at which that is due; None if now or unknown.
        hides_predictions: Whether it explains missing predictions.
        hides_pictures: Whether it explains missing images.
        streams: The streams it affects; None for all.
    """

    words: str
    since_ns: int | None = None
    next: str = ""
    next_ns: int | None = None
    hides_predictions: bool = False
    hides_pictures: bool = False
    streams: list[str] | None = None


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    """State of a source, as reported by capture.

    Attributes:
        has_ended: Whether it has ended.
        error: Reason of a permanent failure; otherwise empty.
        retry_ns: Unix time of the next attempt to open it; 0 if none is due.
        is_left_out: Whether inference workers exist but none of them processes it.
    """

    has_ended: bool = False
    error: str = ""
    retry_ns: int = 0
    is_left_out: bool = False


def all_troubles(
    board: Board, workers: Sequence[Trouble], sources: Mapping[str, SourceState], now_ns: int
) -> list[Trouble]:
    """All problems at a Unix time, the worst first.

    A problem explained by a worker is not repeated for each stream.

    Args:
        board: The images.
        workers: Problems of other workers and the links to them, the worst first.
        sources: By stream; may be incomplete.
        now_ns: Unix time.
    """
    ended, pictures = set(board.ended), [(name, board.newest(name)) for name in board.stream_ids]
    running = [(name, one) for name, one in pictures if one is not None and name not in ended]
    silent = {name for name, one in running if now_ns - one.shown_ns > one.patience_ns}
    pictures_of = [trouble.streams for trouble in workers if trouble.hides_pictures]
    shown_ns: dict[str, int | None] = {name: one.shown_ns for name, one in running if name in silent}
    shown = {name for name, _ in pictures}
    shown_ns |= {
        name: None for name, source in sorted(sources.items()) if name not in shown and source.retry_ns
    }
    found = list(workers)
    found += [
        _no_picture(name, at_ns, sources)
        for name, at_ns in shown_ns.items()
        if not _is_among(name, pictures_of)
    ]
    failed = [(name, one) for name, one in sorted(sources.items()) if one.error]
    found += [Trouble(words=f"camera {name} failed: {one.error}") for name, one in failed]
    predictions_of = [trouble.streams for trouble in workers if trouble.hides_predictions]
    for name, one in running:
        if name in silent:
            continue
        if fault := one.info.get("health"):
            found.append(Trouble(words=f"camera {name}: {fault}"))
        elif name in sources and sources[name].is_left_out:
            words = f"{name}: no inference worker has taken it: check their [[streams]], or assign it"
            found.append(Trouble(words=words))
        elif _is_among(name, predictions_of):
            continue
        elif (since_ns := _unpredicted_since(one)) is not None:
            found.append(Trouble(words=f"{name}: no predictions", since_ns=since_ns))
    return found


def _is_among(name: str, hidden: Sequence[Sequence[str] | None]) -> bool:
    return any(streams is None or name in streams for streams in hidden)


def _no_picture(name: str, since_ns: int | None, sources: Mapping[str, SourceState]) -> Trouble:
    retry_ns = sources[name].retry_ns if name in sources else 0
    return Trouble(
        words=f"camera {name}: no image" + ("" if since_ns else " yet"),
        since_ns=since_ns,
        next="retrying" if retry_ns else "",
        next_ns=retry_ns or None,
    )


def _unpredicted_since(picture: Picture) -> int | None:
    """Unix time since which the images of a stream have had no predictions; None if that is recent."""
    since_ns = picture.predicted.shown_ns if picture.predicted else picture.began_ns
    since_ns = max(since_ns, picture.began_ns)
    return since_ns if picture.shown_ns - since_ns > picture.patience_ns else None
