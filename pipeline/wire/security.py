"""CURVE security: key files, allowed peers, and when a link may be unencrypted.

A machine has one key pair for its connections, and accepts peers whose public key is in its folder of allowed
keys. Links between machines must be encrypted and authenticated, unless ``security.insecure`` is set.
"""

import shlex
import threading
import time
from collections import deque
from pathlib import Path

import zmq
from zmq.utils import z85

from pipeline.base.config import SecurityConfig
from pipeline.base.errors import SecurityError, WireError
from pipeline.base.program import PROGRAM
from pipeline.base.role_names import Role
from pipeline.wire.address import Address
from pipeline.wire.keys import ALLOWED, KeyPair, find_public, load_allowed, load_pair, load_public
from pipeline.wire.rejects import Rejects

_MOST_REFUSED = 64
_LATELY_S = 10.0
_LOOK_MS = 1000
_COMMANDS = f"create a key with `{PROGRAM} keys new NAME`, allow others with `{PROGRAM} keys allow FILE`"


class SecurityPolicy:
    """Applies ``[security]`` to sockets; create it once per process, before the sockets.

    Args:
        config: The section of the configuration.

    Raises:
        SecurityError: A key that the configuration names can't be loaded.
    """

    def __init__(self, config: SecurityConfig) -> None:
        self._config = config
        self._server_keys: dict[str, bytes] = {}
        self._own: KeyPair | None = load_pair(Path(config.secret_key)) if config.secret_key else None
        if self._own and config.allowed and not Path(config.allowed).is_dir():
            raise SecurityError(
                f"security.allowed: there is no folder {config.allowed}: "
                f"create it with `{_allow_command('FILE', Path(config.allowed))}`"
            )

    def secure_server(self, sock: "zmq.Socket[bytes]", address: Address) -> "Gate | None":
        """Prepares a socket that will be bound to ``address``.

        Returns:
            The gate that checks peers' keys, to be joined after the socket is closed; None without CURVE.

        Raises:
            SecurityError: The address can be reached from other machines, and this machine has no key or no
                folder of allowed keys.
        """
        self.check_server(address)
        if self._own is None or address.kind == "ipc":
            return None
        folder = Path(self._config.secret_key).parent
        gate = Gate(sock.context, Path(self._config.allowed), address.text, folder)
        sock.curve_publickey = self._own.public
        sock.curve_secretkey = self._own.secret
        sock.curve_server = True
        sock.zap_domain = b"kvq"
        return gate

    def check_server(self, address: Address) -> None:
        """Checks that a socket may be bound to ``address``: see ``secure_server`` for the errors."""
        if self._own is None or address.kind == "ipc":
            if address.local or self._config.insecure:
                return
            raise SecurityError(
                f"{address.text} can be reached from other machines but security.secret_key is not set: "
                f"{_COMMANDS}; or use --insecure to run without keys"
            )
        if not self._config.allowed:
            raise SecurityError(
                f"{address.text}: security.allowed is not set, so no machine could connect: {_COMMANDS}"
            )

    def secure_client(self, sock: "zmq.Socket[bytes]", address: Address, server: Role) -> None:
        """Prepares a socket that will be connected to ``address``, where a worker of role ``server`` listens.

        Raises:
            SecurityError: The address is on another machine and this machine has no key, or it has one but
                the server's public key is not configured or can't be loaded.
        """
        key = self.check_client(address, server)
        if self._own is None:
            return
        if key is None:
            sock.curve_server = False  # clears keys of an earlier connection of the socket
            return
        sock.curve_serverkey = key
        sock.curve_publickey = self._own.public
        sock.curve_secretkey = self._own.secret

    def check_client(self, address: Address, server: Role) -> bytes | None:
        """Checks that a socket may be connected to ``address``: see ``secure_client`` for the errors.

        Returns:
            The server's public key, encoded as Z85; None for a link without CURVE.
        """
        if self._own is None:
            if address.local or self._config.insecure:
                return None
            raise SecurityError(
                f"{address.text} is on another machine but security.secret_key is not set: {_COMMANDS}, and "
                f"set security.servers.{server} to that machine's public key; "
                "or use --insecure to run without keys"
            )
        if address.kind == "ipc":
            return None
        file: str = getattr(self._config.servers, server)
        if not file:
            raise SecurityError(
                f"{address.text}: security.secret_key is set but security.servers.{server} is not: "
                f"name the file with the public key (NAME.key) of the {server} machine"
            )
        if file not in self._server_keys:
            self._server_keys[file] = load_public(Path(file))
        return self._server_keys[file]

    def refusal(self, server: Role) -> str:
        """What to do about a worker of role ``server`` that refuses this machine's connection."""
        if self._own is None:
            return f"refuses the connection: it requires keys but security.secret_key is not set: {_COMMANDS}"
        file = self._config.secret_key.removesuffix("_secret")
        return (
            f"refuses the connection: run `keys allow {shlex.quote(file)}` on its machine, and check that "
            f"{getattr(self._config.servers, server)} (security.servers.{server}) is its public key"
        )


