import socket

import pytest

from pipeline.view.web.page_port import WebError, bind_page, loopback_host, page_url


def test_a_bound_port_is_taken_until_it_is_closed() -> None:
    with bind_page("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(WebError) as error:
            bind_page("127.0.0.1", port)
        assert str(error.value) == (
            f"http://127.0.0.1:{port}: address already in use: is another KVQ Stream running? "
            "use a free port with --set sink.web_port=0, or --no-web"
        )
    bind_page("127.0.0.1", port).close()


def test_a_port_that_was_just_served_can_be_bound_again() -> None:
    with bind_page("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as browser:
            listener.accept()[0].close()  # this side closes first, so its port stays in TIME_WAIT
            assert browser.recv(1) == b""
    bind_page(*address).close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "camera.example", ""])
def test_only_loopback_addresses_are_served(host: str) -> None:
    assert loopback_host(host) is None
    with pytest.raises(WebError, match="the page is served on loopback addresses only"):
        bind_page(host, 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("LOCALHOST", "http://localhost:80"),
    ],
)
def test_the_address_of_the_page(host: str, url: str) -> None:
    assert page_url(host, 80) == url
