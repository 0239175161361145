"""Requests to a running sink: any thread submits one, the sink's own thread carries it out."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from pipeline.base.errors import UserError

PATIENCE_S = 10.0
"""For so long somebody waits for the sink's thread."""


class Request:
    """One change.

    Attributes:
        unheard: What to say if the sink's thread has not begun it in time.
        unended: What to say if it was begun, but is not over in time; empty: that is waited for.
        lasts_s: It may then still be made for so long.
        is_begun: It can't be withdrawn any more.
        until_s: Monotonic time until which it counts; infinite while somebody waits for it.
        over: It was made or refused.
        refusal: Why it was not made, in words; empty if it was.
        answer: What there is to know of it.
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
        """Whether somebody waits for it."""
        return math.isinf(self.until_s)


R = TypeVar("R", bound=Request)


class Asking:
    """Hands one request at a time to the sink's thread."""

    def __init__(self) -> None:
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._request: Request | None = None
        self._refusal = ""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Has everybody else wait who asks for a change.

        Raises:
            UserError: A change that nobody waits for any more may still be made.
        """
        with self._turn:
            if request := self.pending(Request):
                left_s = max(request.until_s - time.monotonic(), 1.0)
                raise UserError(f"{request.unended}: try again in {left_s:.0f} s")
            yield

    def ask(self, request: Request) -> list[str]:
        """Waits until a change is made; for who has the turn.

        Returns:
            What there is to know of it.

        Raises:
            UserError: It was not made, and why.
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
        """What is asked for, if it is of this kind and still counts."""
        with self._lock:
            if self._request and self._request.until_s <= time.monotonic():
                self._request = None
            return self._request if isinstance(self._request, kind) else None

    def begin(self, request: Request) -> bool:
        """Takes a request in hand, for the sink's thread; False if it counts no longer."""
        with self._lock:
            if self._request is not request:
                return False
            request.is_begun = True
            if not request.is_awaited:
                request.until_s = time.monotonic() + request.lasts_s
            return True

    def end(self, request: Request, refusal: str = "") -> None:
        """Answers a request: it was made, or refused."""
        with self._lock:
            if self._request is request:
                self._request = None
            request.refusal = refusal
            request.over.set()

    def refuse(self, why: str) -> None:
        """Refuses what is asked for, and all that will be; for the sink's thread.

        Args:
            why: In words.
        """
        with self._lock:
            self._refusal = why
        if request := self.pending(Request):
            self.end(request, why)
