"""Exactly once from topic to topic, with brokers killed under load; all of the output is counted.

The long versions are campaigns (``make campaign``).
"""

import signal
from contextlib import ExitStack

import pytest

from running import cli, ok, started
from sensorstream.cluster import LocalCluster
from stream_cases import PARTITIONS, Feed, check, progress

pytestmark = [pytest.mark.broker, pytest.mark.long]

CLIENTS = ("kafka-python", "librdkafka")
CAMPAIGN = [(1,), (2,), (3,), (1, 2, 3), (2,), (1, 2, 3)]
ROUNDS = [
    pytest.param(CLIENTS, [(1,), (1, 2, 3)], id="short"),  # both live through the same faults
    pytest.param(CLIENTS[:1], CAMPAIGN, id="campaign-kafka-python", marks=pytest.mark.campaign),
    pytest.param(CLIENTS[1:], CAMPAIGN, id="campaign-librdkafka", marks=pytest.mark.campaign),
]


class Stream:
    """A stream of one client, with its own topics and feed."""

    def __init__(self, stack: ExitStack, bootstrap: tuple[str, ...], client: str, rounds: int) -> None:
        self.posts, self.scored = f"posts-{client}-{rounds}", f"scored-{client}-{rounds}"
        b = ["--bootstrap", ",".join(bootstrap), "--client", client]
        ok("topics", "create", self.posts, self.scored, "--partitions", str(PARTITIONS), *b)
        self.command = ["sentiment", "stream", "--from", self.posts, "--to", self.scored, "--group", self.posts, *b]
        self.feed = stack.enter_context(Feed(bootstrap, self.posts).running())
        self.progress = stack.enter_context(progress(bootstrap, self.posts, self.posts))
        self.running = stack.enter_context(started(*self.command))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("clients", "rounds"), ROUNDS)
def test_brokers_killed_under_load_lose_and_double_nothing(
    cluster: LocalCluster, clients: tuple[str, ...], rounds: list[tuple[int, ...]]
) -> None:
    """In each round these brokers are killed at once; with three brokers each coordinates something."""
    with ExitStack() as stack:
        streams = [Stream(stack, cluster.bootstrap, client, len(rounds)) for client in clients]

        def all_go_on() -> None:
            for stream in streams:
                stream.progress.until_there_is_some()

        for brokers in rounds:
            all_go_on()
            for broker in brokers:
                cluster.stop_broker(broker, kill=True)
            if len(brokers) == 1:
                all_go_on()
            cluster.up()
        all_go_on()
        for stream in streams:
            stream.running.signal(signal.SIGTERM)
        for stream in streams:
            assert stream.running.end() in (0, 1), stream.running.told
    for stream in streams:
        done = cli(*stream.command, "--exit", "--output", "json")
        assert done.returncode in (0, 1), done.stderr
        check(cluster.bootstrap, stream.feed.sent, stream.posts, stream.scored)
