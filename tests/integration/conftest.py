"""What tests on the shared brokers begin with, and somebody who is no broker."""

import socket
from collections.abc import Iterator

import pytest

from sensorstream.config import Settings


@pytest.fixture
def settings(broker: tuple[str, ...]) -> Settings:
    """Settings that name the brokers of the whole run."""
    return Settings(bootstrap=broker)


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where somebody takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
