"""A typical webcam demo for comparison: one process, a whole clip through the network for each frame.

It reads the source in the same way as the pipeline (a thread that keeps the newest frame), keeps the last
three frames, runs all of them through the reference implementation in eager torch, and draws the label on the
frame.
"""

import argparse
import json
import time
from collections import deque
from functools import partial

import cv2
import numpy as np
import psutil
import torch

from pipeline.account.stats import Histogram
from pipeline.base.backoff import Backoff
from pipeline.base.clock import now_ns
from pipeline.base.config import load_config
from pipeline.model.checkpoint import load_checkpoint
from pipeline.runtime.pixels import Preprocessor
from pipeline.video.open import open_source
from pipeline.video.reader import Reader
from pipeline.video.source import SourceOptions


@torch.inference_mode()
def run(source: str, warm_up_s: float, seconds: float) -> dict[str, float]:
    """Predicts for ``seconds`` seconds after a warm-up.

    Returns:
        Predictions per second, age percentiles in ms, and CPU ms per prediction.
    """
    model = load_checkpoint("motion_resnet18").eval()
    preprocess = Preprocessor(model.preprocessing, torch.device("cpu"), torch.float32)
    capture = load_config().capture
    reader = Reader(
        partial(open_source, source, SourceOptions.from_config(capture)),
        policy="newest",
        backoff=Backoff(capture.reconnect_backoff_s),
        ring_frames=1,
        retry_first_open=False,
    )
    frames: deque[torch.Tensor] = deque(maxlen=model.num_past + 1)
    ages, process = Histogram(), psutil.Process()
    model(*[preprocess([np.zeros((480, 640, 3), np.uint8)])] * (model.num_past + 1))  # the first one is slow
    reader.start()
    started = time.monotonic()
    begun, cpu_s = None, 0.0
    while (now := time.monotonic()) < started + warm_up_s + seconds:
        captured = reader.take(1.0)
        if captured is None:
            break
        if begun is None and now > started + warm_up_s:
            begun, cpu_s = now, sum(process.cpu_times()[:2])
        picture = captured.picture
        frames.append(preprocess([picture.image]))
        if len(frames) < model.num_past + 1:
            continue
        scores = model(*frames)[0].float().softmax(1)[0]
        if begun is not None:
            ages.record((now_ns() - picture.capture_ns) / 1e6)
        label = f"{model.labels[int(scores.argmax())]} {float(scores.max()):.2f}"
        cv2.putText(picture.image, label, (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2)
    reader.stop(1.0)
    if reader.error:
        raise ValueError(str(reader.error))
    if begun is None or not ages.total:
        raise ValueError(f"{source}: too short for {warm_up_s + seconds:g} s")
    return {
        "predictions_per_s": ages.total / (time.monotonic() - begun),
        **{f"age_p{percent}_ms": ages.percentile(percent) or 0.0 for percent in (50, 95, 99)},
        "cpu_ms_per_prediction": (sum(process.cpu_times()[:2]) - cpu_s) * 1000 / ages.total,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--warm-up", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    given = parser.parse_args()
    print(json.dumps(run(given.source, given.warm_up, given.seconds)))
