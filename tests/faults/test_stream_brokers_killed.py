"""Exactly once from topic to topic, with brokers killed under load; all of the output is counted.

The long versions are campaigns (``make campaign``).
"""

from contextlib import ExitStack

import pytest

from sensorstream.cluster import LocalCluster
from stream_cases import FedStream, end

pytestmark = [pytest.mark.broker, pytest.mark.long]

CLIENTS = ("kafka-python", "librdkafka")
Round = tuple[tuple[int, ...], ...]
"""The brokers that are killed at once, one lot after the other, until all that are dead are started again."""
CAMPAIGN: list[Round] = [((1,),), ((2,),), ((3,),), ((1, 2, 3),), ((2,),), ((1, 2, 3),)]
ROUNDS = [
    pytest.param(CLIENTS, [((1,), (2, 3))], id="short"),  # both clients live through the same faults
    pytest.param(CLIENTS[:1], CAMPAIGN, id="campaign-kafka-python", marks=pytest.mark.campaign),
    pytest.param(CLIENTS[1:], CAMPAIGN, id="campaign-librdkafka", marks=pytest.mark.campaign),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("clients", "rounds"), ROUNDS)
def test_brokers_killed_under_load_lose_and_double_nothing(
    cluster: LocalCluster, clients: tuple[str, ...], rounds: list[Round]
) -> None:
    """Each of the three brokers coordinates something."""
    with ExitStack() as stack:
        streams = [FedStream(stack, cluster.bootstrap, client, f"brokers-{len(rounds)}") for client in clients]
        running = [stream.start() for stream in streams]

        def all_go_on() -> None:
            for stream in streams:
                stream.progress.until_there_is_some()

        for lots in rounds:
            for brokers in lots:
                all_go_on()
                for broker in brokers:
                    cluster.stop_broker(broker, kill=True)
            if cluster.running_brokers():
                all_go_on()
            cluster.up()
        all_go_on()
        end(*running)
    for stream in streams:
        found = stream.complete()
        assert found.is_zero, found
