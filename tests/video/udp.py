"""Cameras that send MPEG-TS over UDP and go blind: the connection lives, the pictures stop."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from threading import Event, Thread

import av

from tests.support import free_port, need_command
from tests.video.clips import numbered

_PACKET_BYTES = 1316


@contextlib.contextmanager
def video_then_only_sound(*, video_s: float) -> Iterator[str]:
    """Sends pictures and sound, then only the sound, until the block ends; gives the URL."""
    url = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    picture = ("-re", "-f", "lavfi", "-i", f"testsrc=size=320x240:rate=25:duration={video_s}")
    sound = ("-re", "-f", "lavfi", "-i", "sine=frequency=440")
    codecs = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "12", "-c:a", "aac")
    # Without the limit the sound would wait for pictures that never come.
    target = ("-max_interleave_delta", "100000", "-f", "mpegts", f"{url}?pkt_size={_PACKET_BYTES}")
    command = [need_command("ffmpeg", "ffmpeg"), "-loglevel", "error", *picture, *sound, *codecs, *target]
    with subprocess.Popen(command) as program:
        try:
            yield url
        finally:
            program.kill()


@contextlib.contextmanager
def video_then_noise(*, pictures: int) -> Iterator[str]:
    """Sends 25 pictures a second, then as many packets of H.264 that no decoder can use; gives the URL."""
    port, stopping = free_port(socket.SOCK_DGRAM), Event()
    sender = Thread(target=_send_video_then_noise, args=(port, pictures, stopping))
    sender.start()
    try:
        yield f"udp://127.0.0.1:{port}"
    finally:
        stopping.set()
        sender.join()


def _send_video_then_noise(port: int, pictures: int, stopping: Event) -> None:
    frame_time = Fraction(1, 25)
    with _Datagrams(port) as out, av.open(out, "w", format="mpegts", options={"flush_packets": "1"}) as film:
        track = film.add_stream("libx264", rate=25, options={"tune": "zerolatency"})
        track.width, track.height, track.pix_fmt, track.gop_size = 64, 48, "yuv420p", 5
        images, number = iter(numbered(pictures, 64, 48)), 0
        while not stopping.wait(float(frame_time)):
            image = next(images, None)
            if image is not None:
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts, frame.time_base = number, frame_time
                film.mux(track.encode(frame))
            else:
                packet = av.Packet(b"\0\0\0\1\x09\xf0\0\0\0\1\x41" + bytes(range(1, 60)))
                packet.pts = packet.dts = number
                packet.time_base, packet.stream = frame_time, track
                film.mux(packet)
            number += 1


class _Datagrams:
    """A file that is written to a UDP port."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._peer = ("127.0.0.1", port)

    def write(self, data: bytes) -> int:
        for start in range(0, len(data), _PACKET_BYTES):
            self._socket.sendto(data[start : start + _PACKET_BYTES], self._peer)
        return len(data)

    def __enter__(self) -> "_Datagrams":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
