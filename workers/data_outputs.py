"""Data outputs of the sink: predictions and events as JSON lines, motion maps as files."""

import msgspec

from pipeline.base.event import Event
from pipeline.base.line_file import STDOUT, LineFile, LineFileError
from pipeline.view.jsonl import PredictionWriter
from pipeline.view.maps_folder import MapsFolder, MapsFolderError
from pipeline.wire.arrivals import ReceivedPrediction
from workers.base import Worker


class DataOutputs:
    """The requested outputs; one that fails is reported and closed, the others continue.

    Args:
        worker: The sink, which provides configuration, resources and reporting.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker, sink = worker, worker.config.sink
        self._predictions = self._open_predictions(sink.predictions) if sink.predictions else None
        self._events = self._open_events(sink.events) if sink.events else None
        self._maps = self._open_maps(sink.motion_maps) if sink.motion_maps else None

    @property
    def has_lost_its_reader(self) -> bool:
        """Whether standard output was reserved for one of them and has been closed."""
        files = (self._predictions, self._events) if self._worker.stdout else ()
        return any(file and file.closed and str(file.path) == STDOUT for file in files)

    def write_prediction(self, answer: ReceivedPrediction) -> None:
        """Writes a prediction, and its motion maps if there are any."""
        if self._maps is not None and answer.motion_maps is not None:
            try:
                self._maps.write(answer.prediction, answer.motion_maps)
            except MapsFolderError as error:
                self._maps = None
                self._lose("motion_maps", "motion maps are", error)
        if self._predictions is None or self._predictions.closed:
            return
        try:
            self._predictions.add(answer.prediction)
        except LineFileError as error:
            self._lose("predictions", "predictions are", error)

    def write_event(self, event: Event) -> None:
        """Writes an event."""
        if self._events is None:
            return
        try:
            self._events.write(msgspec.json.encode(event))
        except LineFileError as error:
            self._lose("events", "events are", error)

    def _lose(self, output: str, what: str, error: Exception) -> None:
        self._worker.event(f"{what} no longer written: {error}")
        self._worker.note_loss(output, str(error))

    def _open_predictions(self, path: str) -> PredictionWriter:
        worker = self._worker
        writer = worker.resources.enter_context(
            PredictionWriter(path, append=worker.restarts > 0, stdout=self._stdout(path))
        )
        details = worker.stats.details["predictions"] = {"path": str(writer.path)}
        if made := writer.made_folder:
            details["made_folder"] = str(made)
            worker.event(f"predictions: created the folder {made}")
        return writer

    def _open_events(self, path: str) -> LineFile:
        worker = self._worker
        # Unlike predictions, events are appended, so that those of earlier runs are kept as evidence.
        file = worker.resources.enter_context(LineFile(path, append=True, stdout=self._stdout(path)))
        worker.stats.details["events"] = {"path": str(file.path)}
        return file

    def _open_maps(self, path: str) -> MapsFolder:
        folder = MapsFolder(path)
        self._worker.stats.details["motion_maps"] = {"path": str(folder.path)}
        return folder

    def _stdout(self, path: str) -> int | None:
        stdout = self._worker.stdout
        return stdout.fileno() if stdout and path == STDOUT else None
