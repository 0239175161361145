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
        host: Its address, at which workers of other nodes connect.
    """

    node: str
    host: str


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """One worker, as its agent knows it now.

    Attributes:
        worker: Its name.
        role: Its role.
        place: Where it is.
        state: ``ready``: it works; ``down``: it is dead and is started again, or does not answer.
        session: Of its process; 0 before it was ready for the first time.
        pid: Of its process; None if that is dead.
        restarts: How often it was started again.
        endpoints: Where it publishes, by key of ``[endpoints]``.
        streams: What it owns or reads, with the generation (0 for capture), as it said last.
        streams_age_s: How long ago that was asked for.
        entries: What capture was given to read; the agent keeps it when its worker dies. None: it was never
            told anything.
        load: As it said last; None of others than inference.
        page: Address of its web page, on its machine; "" without one.
        lines: What it has printed and the agent has to say since the last beat.
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
