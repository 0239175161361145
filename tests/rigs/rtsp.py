"""A real RTSP server as a camera that tests can kill, freeze and restart."""

import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from tests.support import free_port, missing, need_command, need_file

_SERVER = Path(__file__).with_name("rtsp_server.py")
_SYSTEM_PYTHON = "/usr/bin/python3"
_CLOCK_BITS, _CLOCK_ROWS = 48, 32


def need_rtsp_server() -> None:
    """Skips the test (fails it under CI) if a required GStreamer package of Debian is missing."""
    need_file(_SYSTEM_PYTHON, "python3")
    need_file("/usr/lib/python3/dist-packages/gi", "python3-gi")
    need_file("/usr/lib/python3/dist-packages/numpy", "python3-numpy")
    need_typelib("GstRtspServer-1.0", "gir1.2-gst-rtsp-server-1.0")
    for element, package in (
        ("x264enc", "gstreamer1.0-plugins-ugly"),
        ("rtph264pay", "gstreamer1.0-plugins-good"),
        ("h264parse", "gstreamer1.0-plugins-bad"),
        ("videoconvert", "gstreamer1.0-plugins-base"),
    ):
        need_element(element, package)


def need_typelib(name: str, package: str) -> None:
    """Requires a GObject introspection file."""
    places = sorted(Path("/usr/lib").glob(f"**/girepository-1.0/{name}.typelib"))
    need_file(places[0] if places else f"{name}.typelib", package)


def need_element(element: str, package: str) -> None:
    """Requires an element of GStreamer."""
    # Not "--exists": it does not find elements without a rank, such as PipeWire's.
    command = [need_command("gst-inspect-1.0", "gstreamer1.0-tools"), element]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        missing(f"GStreamer element {element}", f"Debian's {package}")


def raw_h264(clip: Path, folder: Path, *, seconds: float, fps: int) -> Path:
    """Encodes the beginning of a clip as the raw H.264 that ``RtspCamera(clip=…)`` loops."""
    raw = folder / f"{clip.stem}.h264"
    encode = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", str(fps))
    cut = ("-t", str(seconds), "-an", "-bsf:v", "h264_metadata=aud=insert", "-f", "h264")
    command = [
        need_command("ffmpeg", "ffmpeg"),
        "-loglevel",
        "error",
        "-y",
        "-i",
        str(clip),
        *encode,
        *cut,
        str(raw),
    ]
    subprocess.run(command, check=True)
    return raw


def clock_ms(image: npt.NDArray[np.uint8]) -> int:
    """The time at which the server generated a frame of ``/clock``, Unix time in ms."""
    block = image.shape[1] // _CLOCK_BITS
    row = image[_CLOCK_ROWS // 2, block // 2 : block * _CLOCK_BITS : block].mean(axis=-1) > 125
    return int("".join("1" if white else "0" for white in row), 2)


class RtspCamera:
    """An RTSP server on a free port of this machine; it runs inside ``with``.

    Attributes:
        port: Its port, the same after each restart.
        user: Required user name; empty for none.
        password: Required password.
    """

    def __init__(
        self,
        *,
        width: int = 640,
        height: int = 480,
        fps: int = 30,
        clip: Path | None = None,
        user: str = "",
        password: str = "",
        auth: Literal["basic", "digest"] = "digest",
        corrupt: float = 0.0,
        lose: float = 0.0,
    ) -> None:
        """Stores the settings.

        Args:
            width: Width of ``/clock`` in px; a multiple of 48.
            height: Height of ``/clock`` in px.
            fps: Frame rate of both mounts.
            clip: A file from ``raw_h264`` to loop at ``/clip``.
            user: Required user name.
            password: Required password.
            auth: Authentication method.
            corrupt: Share of the frames of ``/clock`` that are damaged in transit.
            lose: Share of the RTP packets of ``/clip`` that are lost, in every other period of 3 s.
        """
        need_rtsp_server()
        self.port = free_port()
        self.user, self.password = user, password
        self._clip = clip
        self._options = {"fps": fps, "auth": auth, "corrupt": corrupt, "lose": lose}
        self._size = (width, height)
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str = "/clock", *, password: str | None = None) -> str:
        """The URL of a mount, with the user name and the password, or with another password."""
        login = f"{self.user}:{self.password if password is None else password}@" if self.user else ""
        return f"rtsp://{login}127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Starts the server and waits until it accepts connections."""
        options: dict[str, object] = {"port": self.port, "width": self._size[0], "height": self._size[1]}
        options |= self._options | {"user": self.user, "password": self.password, "clip": self._clip or ""}
        command = [_SYSTEM_PYTHON, str(_SERVER), *(f"--{name}={value}" for name, value in options.items())]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            self.kill()
            raise RuntimeError("the RTSP server did not start; see its output above")

    def kill(self) -> None:
        """Kills the server, as in a power failure."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def restart(self, *, width: int | None = None, height: int | None = None) -> None:
        """Kills the server and restarts it on the same port, optionally with another frame size."""
        self.kill()
        self._size = (width or self._size[0], height or self._size[1])
        self.start()

    def freeze(self) -> None:
        """Suspends the server's process: connections stay open, but no frames are sent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resumes a frozen server."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
