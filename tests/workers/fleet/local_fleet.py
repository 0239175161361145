"""A fleet on this machine without Ray: real agents and workers, and a coordinator that can die."""

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from pipeline.account.ledger import build_report
from pipeline.base.config import Config, load_config
from pipeline.base.role_names import Role
from tests.support import until
from tests.workers.films import camera_film
from tests.workers.pipeline import quick_model
from workers.collector import Collector
from workers.fleet.agent import Agent
from workers.fleet.beat import Beat, Place
from workers.fleet.coordinator import Coordinator
from workers.fleet.fleet_file import AgentsConfig, Fleet, FleetStream, with_endpoints_of
from workers.fleet.worker_client import Answer, Question

WAIT_S = 100.0


class LocalAgents:
    """Agents of this process; those that are ``cut_off`` go on, but nobody can reach them.

    Those named in ``no_room`` do not start.

    Args:
        config: Of their workers.
    """

    def __init__(self, config: Config) -> None:
        self._config = msgspec.json.encode(config)
        self.running: dict[str, Agent] = {}
        self.cut_off: set[str] = set()
        self.no_room: set[str] = set()
        self._kept: bytes | None = None

    def start(self, role: Role, name: str, where: AgentsConfig) -> None:
        if name not in self.running and name not in self.no_room:
            place = Place(f"node-of-{name}", "127.0.0.1")
            self.running[name] = Agent(role, name, self._config, place, threads=1)

    def stop(self, name: str) -> None:
        self.running.pop(name).stop()

    def names(self) -> list[str]:
        return sorted(self.running)

    def beats(self) -> list[Beat]:
        return [agent.beat() for name, agent in list(self.running.items()) if name not in self.cut_off]

    def trouble(self, name: str) -> str:
        return "waits for 1 CPU" if name in self.no_room else ""

    def keep(self, text: bytes) -> None:
        self._kept = text

    def kept(self) -> bytes | None:
        return self._kept

    def ask(self, name: str, question: Question, is_gone: Callable[[], bool]) -> Answer:
        while name in self.cut_off and not is_gone():
            time.sleep(0.005)
        if name in self.cut_off or name not in self.running:
            return Answer(0, b"it does not answer")
        return self.running[name].ask(question)


class _OfOneCoordinator:
    """The agents as one coordinator has them, until it dies: then it reaches nobody."""

    def __init__(self, agents: LocalAgents) -> None:
        self._agents, self.is_dead = agents, False

    def start(self, role: Role, name: str, where: AgentsConfig) -> None:
        if not self.is_dead:
            self._agents.start(role, name, where)

    def stop(self, name: str) -> None:
        if not self.is_dead:
            self._agents.stop(name)

    def names(self) -> list[str]:
        return self._agents.names()

    def beats(self) -> list[Beat]:
        return [] if self.is_dead else self._agents.beats()

    def trouble(self, name: str) -> str:
        return self._agents.trouble(name)

    def keep(self, text: bytes) -> None:
        if self.is_dead:
            raise OSError("it is dead")
        self._agents.keep(text)

    def kept(self) -> bytes | None:
        return self._agents.kept()

    def ask(self, name: str, question: Question, is_gone: Callable[[], bool]) -> Answer:
        if self.is_dead:
            return Answer(0, b"it is dead")
        return self._agents.ask(name, question, is_gone)


