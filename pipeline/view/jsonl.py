"""Predictions as JSON lines, one object per line, flushed immediately."""

from typing import Any

import msgspec

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.line_file import LineFile
from pipeline.base.moving_thing import Thing
from pipeline.base.sight import Sight
from pipeline.wire.messages import Prediction

_OF_EARLIER_LINES = ("trail", "was")


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    stream_id: str
    epoch: int
    seq: int
    capture_ns: int
    depth: int
    top: list[tuple[str, float]]
    generation: int
    media_s: float | msgspec.UnsetType = msgspec.UNSET
    things: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    camera: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    sight: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class PredictionWriter(LineFile):
    """Writes one line per prediction.

    A line has ``"stream_id"``, ``"epoch"``, ``"seq"``, ``"capture_ns"``, ``"depth"``, ``"top"`` (pairs of
    label and score) and ``"generation"``. A source with time stamps, such as a file, adds ``"media_s"``.
    A network with dense motion adds ``"things"`` and ``"camera"``, see ``Thing`` and ``CameraMotion``,
    without past positions, which are in earlier lines. If zones follow the scene, ``"sight"`` is added, see
    ``Sight``.
    """

    def add(self, prediction: Prediction) -> None:
        """Writes the line of a prediction; see ``LineFile.write``.

        Raises:
            LineFileError: Writing failed, for example because the disk is full.
        """
        pts_ns, (things, camera) = prediction.pts_ns, _scene(prediction)
        line = _Line(
            stream_id=prediction.stream_id,
            epoch=prediction.epoch,
            seq=prediction.seq,
            capture_ns=prediction.capture_ns,
            depth=prediction.depth,
            top=[(label, round(score, 6)) for label, score in prediction.top],
            generation=prediction.generation,
            media_s=msgspec.UNSET if pts_ns is None else round(pts_ns / 1e9, 6),
            things=things,
            camera=camera,
            sight=_rounded(prediction.sight) if prediction.sight else msgspec.UNSET,
        )
        self.write(msgspec.json.encode(line))


def _scene(prediction: Prediction) -> tuple[Any, Any]:
    """Things and camera, rounded to meaningful digits."""
    if prediction.things is None:
        return msgspec.UNSET, msgspec.UNSET
    things = [_rounded(thing) for thing in prediction.things]
    return things, _rounded(prediction.camera) if prediction.camera else None


def _rounded(struct: Thing | CameraMotion | Sight) -> dict[str, Any]:
    def short(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [short(one) for one in value]
        return round(value, 4) if isinstance(value, float) else value

    fields = msgspec.to_builtins(struct)
    return {name: short(value) for name, value in fields.items() if name not in _OF_EARLIER_LINES}
