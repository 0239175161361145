"""Small data sets with true motion in the formats of the real ones, and networks that know the answer."""

import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.scene.dense_motion import DenseMotion
from pipeline.training.evaluation.motion_fields import MotionStream, OpenStream, network_size

Flow = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Top, bottom, left and right."""


def textured(height: int, width: int, seed: int = 0) -> Image:
    """Blurred noise of full contrast: something to follow at each place."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (height, width, 1)) + rng.normal(0, 0.3, (height, width, 3))
    soft = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.asarray((128 + 45 * soft / soft.std()).clip(0, 255), np.uint8)


def shifted_pair(dx: int, dy: int, height: int = 96, width: int = 128) -> tuple[Image, Image, Flow]:
    """New and past picture, and the flow from new to past, which is (dx, dy) everywhere."""
    room = max(abs(dx), abs(dy))
    scene = textured(height + 2 * room, width + 2 * room)
    new, past = (
        scene[room - y : room - y + height, room - x : room - x + width] for x, y in ((0, 0), (dx, dy))
    )
    return new, past, np.full((height, width, 2), (dx, dy), np.float32)


def write_picture(path: Path, picture: npt.NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


def write_flo(path: Path, flow: Flow) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = flow.shape[:2]
    path.write_bytes(struct.pack("<fii", 202021.25, width, height) + flow.astype("<f4").tobytes())
    return path


def write_kitti(path: Path, flow: Flow, valid: npt.NDArray[np.bool_]) -> Path:
    stored = (flow * 64 + 2**15).round().astype(np.uint16)
    return write_picture(path, np.dstack([valid.astype(np.uint16), stored[..., 1], stored[..., 0]]))


def write_npz_pair(folder: Path, new: Image, past: Image, flow: Flow) -> None:
    write_picture(folder / "a.png", new)
    write_picture(folder / "b.png", past)
    np.savez_compressed(folder / "flow.npz", flow=flow.astype(np.float16))


def passing_box(count: int, enters: int = 0) -> Iterator[tuple[Image, Box]]:
    """A still scene of 96 x 128 in which a box appears at the left and moves 4 pixels with each picture.

    Args:
        count: pictures.
        enters: the first picture with the box.
    """
    scene, thing = textured(96, 128), textured(24, 24, seed=1)[..., ::-1] // 2 + 120
    for number in range(count):
        left = min(4 * max(number - enters, 0), 128)
        right = min(left + 24, 128) if number >= enters else left
        picture = scene.copy()
        picture[40:64, left:right] = thing[:, : right - left]
        yield picture, (40, 64, left, right)


def write_cdnet(home: Path, frames: int = 12, first: int = 1, enters: int = 0) -> None:
    """A passing box: left of it a shadow, right of it 10 columns that are not known, 6 rows not judged."""
    for number, (picture, (top, bottom, left, right)) in enumerate(passing_box(frames, enters), first):
        labels = np.zeros(picture.shape[:2], np.uint8)
        if right > left:
            labels[top:bottom, max(left - 8, 0) : left] = 50
            labels[top:bottom, right : right + 10] = 170
            labels[top:bottom, left:right] = 255
        labels[:6] = 85
        write_picture(home / "input" / f"in{number:06d}.jpg", picture)
        write_picture(home / "groundtruth" / f"gt{number:06d}.png", labels)


def write_masks(frames: Path, masks: Path, count: int = 8) -> None:
    """A passing box, as DAVIS labels it."""
    for number, (picture, (top, bottom, left, right)) in enumerate(passing_box(count)):
        labels = np.zeros(picture.shape[:2], np.uint8)
        labels[top:bottom, left:right] = 255
        write_picture(frames / f"{number:05d}.jpg", picture)
        write_picture(masks / f"{number:05d}.png", labels)


def network_of(
    flow: tuple[float, float] = (0.0, 0.0), *, moving: bool = False, uncertainty: float = 0.0
) -> OpenStream:
    """A network that gives the same answer to every picture: flow in pixels of its own input."""

    def open_stream() -> MotionStream:
        return lambda picture: answer(picture, flow, moving=moving, uncertainty=uncertainty)

    return open_stream


def recording() -> tuple[OpenStream, list[list[Image]]]:
    """A network that finds nothing, and the pictures that each of its streams is given."""
    seen: list[list[Image]] = []

    def open_stream() -> MotionStream:
        pictures: list[Image] = []
        seen.append(pictures)

        def step(picture: Image) -> DenseMotion:
            pictures.append(picture)
            return answer(picture, (0, 0))

        return step

    return open_stream, seen


def answer(
    picture: Image, flow: tuple[float, float], *, moving: bool = False, uncertainty: float = 0.0
) -> DenseMotion:
    height, width = network_size(*picture.shape[:2])
    rows, columns = height // 4, width // 4
    shift = np.array(flow, np.float32)
    camera = np.eye(2, 3, dtype=np.float32)
    camera[:, 2] = shift * 2 / (width, height)
    return DenseMotion(
        moving=np.full((rows, columns), moving, np.float32),
        flow=np.broadcast_to(shift[:, None, None], (2, 2, rows, columns)).astype(np.float32),
        uncertainty=np.full((2, rows, columns), uncertainty, np.float32),
        camera=np.stack([camera] * 2),
        valid=np.array([True, True]),
        history_ms=[80.0, 40.0],
        aspect=picture.shape[0] / picture.shape[1],
    )
