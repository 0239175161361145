import pytest

from pipeline.events.sender import OutletError, Sender, Undelivered, shown_url, split_url
from tests.events.messages import event, message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@example.org:8443/hook/secret?token=secret", "https://example.org:8443"),
        ("http://example.org", "http://example.org"),
        ("mqtt://user:secret@[2001:db8::1]:1883", "mqtt://[2001:db8::1]:1883"),
    ],
)
def test_of_an_address_nothing_is_shown_that_may_be_a_secret(url: str, shown: str) -> None:
    assert shown_url(split_url(url)) == shown


@pytest.mark.parametrize(
    "url", ["https://", "secret", "http://host:secret/", "http://host:0/", "http://[secret/"]
)
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(OutletError, match="url: is not a URL") as raised:
        split_url(url)
    assert "secret" not in str(raised.value)


def test_a_sender_has_only_to_send() -> None:
    class Taken(Sender):
        where = "nowhere"

        def __init__(self) -> None:
            self.sent: list[str] = []

        def send(self, message: object) -> None:
            self.sent.append(str(message))

    sender = Taken()
    sender.add_stream("door")
    sender.note(event(1))
    sender.keep_up()
    sender.send(message(event(1)))
    sender.close()
    sender.close()
    assert len(sender.sent) == 1
    with pytest.raises(TypeError, match="abstract"):
        Sender()  # type: ignore[abstract]


def test_how_long_the_other_side_wants_to_be_left_alone_is_known() -> None:
    assert Undelivered("busy", 3.0).wait_s == 3.0
    assert Undelivered("gone").wait_s is None
