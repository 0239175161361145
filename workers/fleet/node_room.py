"""The free resources of a cluster's nodes, and what an agent that no node can run is waiting for."""

from collections.abc import Collection

import msgspec

from workers.fleet.fleet_file import AgentsConfig

_MOST_NODES = 8


class NodeRoom(msgspec.Struct, frozen=True):
    """A node of the cluster.

    Attributes:
        host: Its address.
        labels: Its labels.
        cpus: CPUs that are not reserved.
        gpus: GPUs that are not reserved.
    """

    host: str
    labels: dict[str, str]
    cpus: float
    gpus: float


def waits_for(where: AgentsConfig, nodes: Collection[NodeRoom]) -> str:
    """What an agent without a node is waiting for, in one line; empty if a node has room for it.

    Args:
        where: The resources and labels that it needs.
        nodes: All nodes that are up.
    """
    fitting = [node for node in nodes if all(_fits(node, *label) for label in where.labels.items())]
    if any(node.cpus >= where.cpus and node.gpus >= where.gpus for node in fitting):
        return ""
    both = where.cpus > 0 and where.gpus > 0
    needs = [_amount(where.cpus, "CPU")] if where.cpus else []
    needs += [_amount(where.gpus, "GPU")] if where.gpus else []
    labels = ", ".join(f"{key}={value}" for key, value in where.labels.items())
    what = " and ".join(needs) or "a node"
    if not fitting:
        return f"waits for {what}: " + (f"no node is labelled {labels}" if labels else "no node is up")
    most_first = sorted(fitting, key=lambda node: (-node.gpus, -node.cpus) if where.gpus else (-node.cpus,))
    free = [
        f"{_amount(node.cpus, 'CPU')} and {_amount(node.gpus, 'GPU')} on {node.host}"
        if both
        else f"{node.gpus if where.gpus else node.cpus:g} on {node.host}"
        for node in most_first[:_MOST_NODES]
    ]
    rest = [f"{len(fitting) - _MOST_NODES} more nodes have less"] if len(fitting) > _MOST_NODES else []
    place = f" on a node labelled {labels}" if labels else ""
    return f"waits for {what}{place}; free: {', '.join(free + rest)}"


def _fits(node: NodeRoom, key: str, selector: str) -> bool:
    """Whether a label of a node matches one of Ray's selectors: ``a``, ``!a``, ``in(a,b)``, ``!in(a,b)``."""
    text = selector.removeprefix("!")
    options = text[3:-1].split(",") if text.startswith("in(") else [text]
    return (node.labels.get(key) in [option.strip() for option in options]) != selector.startswith("!")


def _amount(count: float, unit: str) -> str:
    return f"{count:g} {unit}{'' if count == 1 else 's'}"
