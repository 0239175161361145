from pathlib import Path

import pytest

from pipeline.base.outlet import Outlet
from pipeline.base.watched import Line, Watch, Zone
from pipeline.events.mqtt import Mqtt
from pipeline.events.open_sender import open_sender
from pipeline.events.push import Push
from pipeline.events.sender import OutletError
from pipeline.events.webhook import Webhook

WATCH = Watch(
    zones={"drive": Zone(points=[(0, 0), (1, 0), (1, 1)])}, lines={"gate": Line(points=[(0, 0), (1, 1)])}
)


@pytest.mark.parametrize(
    ("outlet", "kind", "where"),
    [
        (Outlet(kind="webhook", url="http://127.0.0.1:9/secret"), Webhook, "http://127.0.0.1:9"),
        (Outlet(kind="mqtt", url="mqtt://u:secret@127.0.0.1:9"), Mqtt, "mqtt://127.0.0.1:9"),
        (Outlet(kind="push", url="json://127.0.0.1:9/secret"), Push, "push by JSON"),
    ],
)
def test_each_kind_has_its_sender_and_nobody_is_connected_to_yet(
    outlet: Outlet, kind: type[object], where: str
) -> None:
    sender = open_sender("phone", outlet, WATCH)
    assert isinstance(sender, kind)
    assert where in sender.where
    assert "secret" not in sender.where
    sender.close()


def test_a_place_that_is_not_there_is_named_with_those_that_are() -> None:
    url = "http://127.0.0.1:9/"
    open_sender("phone", Outlet(kind="webhook", url=url, zones=["drive", "gate"]), WATCH).close()
    with pytest.raises(
        OutletError, match=r"outlets\.phone: zones: there is no zone or line 'yard'; available: drive, gate"
    ):
        open_sender("phone", Outlet(kind="webhook", url=url, zones=["yard"]), WATCH)
    with pytest.raises(OutletError, match="available: none"):
        open_sender("phone", Outlet(kind="webhook", url=url, zones=["yard"]), Watch())


def test_a_secret_that_is_not_there_is_said_with_the_name_of_the_outlet(place: Path) -> None:
    outlet = Outlet(kind="webhook", url="http://127.0.0.1:9/", secret_file=str(place / "none"))
    with pytest.raises(OutletError, match=r"outlets\.phone: secret_file"):
        open_sender("phone", outlet, WATCH)
