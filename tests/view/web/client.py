"""Speaks with the page as browsers do."""

import http.client
import itertools
import json
import struct
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

from websockets.sync.client import connect

from pipeline.events.archive import Archive, Wanted
from pipeline.view.web.board import picture_info
from tests.view.samples import frame, picture, prediction

_PICTURE_DUE_S = 0.2
"""Pages get 15 pictures a second at most."""
_COUNTER = itertools.count()


def kept_in(path):
    """What a page asks for the events of a store."""

    def kept(since_ns, kind, stream_id, most):
        with Archive(path) as archive:
            return archive.newest(Wanted(since_ns=since_ns, kind=kind, stream_id=stream_id), most)

    return kept


def get(view, path, host=None):
    place = urlsplit(view.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    headers = {} if host is None else {"Host": host}
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


class Browser:
    """Speaks as the page does."""

    def __init__(self, view, origin=None):
        self._view, self._stack = view, ExitStack()
        url = view.url.replace("http", "ws") + "/live"
        self.socket = self._stack.enter_context(connect(url, origin=origin or view.url))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def say(self, **request):
        self.socket.send(json.dumps(request))

    def hear(self, timeout=60):
        """The next message: the list of streams, or header and JPEG of a picture."""
        message = self.socket.recv(timeout)
        if isinstance(message, str):
            return json.loads(message)
        (length,) = struct.unpack(">I", message[:4])
        return json.loads(message[4 : 4 + length]), message[4 + length :]

    def picture(self):
        while isinstance(message := self.hear(), dict):
            pass
        return message

    def state(self, wanted=lambda state: True, timeout=60):
        """The next state of all streams that is as wanted."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            message = self.hear(timeout)
            if isinstance(message, dict) and wanted(message):
                return message
        raise AssertionError("no such state came")

    def lists(self, streams, ended):
        """Waits until the streams are so."""
        self.state(lambda state: (state["streams"], state["ended"]) == (streams, ended))

    def hears_nothing(self):
        """No picture comes, but what the server does later: by then one was due, and all was read."""
        assert self.socket.ping().wait(60)
        time.sleep(_PICTURE_DUE_S)
        for _ in range(2):  # it tells of new streams, then sends pictures
            later = f"later{next(_COUNTER)}"
            self._view.publish(later, picture(), info(1))
            is_there = False
            while not is_there:
                message = self.hear()
                assert isinstance(message, dict), "a picture came"
                is_there = later in message["streams"]


def info(seq):
    return picture_info(frame(seq=seq, truth="static"), prediction(), fps=30.0, latency_ms=12.5)


def publish_until(view, browser, stream_id="door"):
    """Publishes until the browser has a picture, as a sink does."""
    for seq in range(1000):
        view.publish(stream_id, picture(), info(seq))
        try:
            message = browser.hear(timeout=0.01)
        except TimeoutError:
            continue
        if not isinstance(message, dict):
            return message
    raise AssertionError("no picture came")
