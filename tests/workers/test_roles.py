"""The table of the system against the configuration and the classes."""

import msgspec
import pytest

from pipeline.base.config import EndpointsConfig, ServersConfig
from pipeline.base.role_names import LISTENERS, ROLES, Role
from workers.base import Worker
from workers.roles import SYSTEM, load_class


def test_every_role_has_a_row_and_every_key_a_role() -> None:
    assert set(SYSTEM) == set(ROLES)
    assert {field.name for field in msgspec.structs.fields(ServersConfig)} == set(ROLES)
    assert {role for role, info in SYSTEM.items() if info.connects} == set(LISTENERS)


def test_every_endpoint_of_the_configuration_is_bound_by_one_role() -> None:
    bound = [name for info in SYSTEM.values() for name in (info.stats, info.binds) if name]
    assert sorted(bound) == sorted(field.name for field in msgspec.structs.fields(EndpointsConfig))


def test_receivers_start_before_their_senders_and_stop_after_them() -> None:
    started: list[Role] = []
    for role, info in SYSTEM.items():
        for sender in started:
            assert SYSTEM[sender].binds not in info.connects, f"{role} would miss what {sender} sends"
        started.append(role)
    senders = {info.binds: info for info in SYSTEM.values() if info.binds}
    for info in SYSTEM.values():
        assert all(senders[name].stop_turn <= info.stop_turn for name in info.connects)


@pytest.mark.parametrize("role", ROLES)
def test_the_class_of_a_role_is_a_worker_of_that_role(role: Role) -> None:
    made = load_class(role)
    assert issubclass(made, Worker)
    assert made.role == role
