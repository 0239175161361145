from typing import Any

import pytest

from pipeline.base.config import load_config
from pipeline.base.errors import ConfigError
from pipeline.base.outlet import Outlet
from tests.events.messages import event


def outlet(**keys: Any) -> Outlet:
    return load_config(
        None, [], {"outlets": {"one": {"kind": "webhook", "url": "http://host/", **keys}}}
    ).outlets["one"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "pigeon"}, "one.kind: 'pigeon' is not allowed; expected one of: mqtt, push, webhook"),
        ({"secret_evn": "X"}, "unknown key 'outlets.one.secret_evn' (did you mean secret_env?)"),
        (
            {"url": "ftp://me:geheim@host"},
            "outlets.one: url: must begin with https:// or http:// for kind = webhook",
        ),
        ({"kind": "mqtt"}, "outlets.one: url: must begin with mqtt:// or mqtts:// for kind = mqtt"),
        ({"kind": "push", "url": ""}, "outlets.one: url: a push outlet needs url, secret_env or secret_file"),
        ({"topic": "mine"}, "outlets.one: topic does not apply to webhook: leave it out"),
        ({"discovery": ""}, "outlets.one: discovery does not apply to webhook: leave it out"),
        ({"kind": "mqtt", "url": "mqtt://h", "topic": ""}, "outlets.one: topic: must not be empty"),
        ({"kind": "mqtt", "url": "mqtt://h", "topic": "a/#"}, "outlets.one.topic: expected letters, digits"),
        (
            {"secret_env": "A", "secret_file": "b"},
            "outlets.one: secret_env and secret_file: give only one",
        ),
        ({"kinds": ["mooving"]}, "outlets.one.kinds[0]: 'mooving' is not allowed; expected one of: "),
        ({"give_up_after_h": 0}, "outlets.one.give_up_after_h: must be a number from 0.01 to 8760"),
        ({"most_waiting": 0}, "outlets.one.most_waiting: must be a whole number from 1 to 1000000"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_key_and_no_secret(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        outlet(**keys)
    assert message in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_outlet_without_filters_gets_every_event() -> None:
    assert outlet().wants(event(kind="label", phase="once", zone=None))


@pytest.mark.parametrize(
    ("keys", "wanted", "unwanted"),
    [
        ({"kinds": ["moving"]}, {"kind": "moving"}, {"kind": "entered"}),
        ({"streams": ["door"]}, {"stream_id": "door"}, {"stream_id": "yard"}),
        ({"streams": ["door"]}, {"stream_id": "a", "why": {"streams": ["a", "door"]}}, {"stream_id": "a"}),
        ({"kinds": ["worker_down", "latency"]}, {"kind": "worker_down"}, {"kind": "worker_up"}),
        ({"zones": ["drive"]}, {"zone": "drive"}, {"zone": "street"}),
        ({"zones": ["gate"]}, {"zone": None, "line": "gate"}, {"zone": None}),
        ({"phases": ["start", "once"]}, {"phase": "once"}, {"phase": "end"}),
    ],
)
def test_filters(keys: dict[str, Any], wanted: dict[str, Any], unwanted: dict[str, Any]) -> None:
    assert outlet(**keys).wants(event(**wanted))
    assert not outlet(**keys).wants(event(**unwanted))
