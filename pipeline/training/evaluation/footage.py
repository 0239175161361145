"""Windows of consecutive frames from a video file, one at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.base.config import load_config
from pipeline.base.frame import Image
from pipeline.training.recorded.time_windows import windows_by_time
from pipeline.video.source import SourceError, SourceOptions
from pipeline.video.video_file import FileSource

_USUAL_FPS = 25.0


class Footage:
    """A video file and its windows, selected as in the live pipeline.

    Each walk over the windows decodes the file once, and only the frames of one window are in memory.

    Attributes:
        path: The file.
        size: Width and height of its frames in pixels.
        frames: Number of frames used.
        cut: Whether the file has more frames than that.
        windows: Frame numbers of each window, ``(windows, T + 1)``, oldest first.
    """

    def __init__(self, path: Path, num_past: int, spacing_ms: float, most_frames: int = 3000) -> None:
        """Reads the times of the frames.

        Args:
            path: The video file.
            num_past: Past frames in a window, ``T``.
            spacing_ms: Time between the frames of a window; 0 = consecutive frames.
            most_frames: Maximum number of frames to use.

        Raises:
            ValueError: Not a readable video, or too short for one window.
        """
        times_ns: list[int] = []
        self.path, self.size, self.cut = path, (0, 0), False
        for time_ns, image in read_frames(path):
            if len(times_ns) == most_frames:
                self.cut = True
                break
            times_ns.append(time_ns)
            self.size = image.shape[1], image.shape[0]
        self.frames = len(times_ns)
        self.windows = windows_by_time(times_ns, num_past, spacing_ms)
        if not len(self.windows):
            raise ValueError(
                f"{path} is too short: it has {self.frames} frames, a window needs {num_past + 1}, "
                f"{spacing_ms:g} ms apart"
            )

    def walk(self, chosen: Sequence[int]) -> Iterator[tuple[int, list[Image]]]:
        """The chosen windows with their frames, in time order; a window may be chosen more than once.

        Args:
            chosen: Indices into ``windows``, in non-decreasing order.
        """
        held: dict[int, Image] = {}
        frames = enumerate(image for _, image in read_frames(self.path))
        for index in chosen:
            row = self.windows[index].tolist()
            held = {number: image for number, image in held.items() if number >= row[0]}
            while row[-1] not in held:
                number, image = next(frames)
                if number >= row[0]:
                    held[number] = image
            yield index, [held[number] for number in row]


def read_frames(path: Path) -> Iterator[tuple[int, Image]]:
    """Every undamaged frame of a video file with its time in ns.

    Raises:
        ValueError: Not a readable video.
    """
    try:
        with FileSource(str(path), SourceOptions.from_config(load_config().capture)) as source:
            interval_ns = round(1e9 / (source.fps or _USUAL_FPS))
            number = -1
            while (picture := source.read()) is not None:
                number += 1
                if not (picture.damaged or picture.smeared):
                    yield number * interval_ns if picture.pts_ns is None else picture.pts_ns, picture.image
    except SourceError as error:
        raise ValueError(str(error)) from None
