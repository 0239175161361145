"""What docs/outlets.md shows, run as it stands there."""

import base64
import re
import tomllib
from pathlib import Path

import pytest

from pipeline.base.config import load_config
from tests.events.messages import message
from tests.events.test_webhook import webhook
from tests.rigs.web_server import WebServer

DOCUMENT = Path(__file__).parents[2] / "docs" / "outlets.md"


@pytest.mark.parametrize("secret", ["geheim", "whsec_a2V5IG9mIDI0IHJhbmRvbSBieXRlcy4u"])
def test_the_check_of_the_document_accepts_it_and_nothing_else(secret: str) -> None:
    code = re.search(r"```python\n(def is_ours.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, object] = {}
    exec("import base64, hashlib, hmac, time\n" + code[1], names)
    is_ours = names["is_ours"]
    assert callable(is_ours)
    with WebServer() as server:
        webhook(server.port, secret).send(message())
    headers, body = server.taken[0].headers, server.taken[0].body
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    assert is_ours(headers, body, key)
    assert not is_ours(headers, body + b" ", key)
    assert not is_ours(headers, body, b"another key")
    assert not is_ours(headers | {"webhook-timestamp": "1700000000"}, body, key)


def test_the_tables_of_the_document_are_configurations() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    kinds = [
        outlet.kind
        for block in blocks
        for outlet in load_config(None, [], tomllib.loads(block)).outlets.values()
    ]
    assert kinds == ["webhook", "mqtt", "push", "push"]


def test_every_key_is_in_the_table_of_the_document_with_its_default() -> None:
    one = load_config(None, ["outlets.a={kind='mqtt', url='mqtt://x'}"]).outlets["a"]
    text = DOCUMENT.read_text()
    for name in one.__struct_fields__:
        row = next(line for line in text.splitlines() if re.match(rf"\| [^|]*`{name}`", line))
        default = getattr(one, name)
        if isinstance(default, float | int) or name in ("topic", "discovery"):
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert shown in row.split("|")[2], row
