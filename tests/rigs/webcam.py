"""A webcam without a kernel device: a PipeWire test source, visible to programs run by ``pw-v4l2``."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rigs.rtsp import need_element
from tests.support import need_command

_START_S = 15.0


class VirtualWebcam:
    """Camera 0 for programs that are started with ``command`` and ``environment``."""

    def __init__(self, folder: Path, *, width: int = 640, height: int = 480, fps: int = 30) -> None:
        """Stores the settings.

        Args:
            folder: An empty folder for sockets and state.
            width: Frame width in px.
            height: Frame height in px.
            fps: Frames per second.
        """
        for command, package in (
            ("dbus-daemon", "dbus"),
            ("pipewire", "pipewire-bin"),
            ("pw-dump", "pipewire-bin"),
            ("wireplumber", "wireplumber"),
            ("pw-v4l2", "pipewire-v4l2"),
            ("gst-launch-1.0", "gstreamer1.0-tools"),
        ):
            need_command(command, package)
        need_element("pipewiresink", "gstreamer1.0-pipewire")
        self._bus = f"unix:path={folder}/bus"
        self.environment = os.environ | {
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_STATE_HOME": str(folder),
            "DBUS_SESSION_BUS_ADDRESS": self._bus,
        }
        self._format = f"video/x-raw,format=YUY2,width={width},height={height},framerate={fps}/1"
        self._services: list[subprocess.Popen[bytes]] = []
        self._camera: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs a program with access to the camera."""
        return ["pw-v4l2", *arguments]

    def plug_in(self) -> None:
        """Plugs the camera in and waits until PipeWire lists it."""
        properties = "stream-properties=p,media.class=Video/Source"
        source = ("videotestsrc", "is-live=true", "pattern=ball", "!", self._format)
        sink = ("pipewiresink", "mode=provide", properties)
        self._camera = self._run("gst-launch-1.0", "-q", *source, "!", *sink)
        self._wait_for("the camera", lambda: "Video/Source" in self._dump())

    def unplug(self) -> None:
        """Unplugs the camera."""
        if self._camera is not None:
            self._camera.send_signal(signal.SIGKILL)
            self._camera.wait()
            self._camera = None

    def __enter__(self) -> Self:
        try:
            self._services.append(
                self._run("dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={self._bus}")
            )
            bus = Path(self._bus.removeprefix("unix:path="))
            self._wait_for("the bus", bus.exists)
            self._services.append(self._run("pipewire"))
            self._wait_for("PipeWire", lambda: '"PipeWire:Interface:Core"' in self._dump())
            self._services.append(self._run("wireplumber"))
            self._wait_for("WirePlumber", lambda: "WirePlumber" in self._dump())
            self.plug_in()
        except BaseException:
            self._shut_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shut_down()

    def _shut_down(self) -> None:
        self.unplug()
        for service in reversed(self._services):
            service.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.wait(3)
            service.kill()
            service.wait()
        self._services.clear()

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, env=self.environment, stdout=quiet, stderr=quiet)

    def _dump(self) -> str:
        return subprocess.run(
            ["pw-dump"], env=self.environment, capture_output=True, text=True, timeout=_START_S, check=False
        ).stdout

    @staticmethod
    def _wait_for(what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_S
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not appear within {_START_S:g} s")
            time.sleep(0.1)
