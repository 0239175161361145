"""HTTP operations of a worker: requested in any thread, carried out in the worker's own."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import msgspec

from pipeline.base.errors import UserError
from pipeline.base.ranges import FrameCount
from pipeline.base.schema import readable
from pipeline.base.text import StreamId

MOST_REQUEST_BYTES = 1 << 16
BEGIN_S = 10.0
"""Time limit for the worker to start a request; after that the request is dropped."""
END_S = 30.0
"""Longest time that a client waits from the start of a request to its answer."""

S = TypeVar("S", bound=msgspec.Struct)


class VerbError(UserError):
    """A request that was not carried out; the message is one line.

    Attributes:
        code: HTTP status, 400 to 599.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Attributes:
        path: Path parameters by name.
        query: Query parameters; the last one of a repeated name.
        body: The raw body.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def stream_id(self) -> str:
        """The stream in the path.

        Raises:
            VerbError: 400, it is not a valid stream name.
        """
        try:
            return msgspec.convert({"id": self.path["stream_id"]}, _Named).id
        except msgspec.ValidationError as error:
            raise VerbError(400, readable(error, _Named)) from None

    @property
    def generation(self) -> int:
        """The query parameter ``generation``.

        Raises:
            VerbError: 400, it is missing or invalid.
        """
        try:
            wanted = {name: text for name, text in self.query.items() if name == "generation"}
            return msgspec.convert(wanted, _Counted, strict=False).generation
        except msgspec.ValidationError as error:
            raise VerbError(400, f"?generation=: {error}") from None

    def read(self, schema: type[S]) -> S:
        """Parses the body, a JSON object.

        Raises:
            VerbError: 400 with the error and its location.
        """
        try:
            values = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError):
            raise VerbError(400, "the body is not JSON") from None
        if not isinstance(values, dict):
            raise VerbError(400, "the body must be a JSON object")
        try:
            return msgspec.convert(values, schema)
        except msgspec.ValidationError as error:
            raise VerbError(400, readable(error, schema, values)) from None


@dataclass(frozen=True, slots=True)
class Done:
    """An answer.

    Attributes:
        body: Bytes are sent unchanged, None as an empty response (204), anything else as JSON.
        code: HTTP status.
    """

    body: Any = None
    code: int = 200


Do: TypeAlias = Callable[[Asked], Done]


@dataclass(frozen=True, slots=True)
class Verb:
    """One operation of a worker.

    Attributes:
        method: ``GET``, ``POST``, ``PUT`` or ``DELETE``.
        path: Such as ``/streams/{stream_id}``.
        do: Carries it out, in the worker's own thread; raises ``VerbError`` if it cannot.
        most_bytes: Largest body.
    """

    method: str
    path: str
    do: Do
    most_bytes: int = MOST_REQUEST_BYTES


class _Turn:
    """One request passed to the worker's thread."""

    def __init__(self, do: Do, asked: Asked) -> None:
        self.do, self.asked = do, asked
        self.begun, self.over = False, threading.Event()
        self.result: Done | VerbError = VerbError(500, "the worker has failed")


class VerbQueue:
    """Passes requests from any thread to the worker's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: deque[_Turn] = deque()
        self._refusal: VerbError | None = VerbError(503, "the worker is starting")

    def ask(self, do: Do, asked: Asked) -> Done:
        """Runs an operation and waits for its result; call it from any thread except the worker's.

        Raises:
            VerbError: It was not carried out; or 503, it took so long that the result is unknown.
        """
        turn = _Turn(do, asked)
        with self._lock:
            if self._refusal:
                raise self._refusal
            self._turns.append(turn)
        if not turn.over.wait(BEGIN_S):
            with self._lock:
                if not turn.begun:
                    self._turns.remove(turn)
                    raise VerbError(503, f"the worker was busy for {BEGIN_S:g} s: nothing was done")
            if not turn.over.wait(END_S):
                raise VerbError(503, f"the worker started the request, but did not finish within {END_S:g} s")
        if isinstance(turn.result, VerbError):
            raise turn.result
        return turn.result

    def accept(self) -> None:
        """Starts accepting requests; called by the worker's thread."""
        with self._lock:
            self._refusal = None

    def do_all(self) -> None:
        """Carries out all queued requests; called repeatedly by the worker's thread."""
        while self._turns:
            with self._lock:
                if not self._turns:
                    return
                turn = self._turns.popleft()
                turn.begun = True
            try:
                turn.result = turn.do(turn.asked)
            except VerbError as error:
                turn.result = error
            finally:
                turn.over.set()

    def refuse(self, why: str) -> None:
        """Rejects queued and future requests with 503; called by the worker's thread."""
        with self._lock:
            self._refusal = VerbError(503, why)
            turns = list(self._turns)
            self._turns.clear()
        for turn in turns:
            turn.result = self._refusal
            turn.over.set()


class _Named(msgspec.Struct):
    id: StreamId


class _Counted(msgspec.Struct):
    generation: FrameCount
