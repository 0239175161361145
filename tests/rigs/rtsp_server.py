"""A real RTSP camera: run by /usr/bin/python3, which has Debian's GStreamer bindings (see rtsp.py).

``/clip`` loops an H.264 file without re-encoding it. ``/clock`` is live; each frame encodes the time at
which it was generated, Unix time in milliseconds, as 48 black or white blocks along the top.
"""

import argparse
import signal
import time
from pathlib import Path

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CLOCK_BITS = 48
CLOCK_ROWS = 32
ACCESS_UNIT = b"\x00\x00\x00\x01\x09"
ROLE = "viewer"


class LiveFactory(GstRtspServer.RTSPMediaFactory):
    """Pushes buffers into an appsrc in real time; subclasses provide them."""

    def __init__(self, fps, launch):
        super().__init__()
        self.set_shared(True)
        self.frame_ns = Gst.SECOND // fps
        self.launch = launch

    def do_create_element(self, _url):
        return Gst.parse_launch(f"appsrc name=src is-live=true format=time {self.launch}")

    def do_configure(self, media):
        element = media.get_element()
        src = element.get_by_name("src")
        state = {"open": True, "sent": 0, "start": None}

        def push():
            # Before that, the element does not know its base time.
            if src.get_state(0).state != Gst.State.PLAYING:
                return state["open"]
            running = src.get_clock().get_time() - src.get_base_time()
            state["start"] = running if state["start"] is None else state["start"]
            while state["open"] and state["sent"] * self.frame_ns <= running - state["start"]:
                buffer = Gst.Buffer.new_wrapped(self.data(state["sent"]))
                buffer.pts = buffer.dts = state["start"] + state["sent"] * self.frame_ns
                buffer.duration = self.frame_ns
                state["sent"] += 1
                if src.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                    return False
            return state["open"]

        GLib.timeout_add(5, push)
        media.connect("unprepared", lambda _media: state.update(open=False))


class ClipFactory(LiveFactory):
    def __init__(self, path, fps, lose):
        super().__init__(
            fps,
            "caps=video/x-h264,stream-format=byte-stream,alignment=au ! h264parse config-interval=-1 "
            "! rtph264pay name=pay0 pt=96 config-interval=-1",
        )
        self.lose, self.random = lose, np.random.default_rng(1)
        self.units = [ACCESS_UNIT + unit for unit in Path(path).read_bytes().split(ACCESS_UNIT)[1:]]

    def data(self, number):
        return self.units[number % len(self.units)]

    def do_configure(self, media):
        super().do_configure(media)
        if self.lose:
            pad = media.get_element().get_by_name("pay0").get_static_pad("src")
            pad.add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST, self.lose_packets)

    def lose_packets(self, pad, info):
        """Removes packets of a frame after the payloader; gaps in the sequence numbers reveal the loss."""
        if not info.type & Gst.PadProbeType.BUFFER_LIST:
            is_lost = self.is_lost(info.get_buffer())
            return Gst.PadProbeReturn.DROP if is_lost else Gst.PadProbeReturn.OK
        packets = info.get_buffer_list()
        kept = [packets.get(n) for n in range(packets.length())]
        kept = [packet for packet in kept if not self.is_lost(packet)]
        lose, self.lose = self.lose, 0.0  # pushing comes through this probe again
        for packet in kept:
            pad.push(packet)
        self.lose = lose
        return Gst.PadProbeReturn.DROP

    def is_lost(self, packet):
        return packet.pts // (3 * Gst.SECOND) % 2 == 1 and self.random.random() < self.lose


class ClockFactory(LiveFactory):
    def __init__(self, width, height, fps, corrupt):
        super().__init__(
            fps,
            f"max-buffers=2 leaky-type=downstream caps=video/x-raw,format=GRAY8,width={width},"
            f"height={height},framerate={fps}/1 ! videoconvert ! video/x-raw,format=I420 ! "
            f"x264enc tune=zerolatency sliced-threads=false threads=1 speed-preset=ultrafast bitrate=2000 "
            f"key-int-max={fps} ! video/x-h264,profile=baseline ! identity name=wire "
            "! rtph264pay name=pay0 pt=96 config-interval=-1",
        )
        self.width, self.height, self.corrupt = width, height, corrupt
        self.random = np.random.default_rng(1)
        self.noise = self.random.integers(60, 120, (height, width), np.uint8)

    def data(self, number):
        picture = np.roll(self.noise, number * 4, axis=1)
        milliseconds = time.time_ns() // 1_000_000
        block = self.width // CLOCK_BITS
        for bit in range(CLOCK_BITS):
            white = milliseconds >> (CLOCK_BITS - 1 - bit) & 1
            picture[:CLOCK_ROWS, bit * block : (bit + 1) * block] = 235 if white else 16
        return picture.tobytes()

    def do_configure(self, media):
        super().do_configure(media)
        if self.corrupt:
            pad = media.get_element().get_by_name("wire").get_static_pad("src")
            pad.add_probe(Gst.PadProbeType.BUFFER, self.flip_bits)

    def flip_bits(self, pad, info):
        buffer = info.get_buffer()
        if self.random.random() >= self.corrupt:
            return Gst.PadProbeReturn.OK
        data = bytearray(buffer.extract_dup(0, buffer.get_size()))
        for place in self.random.integers(min(60, len(data) - 1), len(data), 40):
            data[place] ^= 1 << int(self.random.integers(8))
        broken = Gst.Buffer.new_wrapped(bytes(data))
        broken.pts, broken.dts, broken.duration = buffer.pts, buffer.dts, buffer.duration
        corrupt, self.corrupt = self.corrupt, 0.0  # pushing comes through this probe again
        pad.push(broken)
        self.corrupt = corrupt
        return Gst.PadProbeReturn.DROP


def protect(server, factories, user, password, method):
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    auth = GstRtspServer.RTSPAuth()
    if method == "basic":
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    server.set_auth(auth)
    for factory in factories:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role(ROLE, "media.factory.access", True)
        permissions.add_permission_for_role(ROLE, "media.factory.construct", True)
        factory.set_permissions(permissions)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", required=True)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--clip", default="")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--auth", choices=("basic", "digest"), default="digest")
    parser.add_argument("--corrupt", type=float, default=0.0, help="share of the frames of /clock to damage")
    parser.add_argument("--lose", type=float, default=0.0, help="share of the RTP packets of /clip to drop")
    arguments = parser.parse_args()
    Gst.init(None)
    mounts = {"/clock": ClockFactory(arguments.width, arguments.height, arguments.fps, arguments.corrupt)}
    if arguments.clip:
        mounts["/clip"] = ClipFactory(arguments.clip, arguments.fps, arguments.lose)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    if arguments.user:
        protect(server, mounts.values(), arguments.user, arguments.password, arguments.auth)
    for path, factory in mounts.items():
        server.get_mount_points().add_factory(path, factory)
    if server.attach(None) == 0:
        raise SystemExit(f"port {arguments.port} is in use")
    print("ready", flush=True)
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
    loop.run()


if __name__ == "__main__":
    main()
