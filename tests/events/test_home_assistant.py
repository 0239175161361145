import json
from typing import Any

import pytest

from pipeline.base.config import load_config
from pipeline.base.picture_state import FAULTS
from pipeline.events.home_assistant import HomeAssistant, safe
from tests.events.messages import WATCH, event, outlet

URL = "mqtt://localhost"


def known(**keys: Any) -> HomeAssistant:
    return HomeAssistant(outlet("mqtt", URL, **keys), WATCH)


def configs(changes: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {topic: json.loads(text) for topic, text in changes.items() if topic.endswith("/config")}


def states(changes: dict[str, str]) -> dict[str, str]:
    return {topic: text for topic, text in changes.items() if not topic.endswith("/config")}


def test_each_zone_of_a_stream_is_motion_speed_and_direction_of_one_device() -> None:
    home = known()
    home.add_stream("Front door")
    name = safe("Front door")
    found = configs(home.pop_changes())
    assert list(found) == [
        f"homeassistant/binary_sensor/kvq_{name}_drive_motion/config",
        f"homeassistant/sensor/kvq_{name}_drive_speed/config",
        f"homeassistant/sensor/kvq_{name}_drive_direction/config",
    ]
    for config in found.values():
        assert config["device"]["identifiers"] == [f"kvq_{name}"]
        assert config["device"]["name"] == "Front door"
        assert config["availability_topic"] == home.availability == "kvq/status"
        assert config["state_topic"].startswith(f"kvq/{name}/drive/")
    assert len({config["unique_id"] for config in found.values()}) == 3


def test_motion_is_on_while_any_moving_event_of_the_zone_lasts() -> None:
    home, topic = known(), "kvq/door/drive/motion"
    home.add_stream("door")
    seen = [states(home.pop_changes())[topic]]
    for one in (
        event(1, rule="fast"),
        event(2, rule="slow"),
        event(3, phase="end", start=event(1).id),
        event(4, kind="entered", phase="once"),
        event(5, phase="end", start=event(2).id),
    ):
        home.note(one)
        seen.append(home.pop_changes(everything=True)[topic])
    assert seen == ["OFF", "ON", "ON", "ON", "ON", "OFF"]


def test_speed_and_direction_are_of_the_last_event_that_knows_them() -> None:
    home = known()
    home.note(event(1, speed=0.12345, direction_deg=178.0))
    home.note(event(2, phase="end", start=event(1).id))
    changes = home.pop_changes()
    assert (changes["kvq/door/drive/speed"], changes["kvq/door/drive/direction"]) == ("0.123", "left")
    options = configs(changes)["homeassistant/sensor/kvq_door_drive_direction/config"]["options"]
    assert "left" in options


def test_health_is_a_sensor_once_something_is_wrong() -> None:
    home, topic = known(), "kvq/door/health"
    home.add_stream("door")
    assert topic not in home.pop_changes()
    seen = []
    for one in (
        event(1, kind="covered", zone=None),
        event(2, kind="blurred", zone=None),
        event(3, kind="covered", zone=None, phase="end", start=event(1).id),
        event(4, kind="blurred", zone=None, phase="end", start=event(2).id),
    ):
        home.note(one)
        seen.append(home.pop_changes(everything=True)[topic])
    assert seen == ["covered", "covered, blurred", "blurred", "ok"]
    assert "homeassistant/sensor/kvq_door_health/config" in home.pop_changes(everything=True)


def test_only_what_is_new_is_published_unless_everything_is_asked_for() -> None:
    home = known()
    home.add_stream("door")
    everything = home.pop_changes()
    assert home.pop_changes() == {}
    home.add_stream("door")
    assert home.pop_changes() == {}
    assert home.pop_changes(everything=True) == everything


def test_filters_leave_out_sensors_that_would_never_change() -> None:
    for keys, left in (
        ({"streams": ["yard"]}, 0),
        ({"zones": ["gate"]}, 0),
        ({"kinds": ["entered"]}, 2),
        ({"kinds": ["moving"], "phases": ["start"]}, 3),
        ({"discovery": ""}, 0),
    ):
        home = known(**keys)
        home.add_stream("door")
        assert len(configs(home.pop_changes())) == left, keys


def test_a_zone_that_no_rule_watches_for_motion_has_no_motion_sensor() -> None:
    settings = ["zones.drive.points=[[0,0],[1,0],[1,1]]", "rules.in.kind=entered", "rules.in.zone=drive"]
    home = HomeAssistant(outlet("mqtt", URL), load_config(None, settings).watched())
    home.add_stream("door")
    assert not [topic for topic in home.pop_changes() if "motion" in topic]


@pytest.mark.parametrize("name", ["Tür", "front door", "a+b", "a#b", "$SYS", "カメラ", "a.b"])
def test_names_are_safe_in_topics_and_stay_apart(name: str) -> None:
    assert safe("front-door_2") == "front-door_2"
    assert safe(name).replace("_", "").replace("-", "").isascii()
    assert not set(safe(name)) & set("+#/ $.")
    assert safe(name) != safe(name.replace(name[0], "é"))
    assert safe("Tür") != safe("Tor") != safe("Tär") != safe("Tür")


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_of_a_picture_is_shown(kind: str) -> None:
    home = known()
    home.note(event(kind=kind, zone=None))
    assert home.pop_changes()["kvq/door/health"] == kind
