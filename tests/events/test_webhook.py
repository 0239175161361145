"""Webhooks against real web servers."""

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from pipeline.events.sender import OutletError, Refused, Undelivered
from pipeline.events.webhook import Webhook
from tests.events.messages import event, message, outlet
from tests.rigs.certificate import self_signed
from tests.rigs.web_server import WebServer, silent_server
from tests.support import free_port


def webhook(port: int, secret: str = "", path: str = "/hook", **keys: object) -> Webhook:
    return Webhook(outlet("webhook", f"http://127.0.0.1:{port}{path}", **keys), secret)


def test_an_event_arrives_as_json_with_an_id_that_stays_and_a_signature() -> None:
    sent = message(event(7))
    with WebServer() as server:
        for _ in range(2):
            webhook(server.port, "geheim", "/hook?for=me").send(sent)
    first, again = server.taken
    assert (first.path, first.body) == ("/hook?for=me", sent.body)
    assert first.headers["content-type"] == "application/json"
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == f"{event(7).id}-start"
    signed = f"{sent.id}.{first.headers['webhook-timestamp']}.".encode() + first.body
    expected = base64.b64encode(hmac.digest(b"geheim", signed, hashlib.sha256)).decode()
    assert first.headers["webhook-signature"] == f"v1,{expected}"


def test_without_a_secret_there_is_no_signature() -> None:
    with WebServer() as server:
        webhook(server.port).send(message())
    assert "webhook-signature" not in server.taken[0].headers


def test_a_login_in_the_address_is_sent_as_such_and_never_shown() -> None:
    with WebServer() as server:
        hook = Webhook(outlet("webhook", f"http://me:ge%40heim@127.0.0.1:{server.port}/secret-path"), "")
        hook.send(message())
    assert base64.b64decode(server.taken[0].headers["authorization"].split()[1]) == b"me:ge@heim"
    assert hook.where == f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
def test_what_is_refused_for_good_is_not_tried_again(status: int) -> None:
    with WebServer([status]) as server, pytest.raises(Refused, match=f"HTTP status {status}"):
        webhook(server.port).send(message())


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_may_work_later_is_tried_again(status: int) -> None:
    with WebServer([status]) as server, pytest.raises(Undelivered, match=f"HTTP status {status}"):
        webhook(server.port).send(message())


def test_a_server_that_names_a_wait_gets_it_up_to_an_hour() -> None:
    for wanted, given in (("7", 7.0), ("99999999", 3600.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)):
        with WebServer([503], Retry_After=wanted) as server, pytest.raises(Undelivered) as caught:
            webhook(server.port).send(message())
        assert caught.value.wait_s == given


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with WebServer() as elsewhere:
        target = f"http://127.0.0.1:{elsewhere.port}/"
        with WebServer([status], Location=target) as server, pytest.raises(Undelivered, match="not followed"):
            webhook(server.port).send(message())
    assert elsewhere.asked == []


def test_nobody_there_and_nobody_who_answers() -> None:
    with pytest.raises(Undelivered, match="connection refused"):
        webhook(free_port()).send(message())
    with silent_server() as port, pytest.raises(Undelivered, match=r"no answer in 0\.2 s"):
        webhook(port, timeout_s=0.2).send(message())


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    server = WebServer()
    server.encrypt(str(certificate), str(key))
    where = outlet("webhook", f"https://localhost:{server.port}/")
    with server:
        with pytest.raises(Undelivered, match="its certificate is not trusted: self-signed certificate"):
            Webhook(where, "").send(message())
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # an authority of one's own
        Webhook(where, "").send(message())
    assert len(server.taken) == 1


@pytest.mark.parametrize("url", ["http://", "http://:80/", "http://host:port/geheim", "http://[::1/geheim"])
def test_an_address_that_is_none_is_not_shown(url: str) -> None:
    with pytest.raises(OutletError) as caught:
        Webhook(outlet("webhook", url), "")
    assert "geheim" not in str(caught.value)


def test_a_secret_that_looks_like_base64_and_is_not_is_an_error_without_it() -> None:
    with pytest.raises(OutletError, match="the rest is not base64") as caught:
        Webhook(outlet("webhook", "http://localhost/"), "whsec_ge!heim")
    assert "ge!heim" not in str(caught.value)
