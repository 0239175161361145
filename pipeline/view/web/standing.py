"""The state of each stream for other programs: live, silent or ended, and what was last seen."""

import msgspec

from pipeline.view.web.board import Board, Info, Picture

_RECENT_S = 5.0
"""Age above which a prediction does not describe the present."""


class Standing(msgspec.Struct):
    """One stream in ``/api/streams``.

    Attributes:
        id: Its name.
        state: ``live``, ``silent`` (no new image for longer than ``Picture.patience_ns``) or ``ended``.
        fps: Images shown per second; None if not live.
        health: ``ok``, or the image's fault in words; None if not live or unknown.
        things: What is moving now, in words; None if unknown.
        label: Best label of the newest prediction, with its probability; None without a recent one.
        last_frame_age_s: Time since its newest image; None if the sink started after the stream's end.
    """

    id: str
    state: str
    fps: float | None
    health: str | None
    things: str | None
    label: tuple[str, float] | None
    last_frame_age_s: float | None


def standings(board: Board, now_ns: int) -> list[Standing]:
    """All streams at a Unix time, sorted by name."""
    ended = set(board.ended)
    found = []
    for stream_id in board.stream_ids:
        picture = board.newest(stream_id)
        if picture is None:
            if stream_id in ended:  # otherwise it was removed in the meantime
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
    """Why no stream has predictions at a Unix time, in words; None if one has."""
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
    """Data of the newest prediction, if it is recent."""
    predicted = picture.predicted
    if predicted is None or now_ns - predicted.shown_ns > _RECENT_S * 1e9:
        return None
    return predicted.info
