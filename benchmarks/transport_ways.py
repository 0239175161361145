"""The compared transports, each used as documented."""

import importlib.util
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.base.clock import now_ns
from pipeline.base.config import load_config
from pipeline.base.frame import Frame, FrameId, Image
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import EndOfStream
from pipeline.wire.security import SecurityPolicy

QUALITY = 90
Send = Callable[[Image], None]
Receive = Callable[[], Image]


@dataclass(frozen=True)
class Way:
    """One frame transport; it loses no frames unless its name states otherwise.

    Attributes:
        name: Name in tables.
        group: Raw pixels or JPEG; only transports of one group are compared.
        link: ``ipc`` or ``tcp``, on this machine.
        package: Required Python package; empty for ours.
        sender: Opens the sending end at an endpoint.
        receiver: Opens the receiving end.
    """

    name: str
    group: Literal["raw", "jpeg"]
    link: Literal["ipc", "tcp"]
    package: str
    sender: Callable[[ExitStack, str], Send]
    receiver: Callable[[ExitStack, str], Receive]


def missing(ways: list[Way]) -> list[str]:
    """Packages that are not installed."""
    return sorted({way.package for way in ways if way.package and not importlib.util.find_spec(way.package)})


def endpoint(way: Way, folder: Path, port: int) -> str:
    """The endpoint of a transport."""
    return f"ipc://{folder}/frames" if way.link == "ipc" else f"tcp://127.0.0.1:{port}"


def _ours(encoding: str) -> Callable[[ExitStack, str], Send]:
    def open_sender(stack: ExitStack, where: str) -> Send:
        config = load_config(overrides=[f"capture.encoding={encoding}", f"capture.jpeg_quality={QUALITY}"])
        publisher = FramePublisher(where, config.wire, SecurityPolicy(config.security), config.capture)
        stack.enter_context(publisher)
        seq = 0
        while not publisher.listeners()["sink"]:
            time.sleep(0.01)

        def send(image: Image) -> None:
            nonlocal seq
            frame = Frame(FrameId("camera", 1, 0, seq), image, now_ns(), policy="every")
            while not publisher.send_frame(frame, timeout_s=1.0):
                pass
            seq += 1

        return send

    return open_sender


def _ours_receiver(stack: ExitStack, where: str) -> Receive:
    config = load_config()
    receiver = stack.enter_context(
        FrameReceiver([where], "sink", config.wire, SecurityPolicy(config.security))
    )

    def receive() -> Image:
        while True:
            for item in receiver.poll(1.0, max_every=1):
                assert not isinstance(item, EndOfStream)
                return item.decode().image

    return receive


def _imagezmq_sender(req_rep: bool, jpeg: bool) -> Callable[[ExitStack, str], Send]:
    def open_sender(stack: ExitStack, where: str) -> Send:
        import imagezmq
        import zmq

        if req_rep:
            sender = imagezmq.ImageSender(connect_to=where)
        else:
            sender = imagezmq.ImageSender(connect_to=where, REQ_REP=False)
            sender.zmq_socket.setsockopt(zmq.SNDHWM, 10)  # the default would queue gigabytes
            time.sleep(1.0)  # it can't detect when a receiver has connected
        stack.enter_context(sender)
        if not jpeg:
            return lambda image: sender.send_image("camera", image)
        import simplejpeg

        def send(image: Image) -> None:
            sender.send_jpg("camera", simplejpeg.encode_jpeg(image, QUALITY, "BGR", "420"))

        return send

    return open_sender


def _imagezmq_receiver(req_rep: bool, jpeg: bool) -> Callable[[ExitStack, str], Receive]:
    def open_receiver(stack: ExitStack, where: str) -> Receive:
        import imagezmq

        hub = stack.enter_context(imagezmq.ImageHub(open_port=where, REQ_REP=req_rep))
        if jpeg:
            import simplejpeg

        def receive() -> Image:
            if jpeg:
                _, packed = hub.recv_jpg()
                image = simplejpeg.decode_jpeg(packed, "BGR")
            else:
                _, image = hub.recv_image()
            if req_rep:
                hub.send_reply(b"OK")
            return np.asarray(image, np.uint8)

        return receive

    return open_receiver


def _netgear_options(jpeg: bool) -> dict[str, Any]:
    if not jpeg:
        return {"jpeg_compression": False}
    return {"jpeg_compression": "BGR", "jpeg_compression_quality": QUALITY}


def _netgear(receive_mode: bool, jpeg: bool) -> Callable[[ExitStack, str], Any]:
    def open_end(stack: ExitStack, where: str) -> Any:
        from vidgear.gears import NetGear

        host, port = where.removeprefix("tcp://").split(":")
        end = NetGear(
            address=host,
            port=port,
            protocol="tcp",
            pattern=1,
            receive_mode=receive_mode,
            logging=False,
            **_netgear_options(jpeg),
        )
        stack.callback(end.close)
        return end.recv if receive_mode else end.send

    return open_end


def ways() -> list[Way]:
    """All measured transports, ours first in each group."""
    ours, none = _ours_receiver, ""
    return [
        Way("ours, shared memory", "raw", "ipc", none, _ours("shm"), ours),
        Way("ours, raw, ipc", "raw", "ipc", none, _ours("raw"), ours),
        Way(
            "imagezmq REQ/REP", "raw", "tcp", "imagezmq",
            _imagezmq_sender(True, False), _imagezmq_receiver(True, False),
        ),
        Way(
            "imagezmq REQ/REP, ipc", "raw", "ipc", "imagezmq",
            _imagezmq_sender(True, False), _imagezmq_receiver(True, False),
        ),
        Way(
            "imagezmq PUB/SUB (drops)", "raw", "tcp", "imagezmq",
            _imagezmq_sender(False, False), _imagezmq_receiver(False, False),
        ),
        Way(
            "vidgear NetGear REQ/REP", "raw", "tcp", "vidgear",
            _netgear(False, False), _netgear(True, False),
        ),
        Way("ours, JPEG, tcp", "jpeg", "tcp", none, _ours("jpeg"), ours),
        Way(
            "imagezmq REQ/REP, JPEG", "jpeg", "tcp", "imagezmq",
            _imagezmq_sender(True, True), _imagezmq_receiver(True, True),
        ),
        Way(
            "vidgear NetGear REQ/REP, JPEG", "jpeg", "tcp", "vidgear",
            _netgear(False, True), _netgear(True, True),
        ),
    ]  # fmt: skip


def named(name: str) -> Way:
    """The transport with this name."""
    return next(way for way in ways() if way.name == name)