class LocalFleet:
    """A fleet that runs; see ``local_fleet``.

    Attributes:
        agents: Of it.
        coordinator: The one that there is now.
        collector: Hears the workers that were there when it was made.
    """

    def __init__(self, place: Path, fleet: Fleet, no_room: Collection[str] = ()) -> None:
        self.predictions = place / "predictions.jsonl"
        model = [text for text in quick_model() if text != "--set"]
        quiet = ("sink.web=false", "sink.record=false", "run.output_dir=", "wire.stats_interval_s=0.2")
        config = load_config(None, [f"sink.predictions={self.predictions}", *quiet, *model])
        self.film = camera_film(place / "film.mp4", frames=4000, width=160, height=120, fps=5)
        self.agents, self._fleet, self._config = LocalAgents(config), fleet, config
        self.agents.no_room.update(no_room)
        self.start_coordinator()
        names = ("sink", "capture", *(f"inference-{n + 1}" for n in range(fleet.inference.scaling.least)))
        try:
            self.wait(
                "all are ready", lambda told: all(is_ready(told, name) for name in {*names} - {*no_room})
            )
        except BaseException:
            self.coordinator.close()
            raise
        self.collector = Collector(with_endpoints_of(config, self.status()["endpoints"]))

    def listen(self) -> None:
        """Hears the workers that there are now, too."""
        self.collector.close()
        self.collector = Collector(with_endpoints_of(self._config, self.status()["endpoints"]))

    def predicted(self, worker: str, stream: str) -> int:
        """How many frames of a stream a worker has predicted."""
        self.collector.poll(0.02)
        stats = self.collector.newest(worker)
        return stats.streams[stream].predicted if stats else 0

    def start_coordinator(self) -> None:
        self._its_agents = _OfOneCoordinator(self.agents)
        self.coordinator = Coordinator(self._fleet, self._its_agents)

    def kill_coordinator(self) -> None:
        """It does nothing more, and nothing in order."""
        self._its_agents.is_dead = True
        self.coordinator.close()

    def status(self) -> dict[str, Any]:
        status = self.coordinator.status()
        json.dumps(status)
        return status

    def wait(self, what: str, is_so: Callable[[dict[str, Any]], Any]) -> Any:
        """Waits until something is so of the status."""
        return until(lambda: is_so(self.status()), what, WAIT_S, lambda: json.dumps(self.status(), indent=1))

    def owners(self, *streams: str) -> dict[str, tuple[str, int]]:
        """Worker and generation of each stream that is placed and does not move."""
        told = self.status()["streams"]
        return {
            name: (told[name]["worker"], told[name]["generation"])
            for name in streams
            if name in told and told[name]["worker"] and not told[name]["moving_to"]
        }

    def wait_until_placed(self, *streams: str) -> dict[str, tuple[str, int]]:
        return until(  # type: ignore[return-value]
            lambda: len(found := self.owners(*streams)) == len(streams) and found,
            "all are placed",
            WAIT_S,
            lambda: json.dumps(self.status(), indent=1),
        )

    def answers(self, *streams: str) -> list[dict[str, Any]]:
        """Predictions until now, in the order in which the sink took them."""
        *lines, _ = self.predictions.read_bytes().split(b"\n") if self.predictions.exists() else [b""]
        return [one for line in lines if (one := json.loads(line))["stream_id"] in streams]

    def wait_for_answers(self, more: int, *streams: str) -> None:
        """Waits for so many more predictions of each stream."""
        before = len(self.answers(*streams))

        def all_have_more() -> bool:
            counts: dict[str, int] = defaultdict(int)
            for one in self.answers(*streams)[before:]:
                counts[one["stream_id"]] += 1
            self.collector.poll(0.02)
            return all(counts[stream] >= more for stream in streams)

        until(all_have_more, "more predictions", WAIT_S, lambda: json.dumps(self.status(), indent=1))

    @contextmanager
    def cameras(self, *streams: str, policy: str = "newest") -> Iterator[None]:
        """Has some cameras, and then no longer."""
        for stream in streams:
            self.coordinator.add(self.camera(stream, policy))
        self.wait_until_placed(*streams)
        self.wait_for_answers(3, *streams)
        yield
        self.remove(*streams)

    def camera(self, stream_id: str, policy: str = "newest") -> FleetStream:
        entry = {"id": stream_id, "source": str(self.film), "pace": True, "policy": policy}
        return msgspec.convert(entry, FleetStream)

    def remove(self, *streams: str) -> None:
        """Removes cameras, and waits until nobody has to do with them."""
        for stream in streams:
            self.coordinator.remove(stream)
        gone = [agent for name, agent in self.agents.running.items() if name != "sink"]
        until(
            lambda: not any(set(streams) & set(agent.beat().streams) for agent in gone),
            "nobody has them any more",
            WAIT_S,
            lambda: json.dumps(self.status(), indent=1),
        )

    def ledger(self, stream: str) -> dict[str, Any]:
        """Of a stream that was removed: its counts when all of its frames have a fate."""

        def counted() -> dict[str, Any] | None:
            self.collector.poll(0.02)
            told: dict[str, Any] = build_report(self.collector.sessions, {}, running=False)
            stats: dict[str, Any] = told["streams"][stream]
            return stats if stats["unaccounted"] == 0 and stats["captured"] else None

        return until(counted, f"{stream} adds up", WAIT_S, lambda: str(self.collector.report()))  # type: ignore[return-value]

    def close(self) -> None:
        with contextlib.closing(self.collector):
            self.coordinator.close()
        assert self.agents.running == {}


def is_ready(status: dict[str, Any], name: str) -> bool:
    """Whether a worker is there and works."""
    return bool(status["workers"].get(name, {}).get("state") == "ready")
