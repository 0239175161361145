"""HTTP operations that connect and disconnect a worker's links while it runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from pipeline.base.config import Endpoint as Text
from pipeline.base.config import EndpointsConfig
from pipeline.base.errors import UserError
from pipeline.base.role_names import Role
from pipeline.view.web.verbs import Asked, Done, Verb, VerbError
from pipeline.wire import address
from pipeline.wire.receivers import Receiver
from workers.roles import SYSTEM, Endpoint, bound_by

Receivers = Mapping[Endpoint, Receiver[Any]]


class _Links(msgspec.Struct, forbid_unknown_fields=True):
    frames: list[Text] | msgspec.UnsetType = msgspec.UNSET
    predictions: list[Text] | msgspec.UnsetType = msgspec.UNSET


class LinkVerbs:
    """``/links`` of one worker: the endpoints to which it connects.

    Args:
        role: The worker's role.
        endpoints: Returns its current endpoints.
        receivers: Returns its receivers by key of ``[endpoints]``; only those created so far.
        changed: Receives the new endpoints.
    """

    def __init__(
        self,
        role: Role,
        endpoints: Callable[[], EndpointsConfig],
        receivers: Callable[[], Receivers],
        changed: Callable[[EndpointsConfig], None],
    ) -> None:
        self._keys: Sequence[Endpoint] = SYSTEM[role].connects
        self._role, self._endpoints = role, endpoints
        self._receivers, self._changed = receivers, changed
        verbs = [Verb("GET", "/links", self._get), Verb("PUT", "/links", self._put)]
        self.all = verbs if self._keys else []

    def _get(self, asked: Asked) -> Done:
        return Done({key: list(getattr(self._endpoints(), key)) for key in self._keys})

    def _put(self, asked: Asked) -> Done:
        given = msgspec.structs.asdict(asked.read(_Links))
        wanted = {key: texts for key, texts in given.items() if texts is not msgspec.UNSET}
        for key in sorted(wanted.keys() - set(self._keys)):
            raise VerbError(400, f"{key}: {self._role} connects only to {' and '.join(self._keys)}")
        receivers = self._receivers()
        new = [
            (receivers.get(key), [(bound_by(key), text) for text in wanted[key]])
            for key in self._keys
            if key in wanted
        ]
        try:
            for receiver, sources in new:
                for _, text in sources:
                    address.check_connect(address.parse(text))
                if receiver:
                    receiver.check_sources(sources)
        except UserError as error:
            raise VerbError(400, str(error)) from None
        for receiver, sources in new:
            if receiver:
                receiver.replace_sources(sources)
        self._changed(msgspec.structs.replace(self._endpoints(), **wanted))
        return self._get(asked)
