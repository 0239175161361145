"""MQTT against a real broker that is stopped, killed and started again."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pipeline.base.config import load_config
from pipeline.events.mqtt import Mqtt
from pipeline.events.sender import OutletError, Refused, Undelivered
from tests.events.messages import WATCH, event, message, outlet
from tests.rigs.broker import Broker, Listener, need_broker
from tests.rigs.certificate import self_signed
from tests.rigs.web_server import silent_server
from tests.support import free_port, need_command

MOTION, EVENTS, STATUS = "kvq/door/drive/motion", "kvq/door/events", "kvq/status"


@pytest.fixture
def broker(place: Path) -> Iterator[Broker]:
    with Broker(place) as broker:
        yield broker


def sender(port: int, login: str = "", secret: str = "", **keys: object) -> Mqtt:
    return Mqtt(outlet("mqtt", f"mqtt://{login}127.0.0.1:{port}", **keys), secret, WATCH)


def test_events_are_json_and_states_are_retained_until_the_end(broker: Broker) -> None:
    mqtt = sender(broker.port)
    mqtt.add_stream("door")
    mqtt.keep_up()
    with Listener(broker.port) as late:  # hears what is retained
        assert late.wait_for(STATUS, 1) == ["online"]
        assert late.wait_for(MOTION, 1) == ["OFF"]
        config = json.loads(late.wait_for("homeassistant/binary_sensor/kvq_door_drive_motion/config", 1)[0])
        assert (config["state_topic"], config["availability_topic"]) == (MOTION, STATUS)
        mqtt.note(event(1))
        mqtt.send(message(event(1)))
        assert [json.loads(text) for text in late.wait_for(EVENTS, 1)] == [
            json.loads(msgspec.json.encode(event(1)))
        ]
        late.wait_for_last(MOTION, "ON")
        mqtt.close()
        late.wait_for_last(STATUS, "offline")


def test_the_broker_says_offline_for_a_process_that_was_killed(broker: Broker) -> None:
    code = (
        "import sys, time\n"
        "from tests.events.test_mqtt import sender\n"
        f"sender({broker.port}).keep_up()\n"
        "print('up', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    with Listener(broker.port) as listener:
        with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            listener.wait_for_last(STATUS, "online")
            process.send_signal(signal.SIGKILL)
        listener.wait_for_last(STATUS, "offline")


def test_a_broker_that_was_killed_gets_everything_again(broker: Broker) -> None:
    mqtt = sender(broker.port)
    mqtt.add_stream("door")
    mqtt.keep_up()
    with Listener(broker.port) as listener:
        listener.wait_for(MOTION, 1)
    broker.stop(signal.SIGKILL)
    broker.forget()
    mqtt.note(event(1))
    with pytest.raises(Undelivered):
        mqtt.send(message(event(1)))
    broker.start()
    mqtt.send(message(event(1)))
    with Listener(broker.port) as listener:
        assert listener.wait_for(MOTION, 1) == ["ON"]
        assert listener.wait_for(STATUS, 1) == ["online"]
        listener.wait_for("homeassistant/sensor/kvq_door_drive_speed/config", 1)
    mqtt.close()


def test_nobody_there_and_nobody_who_answers() -> None:
    need_broker()
    with pytest.raises(Undelivered, match="connection refused"):
        sender(free_port()).keep_up()
    with silent_server() as port:
        silent = sender(port, timeout_s=0.2)
        with pytest.raises(Undelivered, match=r"no answer in 0\.2 s"):
            silent.send(message())
        silent.close()


def test_a_password_comes_from_the_address_or_the_secret_and_is_not_shown(place: Path) -> None:
    users = place / "users"
    users.touch(mode=0o600)
    make = need_command("mosquitto_passwd", "mosquitto")
    subprocess.run([make, "-b", users, "me", "ge@heim"], check=True, capture_output=True)
    with Broker(place, "allow_anonymous false", f"password_file {users}") as broker:
        for mqtt in (sender(broker.port, "me:ge%40heim@"), sender(broker.port, "me@", "ge@heim")):
            mqtt.keep_up()
            assert mqtt.where == f"mqtt://127.0.0.1:{broker.port}"
            mqtt.close()
        with pytest.raises(Undelivered, match="the broker refused the connection: not authorized"):
            sender(broker.port, "me:wrong@").keep_up()


# paho leaves the socket of a handshake that fails to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_certificate_that_nobody_vouches_for_is_not_accepted(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(place)
    access = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}")
    with Broker(place, *access) as broker:
        mqtt = Mqtt(outlet("mqtt", f"mqtts://localhost:{broker.port}"), "", WATCH)
        with pytest.raises(Undelivered, match="its certificate is not trusted: self-signed certificate"):
            mqtt.send(message())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # an authority of one's own
        mqtt.send(message())
        mqtt.close()


def test_what_is_no_event_is_refused_and_what_is_no_address_is_an_error(broker: Broker) -> None:
    mqtt = sender(broker.port)
    with pytest.raises(Refused, match="not an event that this version supports"):
        mqtt.send(message()._replace(body=b'{"kind": "dance"}'))
    with pytest.raises(OutletError, match="is not a URL"):
        Mqtt(outlet("mqtt", "mqtt://:1883"), "", load_config().watched())
