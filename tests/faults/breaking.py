"""The one place that breaks: brokers killed, frozen, rolled, all at once; the leader, the controller, a coordinator."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from running import until
from sensorstream import admin
from sensorstream.clients.probe import cluster_health
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings
from sensorstream.errors import SensorstreamError

ELECTION_S = 60.0


class Breaker:
    """Breaks the brokers of one cluster, and mends them."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.settings = Settings(bootstrap=cluster.bootstrap, client="kafka-python")

    # -- who is who -----------------------------------------------------------------------------------------------

    def leader(self, topic: str, partition: int = 0) -> int:
        """The broker that leads a partition, as soon as there is one."""
        found: list[int] = []

        def known() -> bool:
            try:
                parts = admin.describe_topics(self.settings, [topic]).topics[0].partitions
            except SensorstreamError:
                return False
            leader = next(part.leader for part in parts if part.partition == partition)
            if leader is not None and leader >= 0:
                found.append(leader)
            return bool(found)

        until(known, f"a leader of {topic}[{partition}]", ELECTION_S)
        return found[0]

    def controller(self) -> int:
        """The active controller: the leader of the quorum."""
        found: list[int] = []

        def known() -> bool:
            try:
                leader = cluster_health(self.cluster.bootstrap, 3.0).quorum_leader
            except SensorstreamError:
                return False
            if leader is not None:
                found.append(leader)
            return bool(found)

        until(known, "a leader of the quorum", ELECTION_S)
        return found[0]

    def process(self, broker: int) -> psutil.Process:
        """The process of a broker that runs."""
        pid = next(one.pid for one in self.cluster.status().brokers if one.broker == broker)
        assert pid is not None, f"broker {broker} does not run"
        return psutil.Process(pid)

    # -- breaking -------------------------------------------------------------------------------------------------

    def kill(self, *brokers: int) -> None:
        """SIGKILL, as in a crash."""
        for broker in brokers:
            self.cluster.stop_broker(broker, kill=True)

    def kill_all(self) -> None:
        """SIGKILL for all of them, at the same time."""
        processes = [self.process(broker) for broker in self.cluster.running_brokers()]
        for process in processes:
            process.kill()
        self.kill(*self.cluster.running_brokers())

    def start(self) -> None:
        """Start whatever does not run; returns when all are registered again."""
        self.cluster.up()

    def moved(self, topic: str, dead: int) -> None:
        """Wait until every partition of a topic is led by another broker."""

        def elsewhere() -> bool:
            try:
                parts = admin.describe_topics(self.settings, [topic]).topics[0].partitions
            except SensorstreamError:
                return False
            return all(part.leader not in (None, -1, dead) for part in parts)

        until(elsewhere, f"other leaders of {topic} than broker {dead}", ELECTION_S)

    def roll(self, *brokers: int) -> None:
        """Stop and start one broker after the other, the clean way."""
        for broker in brokers:
            self.cluster.stop_broker(broker)
            self.cluster.start_broker(broker)
            self.in_sync()

    def in_sync(self) -> None:
        """Wait until no partition lacks a replica: else the next stop could take the second one of three."""

        def whole() -> bool:
            try:
                seen = cluster_health(self.cluster.bootstrap, 3.0)
            except SensorstreamError:
                return False
            everyone = len(seen.brokers) == len(self.cluster.bootstrap)
            return everyone and not seen.offline_partitions and not seen.under_replicated_partitions

        until(whole, "all replicas in sync", ELECTION_S)

    @contextmanager
    def frozen(self, *brokers: int) -> Iterator[None]:
        """SIGSTOP for the length of the block, then SIGCONT."""
        processes = [self.process(broker) for broker in brokers]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)
