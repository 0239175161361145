"""Opens the sender of an outlet from its settings."""

from pipeline.base.outlet import Outlet
from pipeline.base.packages import EXTRAS, MissingPackageError, need_extra
from pipeline.base.watched import Watch
from pipeline.events.mqtt import Mqtt
from pipeline.events.push import Push
from pipeline.events.secret import read_secret
from pipeline.events.sender import OutletError, Sender
from pipeline.events.webhook import Webhook


def open_sender(name: str, outlet: Outlet, watch: Watch) -> Sender:
    """Creates a sender without connecting or sending anything.

    Args:
        name: Name of the outlet.
        outlet: Its settings.
        watch: Zones, lines and rules.

    Raises:
        OutletError: The URL or secret is missing or invalid, or a zone or line does not exist.
        MissingPackageError: A package is not installed.
    """
    try:
        if outlet.kind in EXTRAS:
            need_extra(outlet.kind)
        places = watch.zones.keys() | watch.lines.keys()
        if unknown := next((zone for zone in outlet.zones if zone not in places), None):
            known = ", ".join(sorted(places)) or "none"
            raise OutletError(f"zones: there is no zone or line {unknown!r}; available: {known}")
        secret = read_secret(outlet)
        match outlet.kind:
            case "webhook":
                return Webhook(outlet, secret)
            case "mqtt":
                return Mqtt(outlet, secret, watch)
            case "push":
                return Push(outlet, secret)
    except (OutletError, MissingPackageError) as error:
        raise type(error)(f"outlets.{name}: {error}") from None
