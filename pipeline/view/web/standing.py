"""The state of each stream for other programs: live, silent or ended, and what was last seen."""

import msgspec

from pipeline.view.web.board import Board, Info, Picture

_RECENT_S = 5.0
"""What was predicted longer ago says nothing of now."""


class Standing(msgspec.Struct):
    """One stream, as ``/api/streams`` has it.

    Attributes:
        id: Its name.
        state: ``live``, ``silent`` (no new picture for longer than ``Picture.patience_ns``) or ``ended``.
        fps: Pictures shown a second; None if not live.
        health: ``ok``, or what is wrong with its picture, in words; None if not live, or nothing is known.
        things: What moves now, in words; None if that is not known.
        label: The best label of the newest prediction, with its probability; None if there is none lately.
        last_frame_age_s: Time since its newest picture was put up; None if the sink began after its end.
    """

    id: str
    state: str
    fps: float | None
    health: str | None
    things: str | None
    label: tuple[str, float] | None
    last_frame_age_s: float | None


def standings(board: Board, now_ns: int) -> list[Standing]:
    """All streams, in order of their names, at a Unix time."""
    ended = set(board.ended)
    found = []
    for stream_id in board.stream_ids:
        picture = board.newest(stream_id)
        if picture is None:
            if stream_id in ended:  # else it has just gone
                found.append(Standing(stream_id, "ended", None, None, None, None, None))
            continue
        age_ns = max(now_ns - picture.shown_ns, 0)
        state = "ended" if stream_id in ended else "silent" if age_ns > picture.patience_ns else "live"
        is_live, info = state == "live", picture.info
        told = _told(picture, now_ns) if is_live else None
        fault = info.get("health")
        found.append(
            Standing(
                id=stream_id,
                state=state,
                fps=info.get("fps") if is_live else None,
                health=None if not is_live else fault or ("ok" if told else None),
                things=told["moving"] if told and not fault else None,
                label=tuple(told["top"][0]) if told and told["top"] and not fault else None,
                last_frame_age_s=round(age_ns / 1e9, 3),
            )
        )
    return found


def not_ready(board: Board, now_ns: int) -> str | None:
    """Why no stream is received with predictions at a Unix time, in words; None if one is."""
    streams = standings(board, now_ns)
    if any(one.state == "live" and one.health is not None for one in streams):
        return None
    if not streams:
        return "no frames have arrived yet"
    if all(one.state == "ended" for one in streams):
        return "all streams have ended"
    live = [one.id for one in streams if one.state == "live"]
    if live:
        return f"frames arrive, but no predictions: {', '.join(live)}"
    age_s, name = min((one.last_frame_age_s or 0.0, one.id) for one in streams if one.state == "silent")
    return f"no stream has a new frame; the last one was from {name}, {age_s:.0f} s ago"


def _told(picture: Picture, now_ns: int) -> Info | None:
    """What the newest prediction told, if that was lately."""
    predicted = picture.predicted
    if predicted is None or now_ns - predicted.shown_ns > _RECENT_S * 1e9:
        return None
    return predicted.info
