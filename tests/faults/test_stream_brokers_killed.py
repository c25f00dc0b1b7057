"""Exactly once from topic to topic, with brokers killed under load; all of the output is counted.

The long versions are campaigns (``make campaign``).
"""

import signal

import pytest

from running import cli, ok, started
from sensorstream.cluster import LocalCluster
from stream_cases import PARTITIONS, Feed, check, progress

pytestmark = [pytest.mark.broker, pytest.mark.long]

CAMPAIGN = [(1,), (2,), (3,), (1, 2, 3), (2,), (1, 2, 3)]
ROUNDS = [
    pytest.param("kafka-python", [(1,)], id="short-kafka-python"),
    pytest.param("librdkafka", [(1, 2, 3)], id="short-librdkafka"),
    pytest.param("kafka-python", CAMPAIGN, id="campaign-kafka-python", marks=pytest.mark.campaign),
    pytest.param("librdkafka", CAMPAIGN, id="campaign-librdkafka", marks=pytest.mark.campaign),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("client", "rounds"), ROUNDS)
def test_brokers_killed_under_load_lose_and_double_nothing(
    cluster: LocalCluster, client: str, rounds: list[tuple[int, ...]]
) -> None:
    """In each round these brokers are killed at once; with three brokers each coordinates something."""
    posts, scored = f"posts-{client}-{len(rounds)}", f"scored-{client}-{len(rounds)}"
    b = ["--bootstrap", ",".join(cluster.bootstrap), "--client", client]
    ok("topics", "create", posts, scored, "--partitions", str(PARTITIONS), *b)
    stream = ["sentiment", "stream", "--from", posts, "--to", scored, "--group", posts, *b]
    with (
        Feed(cluster.bootstrap, posts).running() as feed,
        progress(cluster.bootstrap, posts, posts) as group_progress,
        started(*stream) as running,
    ):
        for brokers in rounds:
            group_progress.until_there_is_some()
            for broker in brokers:
                cluster.stop_broker(broker, kill=True)
            if len(brokers) == 1:
                group_progress.until_there_is_some()
            cluster.up()
        group_progress.until_there_is_some()
        running.signal(signal.SIGTERM)
        assert running.end() in (0, 1), running.told
    done = cli(*stream, "--exit", "--output", "json")
    assert done.returncode in (0, 1), done.stderr
    check(cluster.bootstrap, feed.sent, posts, scored)