class Gate:
    """Handles libzmq's authentication requests (ZAP, RFC 27) with the folder of allowed keys.

    The folder is read for each new connection, so that new keys work immediately, and every second, so that
    connections of removed keys can be closed. Create the gate before the socket is bound: without one, libzmq
    accepts every key.

    Args:
        context: Context of the guarded socket.
        allowed: Folder with public keys.
        endpoint: The guarded endpoint, human-readable.
        known: Folder with public keys of other machines, to name rejected ones.
    """

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", allowed: Path, endpoint: str, known: Path
    ) -> None:
        self._allowed, self._endpoint, self._known = allowed, endpoint, known
        self._refused: deque[tuple[str, bytes]] = deque(maxlen=_MOST_REFUSED)
        self._rejects = Rejects()
        self._lately: dict[bytes, tuple[str, float]] = {}
        self._keys = load_allowed(allowed)
        self._socket = context.socket(zmq.REP, socket_class=zmq.Socket)
        self._socket.linger = 0
        self._socket.bind("inproc://zeromq.zap.01")
        self._thread = threading.Thread(target=self._serve, name="kvq-gate", daemon=True)
        self._thread.start()

    def admits(self, user: str) -> bool:
        """Whether a key, encoded as Z85, is still in the folder; up to a second out of date."""
        return z85.decode(user.encode()) in self._keys

    def pop_reports(self) -> list[str]:
        """Reports of rejected keys, one line per peer and minute; call it from the socket's thread."""
        while self._refused:
            peer, key = self._refused.popleft()
            encoded, file, command = self._named(key)
            name, before = (f" ({file})", "") if file else ("", f"copy its .key file to {self._known} and ")
            text = (  # key first: after a URL it could be mistaken for a password and hidden
                f"its public key {encoded}{name} is not allowed at {self._endpoint}: "
                f"{before}allow it with {command}"
            )
            self._rejects.add(peer, WireError("key", text))
        return self._rejects.pop_reports()

    def lately(self) -> str:
        """Peers rejected in the last ten seconds (they retry), and how to allow them; empty if none."""
        since = time.monotonic() - _LATELY_S
        peers, commands = [], []
        for key, (peer, at) in list(self._lately.items()):
            if at > since:
                encoded, file, command = self._named(key)
                peers.append(f"{peer} (public key {encoded}{f', {file}' if file else ''})")
                commands.append(command)
        if not peers:
            return ""
        return f"{', '.join(peers)}: allow a key with {' or '.join(dict.fromkeys(commands))}"

    def join(self) -> None:
        """Waits for the thread to end, which happens when the context is terminated."""
        self._thread.join()

    def _named(self, key: bytes) -> tuple[str, Path | None, str]:
        """A key encoded as Z85, its file among the known ones, and the command that allows it."""
        encoded = z85.encode(key)
        file = find_public(self._known, encoded)
        return encoded.decode(), file, f"`{_allow_command(str(file or 'FILE'), self._allowed)}`"

    def _serve(self) -> None:
        with self._socket:
            while True:
                try:
                    if self._socket.poll(_LOOK_MS):
                        self._socket.send_multipart(self._answer(self._socket.recv_multipart()))
                    else:
                        self._keys = load_allowed(self._allowed)
                except zmq.ContextTerminated:
                    return

    def _answer(self, request: list[bytes]) -> list[bytes]:
        version, request_id, _, peer, _, mechanism, key = (*request, *[b""] * 7)[:7]
        self._keys = load_allowed(self._allowed)
        if mechanism == b"CURVE" and key in self._keys:
            return [version, request_id, b"200", b"OK", z85.encode(key), b""]
        if mechanism == b"CURVE":
            who = peer.decode(errors="replace").removeprefix("::ffff:")
            self._refused.append((who, key))
            self._lately.pop(key, None)
            self._lately[key] = (who, time.monotonic())
            if len(self._lately) > _MOST_REFUSED:
                del self._lately[next(iter(self._lately))]
        # 300 (temporary error): after a 400 the client would give up, even if its key is allowed later.
        return [version, request_id, b"300", b"this key is not allowed (yet)", b"", b""]


def _allow_command(file: str, allowed: Path) -> str:
    """The command that adds a public key to a folder of allowed keys."""
    folder = "" if allowed == ALLOWED else f" --dir {shlex.quote(str(allowed))}"
    return f"{PROGRAM} keys allow {shlex.quote(file)}{folder}"
