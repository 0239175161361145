"""Saves flow and mask of each prediction as an ``.npz`` file."""

import io
import tempfile
from pathlib import Path

import numpy as np

from pipeline.base.errors import OutputError
from pipeline.base.files import write_whole
from pipeline.base.redact import reason
from pipeline.wire.messages import Prediction
from pipeline.wire.motion_maps import MotionMaps


class MapsFolderError(OutputError):
    """The folder cannot be written, from the start or after a failure."""


class MapsFolder:
    """Writes ``FOLDER/<stream_id>/<capture_ns>.npz``; the names match the lines of ``--predictions``.

    Each file holds ``flow`` and ``moving`` as in ``MotionMaps``, ``age_ms`` of the past frames (oldest first;
    only of slots that hold a frame), ``epoch`` and ``seq``.
    """

    def __init__(self, path: str | Path) -> None:
        """Creates the folder.

        Raises:
            MapsFolderError: It cannot be created or written.
        """
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise self._failed(error) from None

    def write(self, prediction: Prediction, maps: MotionMaps) -> None:
        """Writes the maps of a prediction.

        Raises:
            MapsFolderError: Writing failed, for example because the disk is full; no partial file is left.
        """
        packed = io.BytesIO()
        np.savez_compressed(
            packed,
            flow=maps.flow,
            moving=maps.moving,
            age_ms=np.array([past.age_ms for past in prediction.past]),
            epoch=prediction.epoch,
            seq=prediction.seq,
        )
        folder = self.path / prediction.stream_id
        try:
            folder.mkdir(exist_ok=True)
            write_whole(folder / f"{prediction.capture_ns}.npz", packed.getvalue())
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> MapsFolderError:
        return MapsFolderError(f"{self.path}: can't be written: {reason(error)}")
