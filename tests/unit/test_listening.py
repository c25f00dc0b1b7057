"""What --listen means, for the page in a browser and for that of Prometheus."""

import pytest

from sensorstream.errors import UsageError
from sensorstream.monitor.listening import is_loopback, parse_listen
from sensorstream.monitor.web.server import _bound


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:8765", ("127.0.0.1", 8765)),
        ("8765", ("127.0.0.1", 8765)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:1", ("localhost", 1)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("box_1.lan:9308", ("box_1.lan", 9308)),
    ],
)
def test_where_to_listen(text: str, where: tuple[str, int]) -> None:
    assert parse_listen(text, "127.0.0.1:1") == where


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "h:",
        "h:x",
        "h:99999",
        "h:1/x",
        "u@h:1",
        "http://x:1",
        "a b:1",
        "::1",
        "a..b:1",
        f"{'x' * 64}:1",
        "h:\u0661",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is not HOST:PORT") as caught:
        parse_listen(text, "127.0.0.1:9308")
    assert "127.0.0.1:9308" in caught.value.hint


def test_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.1", "box", "")))


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_name_that_can_not_be_looked_up_is_an_error_of_the_user(host: str) -> None:
    with pytest.raises(UsageError, match="--listen"):
        _bound(host, 0)
