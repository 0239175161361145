"""Requests to a running sink: any thread submits one, the sink's own thread carries it out."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from pipeline.base.errors import UserError

PATIENCE_S = 10.0
"""How long a request waits for the sink's thread, in seconds."""


class Request:
    """A requested change.

    Attributes:
        unheard: Message if the sink's thread has not started it in time.
        unended: Message if it was started but not finished in time; if empty, the sender keeps waiting.
        lasts_s: How long it may still be carried out after its sender has stopped waiting.
        is_begun: Whether it was started and can't be withdrawn.
        until_s: Monotonic time at which it expires; infinite while its sender waits.
        over: Set once it has been carried out or refused.
        refusal: Why it was refused; empty if it was carried out.
        answer: Messages about the result.
    """

    unheard = "the sink does not answer"
    unended = ""
    lasts_s = 0.0

    def __init__(self) -> None:
        self.is_begun, self.until_s = False, math.inf
        self.over, self.refusal = threading.Event(), "the sink has failed"
        self.answer: list[str] = []

    @property
    def is_awaited(self) -> bool:
        """Whether its sender is waiting."""
        return math.isinf(self.until_s)


R = TypeVar("R", bound=Request)


class Asking:
    """Passes one request at a time to the sink's thread."""

    def __init__(self) -> None:
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._request: Request | None = None
        self._refusal = ""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Serialises requests: within the context, no other thread can submit one.

        Raises:
            UserError: An earlier request that timed out may still be carried out.
        """
        with self._turn:
            if request := self.pending(Request):
                left_s = max(request.until_s - time.monotonic(), 1.0)
                raise UserError(f"{request.unended}: try again in {left_s:.0f} s")
            yield

    def ask(self, request: Request) -> list[str]:
        """Submits a request and waits for the result; call it within ``turn``.

        Returns:
            Messages about the result.

        Raises:
            UserError: The request was not carried out; the message states why.
        """
        with self._lock:
            if self._refusal:
                raise UserError(self._refusal)
            self._request = request
        if not request.over.wait(PATIENCE_S):
            with self._lock:
                if not request.is_begun:
                    self._request = None
                    raise UserError(request.unheard)
                if request.unended and not request.over.is_set():
                    request.until_s = time.monotonic() + request.lasts_s
                    raise UserError(request.unended)
            request.over.wait()
        if request.refusal:
            raise UserError(request.refusal)
        return request.answer

    def pending(self, kind: type[R]) -> R | None:
        """The pending request, if it is of this kind and has not expired."""
        with self._lock:
            if self._request and self._request.until_s <= time.monotonic():
                self._request = None
            return self._request if isinstance(self._request, kind) else None

    def begin(self, request: Request) -> bool:
        """Starts a request, from the sink's thread; False if it has expired."""
        with self._lock:
            if self._request is not request:
                return False
            request.is_begun = True
            if not request.is_awaited:
                request.until_s = time.monotonic() + request.lasts_s
            return True

    def end(self, request: Request, refusal: str = "") -> None:
        """Finishes a request: carried out, or refused if ``refusal`` is not empty."""
        with self._lock:
            if self._request is request:
                self._request = None
            request.refusal = refusal
            request.over.set()

    def refuse(self, why: str) -> None:
        """Refuses the pending request and all later ones; call it from the sink's thread.

        Args:
            why: The reason for the refusal.
        """
        with self._lock:
            self._refusal = why
        if request := self.pending(Request):
            self.end(request, why)
