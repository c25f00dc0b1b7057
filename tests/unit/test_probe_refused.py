"""A probe whose records are refused: a missing right is told at once, and nothing is waited for three times."""

import threading
import time
from types import SimpleNamespace

import pytest

from sensorstream import admin
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.clients.memory.delivery import MemoryDelivery
from sensorstream.clients.memory.publisher import MemoryPublisher
from sensorstream.config import Settings
from sensorstream.errors import DeliveryError, NotAllowed, SensorstreamError, WriteNotAllowed
from sensorstream.monitor import probe as probes
from sensorstream.monitor.probe import MOST_BYTES, ProbeJob, probe
from sensorstream.records import TopicPartition

JOB = ProbeJob("P", rate=1000, for_s=0.01)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("P", 1)
    part = SimpleNamespace(partition=0, leader=1)
    described = SimpleNamespace(topics=[SimpleNamespace(partitions=[part])])
    monkeypatch.setattr(admin, "describe_topics", lambda *_, **__: described)
    monkeypatch.setattr(admin, "topic_config", lambda *_, **__: str(MOST_BYTES))
    return made


def refuse(monkeypatch: pytest.MonkeyPatch, broker: MemoryBroker, error: DeliveryError) -> list[bytes | None]:
    sent: list[bytes | None] = []

    def publish(_: MemoryPublisher, topic: str, value: bytes | None, **__: object) -> MemoryDelivery:
        sent.append(value)
        delivery = MemoryDelivery(broker, TopicPartition(topic, 0))
        delivery.settle(None, error)
        return delivery

    monkeypatch.setattr(MemoryPublisher, "publish", publish)
    return sent


def test_it_measures(broker: MemoryBroker) -> None:
    assert probe(MemoryClient(broker), Settings(), JOB).end_to_end.samples == 10


def test_who_may_not_write_is_told_so_at_once(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, broker, WriteNotAllowed("no right to write to P"))
    began = time.monotonic()
    with pytest.raises(NotAllowed, match="no right"):
        probe(MemoryClient(broker), Settings(), JOB)
    assert time.monotonic() - began < 25, "nothing that was refused is waited for"


def test_a_right_that_is_taken_away_ends_it(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_away(event: object) -> None:
        refuse(monkeypatch, broker, WriteNotAllowed("no right to write to P"))

    monkeypatch.setattr(probes, "Progress", lambda *_: take_away(_))
    with pytest.raises(NotAllowed, match="no right"):
        probe(MemoryClient(broker), Settings(), ProbeJob("P", rate=20, for_s=600), stop=threading.Event())


def test_after_a_round_that_fails_there_is_no_other(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_BACK_WITHIN_S", 0.5)
    sent = refuse(monkeypatch, broker, DeliveryError("not now"))
    with pytest.raises(SensorstreamError, match="did not come back"):
        probe(MemoryClient(broker), Settings(), JOB)
    assert len(sent) == 1
