"""The heartbeat that an agent sends to the coordinator."""

from typing import Literal, TypeAlias

import msgspec

from pipeline.base.config import StreamConfig
from pipeline.base.role_names import Role
from pipeline.flow.worker_load import WorkerLoad

WorkerState: TypeAlias = Literal["starting", "ready", "down"]


class Place(msgspec.Struct, frozen=True):
    """Where an agent runs.

    Attributes:
        node: Ray's id of the node.
        host: Its address, to which workers on other nodes connect.
    """

    node: str
    host: str


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one worker, as its agent last saw it.

    Attributes:
        worker: Its name.
        role: Its role.
        place: Where it runs.
        state: ``ready``: it works; ``down``: it died and will be restarted, or it does not answer.
        session: Session of its process; 0 until it has been ready once.
        pid: Process id; None if the process is dead.
        restarts: Number of restarts.
        endpoints: Where it publishes, by key of ``[endpoints]``.
        streams: Streams that it last reported to own or read, with their generation (0 for capture).
        streams_age_s: Age of ``streams`` in seconds.
        entries: Streams that a capture worker was given; the agent keeps them when its worker dies. None if
            it was never given any.
        load: Last reported load; None for roles other than inference.
        page: Address of its web page on its machine; "" if it has none.
        lines: Output of the worker and notes of the agent since the last beat.
    """

    worker: str
    role: Role
    place: Place
    state: WorkerState
    session: int
    pid: int | None
    restarts: int
    endpoints: dict[str, str]
    streams: dict[str, int]
    streams_age_s: float
    entries: list[StreamConfig] | None
    load: WorkerLoad | None
    lines: list[str]
    page: str = ""
