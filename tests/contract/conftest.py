"""Each contract case runs on the broker in memory, and with each client on real brokers."""

from collections.abc import Iterator

import pytest

from contract_labs import KafkaLab, Lab, MemoryLab

CLIENTS = ("kafka-python", "librdkafka")


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.broker) for name in CLIENTS)])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    if request.param == "memory":
        yield MemoryLab()
        return
    kafka = KafkaLab(request.getfixturevalue("cluster").bootstrap, request.param)
    yield kafka
    kafka.clean()
