"""Push messages by the real Apprise against a real web server: its ntfy and JSON services."""

import json
from pathlib import Path

import pytest

from pipeline.events.push import Push, message_in_words
from pipeline.events.sender import OutletError, Refused, Undelivered
from tests.events.messages import event, message, outlet
from tests.rigs.web_server import WebServer
from tests.support import free_port, need_module

need_module("apprise", "apprise")


def ntfy(port: int) -> str:
    return f"ntfy://me:geheim@127.0.0.1:{port}/topic"


def push(url: str, secret: str = "", **keys: object) -> Push:
    return Push(outlet("push", url, **keys), secret)


def test_a_message_is_in_words_with_the_time_it_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    with WebServer() as server:
        service = push(ntfy(server.port))
        service.send(message(event(kind="entered", phase="once", direction_deg=0.0)))
    sent = json.loads(server.taken[0].body)
    assert (sent["topic"], sent["title"]) == ("topic", "door")
    assert sent["message"].startswith("drive: something entered, going right (2026-11-2")
    assert service.where == "push by ntfy"


def test_all_addresses_of_a_file_get_it_and_only_the_one_that_failed_gets_it_again() -> None:
    with WebServer() as good, WebServer([500, 200]) as shaky:
        secret = f"# mine\n\njson://127.0.0.1:{good.port}/\njson://127.0.0.1:{shaky.port}/\n"
        service = push("", secret, secret_file="push.txt")
        with pytest.raises(Undelivered, match="HTTP status 500"):
            service.send(message())
        service.send(message())
        service.send(message(event(2)))
    assert (len(good.taken), len(shaky.asked), len(shaky.taken)) == (2, 3, 2)


def test_no_message_waits_inside_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends meanwhile would not know whether it was sent."""
    slept: list[float] = []
    monkeypatch.setattr("apprise.plugins.base.time.sleep", slept.append)
    with WebServer() as server:
        service = push(ntfy(server.port))
        for number in (1, 2, 3):
            service.send(message(event(number)))
    assert (len(server.taken), slept) == (3, [])


def test_what_is_refused_and_what_cannot_be_reached_are_told_apart(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with WebServer([403]) as server, pytest.raises(Refused, match="ntfy: HTTP status 403") as refused:
        push(ntfy(server.port)).send(message())
    with pytest.raises(Undelivered, match="ntfy can't be reached: connection refused") as gone:
        push(ntfy(free_port())).send(message())
    assert "geheim" not in str(refused.value) + str(gone.value) + "".join(capfd.readouterr()) + caplog.text


def test_a_server_of_ntfy_that_says_no_in_its_own_words_is_not_asked_again() -> None:
    answer = b'{"code": 40301, "http": 403, "error": "forbidden"}'
    with WebServer([403], answer=answer) as server, pytest.raises(Refused, match="ntfy: HTTP status 403"):
        push(ntfy(server.port)).send(message())


def test_why_a_service_is_not_reached_is_said_without_its_address() -> None:
    with WebServer() as server, pytest.raises(Undelivered) as plain:
        push(f"ntfys://me:geheim@127.0.0.1:{server.port}/topic").send(message())
    assert str(plain.value) == "ntfy can't be reached: wrong_version_number"
    with pytest.raises(Undelivered) as unknown:
        push("ntfy://me:geheim@geheim.invalid/topic").send(message())
    assert str(unknown.value) == "ntfy can't be reached: name or service not known"


@pytest.mark.parametrize(
    ("url", "secret", "message"),
    [
        ("geheim://nothing", "", "url: is not a URL that Apprise supports"),
        ("tgram://geheim", "", "url: is not a URL that Apprise supports"),
        ("ntffy://geheim/topic", "", r"did you mean ntfy://\?"),
        ("https://geheim/topic", "", 'kind = "webhook" for your own web server'),
        ("ntfy://geheim:8080", "", "url: has no topic: ntfy://HOST:PORT/TOPIC"),
        ("ntfys://me:geheim@geheim:8080/?priority=high", "", "url: has no topic"),
        ("", "json://localhost\nfoo://geheim", "address 2: is not a URL that Apprise supports"),
        ("", "# nothing\n", "secret_file: contains no URL"),
    ],
)
def test_an_address_that_is_none_is_not_shown(
    url: str, secret: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OutletError, match=message) as caught:
        push(url, secret, secret_file="" if url else str(Path("push.txt")))
    assert "geheim" not in str(caught.value) + "".join(capfd.readouterr())


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(Refused, match="not an event that this version supports"):
        message_in_words(b"{}")
