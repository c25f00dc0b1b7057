"""Why nothing moves, asked where no broker is: what is found within the time, and what does not make one blind."""

import socket
from collections.abc import Iterator

import pytest

from running import until
from sensorstream.clients.causes import NoBroker, Waited
from sensorstream.clients.kafka_python.diagnosis import Diagnosis
from sensorstream.clients.properties import ClientProperties
from serving import serving


@pytest.fixture
def closes() -> Iterator[str]:
    """The address of somebody who takes connections and closes them, as a proxy in front of a dead broker does."""
    with serving(lambda connection: connection.recv(100)) as address:
        yield address


def test_one_who_closes_each_connection_is_no_broker(closes: str) -> None:
    diagnosis = Diagnosis((closes,), ClientProperties())
    told = NoBroker(((closes, "it takes the connection and closes it"),))
    until(lambda: told in diagnosis.causes(Waited()), "the cause is found", 30)


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    (cause,) = Diagnosis((address,), ClientProperties()).causes(Waited())
    assert cause == NoBroker(((address, "the connection is refused, nobody listens there"),))
