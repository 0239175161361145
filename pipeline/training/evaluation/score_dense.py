"""Scores dense motion on data sets with ground truth: flow, masks, still images, camera."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from pipeline.training.evaluation.camera_sequences import find_camera_sequences
from pipeline.training.evaluation.flow_pairs import find_flow_pairs
from pipeline.training.evaluation.mask_sequences import find_mask_sequences
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.motion_fields import OpenStream
from pipeline.training.evaluation.score_camera import score_camera
from pipeline.training.evaluation.score_flow import score_flow
from pipeline.training.evaluation.score_moving import score_moving
from pipeline.training.evaluation.score_still import find_pictures, score_still


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseData:
    """Folders to score dense motion on; None skips a part.

    Attributes:
        flow: Pairs with ground-truth flow, see `find_flow_pairs`.
        moving: Sequences with masks, see `find_mask_sequences`.
        still: Still images, in which all motion is false, see `score_still`.
        camera: A hand-held camera in static scenes, see `find_camera_sequences`.
        corrupted: Also score the pairs under noise, low light, an exposure jump, JPEG and H.264.
        all_presets: Also score DIS fast and ultrafast.
        still_frames: Frames for each still image and disturbance.
    """

    flow: Path | None = None
    moving: Path | None = None
    still: Path | None = None
    camera: Path | None = None
    corrupted: bool = False
    all_presets: bool = False
    still_frames: int = 100

    @property
    def given(self) -> bool:
        """Whether any folder is given."""
        return any(folder is not None for folder in (self.flow, self.moving, self.still, self.camera))


def score_dense(
    open_stream: OpenStream,
    data: DenseData,
    notify: Callable[[str], None],
    progress: Progress | None = None,
) -> Report:
    """Scores a network and classical baselines in the same run; nothing is tuned per sequence.

    Args:
        open_stream: Opens a stream through the network.
        data: The data to score on.
        notify: Receives progress messages.
        progress: Shows the progress bars.

    Returns:
        The requested sections among ``flow`` with ``uncertainty``, ``moving``, ``still`` and ``camera``.

    Raises:
        ValueError: A folder is invalid; the message is one line. Raised before scoring where possible.
    """
    pairs = None if data.flow is None else find_flow_pairs(data.flow)
    sequences = None if data.moving is None else find_mask_sequences(data.moving)
    pictures = None if data.still is None else find_pictures(data.still)
    cameras = None if data.camera is None else find_camera_sequences(data.camera)
    report: Report = {}
    if pairs is not None:
        notify(f"scoring {len(pairs)} pairs with ground-truth flow ...")
        report["flow"], report["uncertainty"] = score_flow(
            open_stream, pairs, corrupted=data.corrupted, all_presets=data.all_presets, progress=progress
        )
    if sequences is not None:
        notify(f"scoring {len(sequences)} sequences with masks ...")
        report["moving"] = score_moving(open_stream, sequences, progress)
    if pictures is not None:
        notify(f"scoring {len(pictures)} still images ...")
        report["still"] = score_still(open_stream, pictures, frames=data.still_frames, progress=progress)
    if cameras is not None:
        notify(f"scoring {len(cameras)} camera sequences ...")
        report["camera"] = score_camera(open_stream, cameras, progress)
    return report
