"""How long a kafka-python client waits before it tries again what it can't use."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.net.selector import NetworkSelector
from kafka.protocol.metadata import MetadataResponse

from doctor_labs import nobody
from sensorstream.clients.kafka_python.broker_watch import BrokerWatch
from sensorstream.clients.kafka_python.group_member import find_without_haste
from sensorstream.clients.kafka_python.net import WatchedManager
from sensorstream.clients.kafka_python.publisher import LOOK_AGAIN_MS, MendedProducer
from serving import serving

LOOPBACK = "127.0.0.1"


def manager_of(broker_port: int) -> Any:
    """Connections to a cluster of one broker, number 1."""
    net = NetworkSelector()
    manager = WatchedManager(BrokerWatch(), net, bootstrap_servers=[f"{LOOPBACK}:1"], reconnect_backoff_ms=1000)
    manager.cluster._brokers = {1: MetadataResponse.MetadataResponseBroker(1, LOOPBACK, broker_port, None)}
    return manager


@pytest.mark.parametrize("listens", [True, False], ids=["closed at once", "refused"])
def test_a_failed_connection_counts_once_and_before_the_next_can_be_asked_for(listens: bool) -> None:
    with serving(lambda _: None) if listens else nullcontext(nobody()) as address:
        manager = manager_of(int(address.rpartition(":")[2]))
        connection = manager.get_connection(1)
        delays: list[float] = []
        connection.init_future.add_errback(lambda _: delays.append(manager.connection_delay(1)))
        for _ in range(100):
            manager._net.poll(timeout_ms=100)
            if delays and not manager._net._ready:
                break
    assert len(delays) == 1
    assert delays[0] > 0
    assert manager._backoff[1][0] == 1
    manager.close()
    manager._net.close()


def test_the_sender_waits_as_long_as_a_broker_can_not_be_used() -> None:
    waits: dict[str, float] = {"away": 0.5}
    connections = {
        "being made": SimpleNamespace(closed=False),
        "busy": SimpleNamespace(closed=False),
        "lost": SimpleNamespace(closed=True),
    }
    manager = SimpleNamespace(connection_delay=lambda node: waits.get(node, 0), _conns=connections)
    producer: Any = SimpleNamespace(_sender=SimpleNamespace(_client=SimpleNamespace(_manager=manager)))

    def pause_ms(node: str) -> float:
        return MendedProducer._pause_ms(producer, node)

    assert pause_ms("away") == 500, "the library's delays are in seconds"
    assert pause_ms("being made") == pause_ms("busy") == LOOK_AGAIN_MS
    assert pause_ms("lost") == pause_ms("never tried") == 0, "it is connected to next"


@pytest.mark.parametrize("under_way", [True, False])
def test_leaders_are_asked_for_once(under_way: bool) -> None:
    producer: Any = SimpleNamespace(_library_ready=lambda cluster, now: (set(), 7.0, True))
    ready = MendedProducer._ready(producer, SimpleNamespace(need_update=under_way))
    assert ready == (set(), 7.0, not under_way)


@pytest.mark.parametrize(("delay_s", "disconnected", "slept"), [(0.3, True, [0.3]), (0.0, True, []), (0.3, False, [])])
def test_a_coordinator_is_found_no_sooner_than_it_can_be_tried(
    delay_s: float, disconnected: bool, slept: list[float]
) -> None:
    pauses: list[float] = []

    async def found() -> str:
        return "coordinator-1"

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    client = SimpleNamespace(
        connection_delay=lambda _: delay_s, is_disconnected=lambda _: disconnected, _net=SimpleNamespace(sleep=sleep)
    )
    coordinator = SimpleNamespace(_send_group_coordinator_request=found)
    find_without_haste(SimpleNamespace(_coordinator=coordinator, _client=client))
    assert asyncio.run(coordinator._send_group_coordinator_request()) == "coordinator-1"
    assert pauses == slept
