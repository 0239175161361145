"""Classical baselines from OpenCV: DIS, Farneback, MOG2."""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.training.evaluation.truth_files import Flow, Grey

Floats = npt.NDArray[np.floating]
FlowBaseline = Callable[[Image, Image], Flow]
"""Takes the new and the past image, returns the flow from new to past."""

_PRESETS = {
    "dis": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
    "dis_fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "dis_ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
}


def flow_baselines(all_presets: bool = False) -> Mapping[str, FlowBaseline]:
    """Dense flow by name: DIS medium and Farneback, and with ``all_presets`` DIS fast and ultrafast."""
    names = list(_PRESETS) if all_presets else ["dis"]
    return {name: _dis(_PRESETS[name]) for name in names} | {"farneback": _farneback}


class BackgroundModel:
    """MOG2 with OpenCV's defaults (history of 500 frames), then a 5x5 median; shadows count as static."""

    def __init__(self) -> None:
        """Starts with an empty model."""
        self._model = cv2.createBackgroundSubtractorMOG2()

    def moving(self, picture: Image) -> npt.NDArray[np.bool_]:
        """Moving pixels of the next frame of a sequence, ``(H, W)``."""
        labels = self._model.apply(picture)
        return np.asarray(cv2.medianBlur(labels, 5) == 255, np.bool_)


def fit_similarity(places: Floats, flow: Floats) -> Callable[[Floats], Floats]:
    """The similarity (shift, rotation, scale) with the least median error: a classical camera estimate.

    Args:
        places: X and y in pixels, ``(..., 2)``.
        flow: At each position, the same shape.

    Returns:
        A function from positions to the flow of the similarity; zero flow if the fit failed.
    """
    start = np.asarray(places, np.float32).reshape(-1, 2)
    end = start + np.asarray(flow, np.float32).reshape(-1, 2)
    transform = None
    if len(start) >= 2:
        transform, _ = cv2.estimateAffinePartial2D(start, end, method=cv2.LMEDS)
    if transform is None:
        return np.zeros_like
    return lambda places: places @ transform[:, :2].T + transform[:, 2] - places


def _dis(preset: int) -> FlowBaseline:
    no_start: Any = None  # zeros would act as an initial flow and increase the error

    def flow(new: Image, past: Image) -> Flow:
        finder = cv2.DISOpticalFlow.create(preset)  # reuse crashes on a larger image (OpenCV 5.0)
        return np.asarray(finder.calc(_grey(new), _grey(past), no_start), np.float32)

    return flow


def _farneback(new: Image, past: Image) -> Flow:
    start = np.zeros((*new.shape[:2], 2), np.float32)
    return np.asarray(
        cv2.calcOpticalFlowFarneback(_grey(new), _grey(past), start, 0.5, 3, 15, 3, 5, 1.2, 0), np.float32
    )


def _grey(picture: Image) -> Grey:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
