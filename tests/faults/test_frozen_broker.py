"""A broker that keeps its connections and answers nothing: what that costs the one who publishes."""

import threading
import time

import pytest

from faults.breaking import Breaker
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.base import Publisher
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, TopicSettings
from stream_cases import read

pytestmark = pytest.mark.broker
FROZEN_S = 3.0
"""Shorter than a broker may be silent before its partitions go to another one."""


@pytest.mark.parametrize("exactly_once", [False, True], ids=["at least once", "exactly once"])
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_rows_wait_for_a_frozen_broker_without_taking_a_processor(
    cluster: LocalCluster, client: str, exactly_once: bool
) -> None:
    settings = Settings(bootstrap=cluster.bootstrap, client=client, properties={"linger.ms": "0"})
    topic = f"frozen-broker-{client}-{exactly_once}"
    admin.create_topics(settings, [TopicSettings(topic, partitions=1)])
    breaker = Breaker(cluster)
    opened = open_client(settings)
    transaction = opened.transactional_publisher(f"{topic}-id") if exactly_once else None
    publisher: Publisher = transaction or opened.publisher()
    with publisher:
        if transaction is not None:
            transaction.begin()
        publisher.publish(topic, b"0").wait(30)
        with breaker.frozen(breaker.leader(topic)):
            began, took = time.monotonic(), time.process_time()
            count = 1
            while time.monotonic() - began < FROZEN_S:
                publisher.publish(topic, b"%d" % count)
                count += 1
                threading.Event().wait(0.01)  # the pace of the rows
            took = time.process_time() - took
        publisher.flush(60)
        if transaction is not None:
            transaction.commit()
    assert took < FROZEN_S / 8, f"{took:.1f} s of processor time in {FROZEN_S:g} s"
    assert [one.value for one in read(cluster.bootstrap, topic)] == [b"%d" % number for number in range(count)]
