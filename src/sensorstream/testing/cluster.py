"""The cluster that tests get: what they may use and break."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from sensorstream.cluster import LocalCluster

if TYPE_CHECKING:
    from sensorstream.config import Settings


# Kept: an object that is dropped while its process runs warns, which fails the tests of who makes warnings errors.
_removers: list["subprocess.Popen[bytes]"] = []


class KafkaCluster:
    """A real Kafka cluster on this machine, which tests may break.

    Its methods raise the errors of :mod:`sensorstream.errors`, such as UsageError for a broker that it does not have.
    """

    def __init__(self, name: str) -> None:
        self._local = LocalCluster(name)
        self._broken = False

    # -- what tests use ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Its name: ``-b cluster:NAME`` goes to it while the tests run."""
        return self._local.name

    @property
    def bootstrap_servers(self) -> str:
        """The brokers' addresses, ``host:port,host:port``, as every Kafka client takes them."""
        return ",".join(self._local.bootstrap)

    @cached_property
    def brokers(self) -> tuple[int, ...]:
        """The ids of its brokers."""
        return tuple(one.broker for one in self._local.status().brokers)

    @property
    def running(self) -> tuple[int, ...]:
        """The ids of the brokers whose processes run."""
        return self._local.running_brokers()

    def leader(self, topic: str, partition: int = 0) -> int | None:
        """The broker that leads a partition; None while nobody does. Raises UnknownTopic."""
        from sensorstream import admin

        described = admin.describe_topics(self.settings, [topic]).topics[0]
        return next((one.leader for one in described.partitions if one.partition == partition), None)

    def kill(self, *brokers: int) -> None:
        """Kill brokers at once, as a crash would."""
        self._end(brokers, kill=True)

    def stop(self, *brokers: int) -> None:
        """Stop brokers cleanly: each hands over its partitions first."""
        self._end(brokers, kill=False)

    def start(self, *brokers: int) -> None:
        """Start brokers again and wait until they are registered; none named: all that do not run."""
        if brokers:
            for broker in brokers:
                self._local.start_broker(broker)
        else:
            self._local.up()

    # -- what the plug-in uses --------------------------------------------------------------------------------

    @property
    def settings(self) -> "Settings":
        """The settings that lead this program's own clients to it."""
        from sensorstream.config import Settings

        return Settings(bootstrap=self._local.bootstrap)

    def up(self, brokers: int, version: str | None, *, owner: int | None) -> None:
        """Start it, or join the one that another process has started.

        It is removed when the process ``owner`` ends, however that ends; None: it stays.
        """
        up = self._local.up(brokers=brokers, kafka_version=version, ports="auto")
        if owner is not None and up.started:
            _removers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "sensorstream.testing.remover", self.name, str(owner)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # the terminal's Ctrl-C is not for it
                )
            )

    def create_topic(
        self, name: str, partitions: int, replication_factor: int | None, configs: Mapping[str, str]
    ) -> None:
        """Make a topic; replicated three times, or as often as there are brokers."""
        from sensorstream import admin
        from sensorstream.config import TopicSettings

        factor = replication_factor or min(3, len(self.brokers))
        admin.create_topics(self.settings, [TopicSettings(name, partitions, factor, configs=configs)])

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete these topics, those that the test has deleted left out."""
        from sensorstream import admin

        there = {topic.name for topic in admin.list_topics(self.settings).topics}
        admin.delete_topics(self.settings, [name for name in names if name in there])

    def mend(self) -> None:
        """Start what a test has stopped."""
        if self._broken:
            self._local.up()
            self._broken = False

    def delete(self) -> None:
        """End it and remove its data."""
        from sensorstream.errors import LocalClusterError

        try:
            self._local.down(delete_data=True)
        except LocalClusterError:
            if self._local.folder.exists():  # else somebody was faster
                raise

    def _end(self, brokers: tuple[int, ...], *, kill: bool) -> None:
        self._broken = True
        for broker in brokers:
            self._local.stop_broker(broker, kill=kill)
