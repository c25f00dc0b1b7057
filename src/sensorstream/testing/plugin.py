"""The fixtures, and when their cluster ends. Heavy modules are imported when a fixture is first used."""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from sensorstream.testing.cluster import KafkaCluster
    from sensorstream.testing.records import Consume, Produce

_RUN: Final = "SENSORSTREAM_PYTEST_RUN"
"""Tells the worker processes of pytest-xdist which run they belong to."""
_MADE: Final = "sensorstream_cluster"
_used: Final = pytest.StashKey["KafkaCluster"]()
_names: Final = pytest.StashKey[set[str]]()
_run: Final = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and the keys of the configuration file."""
    group = parser.getgroup("kafka", "a real Kafka (sensorstream)")
    group.addoption(
        "--kafka-brokers",
        type=int,
        metavar="N",
        help="how many brokers the cluster of kafka_cluster has, 1 to 9 (default: kafka_brokers of the ini file, or 3)",
    )
    group.addoption(
        "--kafka-version",
        metavar="X.Y.Z",
        help="which Kafka it runs (default: kafka_version of the ini file, or the newest one known)",
    )
    group.addoption(
        "--kafka-reuse",
        action="store_true",
        help="leave the cluster running after the tests, and take the one that an earlier run has left",
    )
    parser.addini("kafka_brokers", "how many brokers the cluster of kafka_cluster has", default="3")
    parser.addini("kafka_version", "which Kafka it runs", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Name the run, and the marker that says what topic a test wants."""
    config.addinivalue_line(
        "markers",
        "kafka_topic(partitions=1, replication_factor=None, configs=None): what the topic of the fixture is like",
    )
    config.stash[_names] = set()
    if not hasattr(config, "workerinput"):
        os.environ[_RUN] = f"{os.getpid()}-{uuid.uuid4().hex[:6]}"
    # Kept here: the tests may clear the environment.
    config.stash[_run] = os.environ[_RUN]


@pytest.fixture(scope="session")
def kafka_cluster(request: pytest.FixtureRequest) -> "KafkaCluster":
    """A real Kafka cluster, shared by all tests and by the processes of pytest-xdist.

    ``kafka_cluster.bootstrap_servers`` is what clients take; ``kill``, ``stop`` and ``start`` break and mend it. A
    broker that a test leaves dead is started again before the next test.
    """
    from sensorstream.testing.cluster import KafkaCluster

    config = request.config
    brokers = config.getoption("--kafka-brokers") or int(config.getini("kafka_brokers"))
    version = config.getoption("--kafka-version") or config.getini("kafka_version") or None
    reuse: bool = config.getoption("--kafka-reuse")
    name = f"pytest-reuse-{version or 'newest'}-{brokers}" if reuse else f"pytest-{config.stash[_run]}"
    started = KafkaCluster(name)
    started.up(brokers, version, owner=None if reuse else int(config.stash[_run].partition("-")[0]))
    config.stash[_used] = started
    if not reuse:
        config.stash[_names].add(name)
    return started


@pytest.fixture
def kafka_topic(request: pytest.FixtureRequest, kafka_new_topic: Callable[..., str]) -> str:
    """The name of a fresh topic, deleted after the test.

    ``@pytest.mark.kafka_topic(partitions=3)`` says what it is like.
    """
    marker = request.node.get_closest_marker("kafka_topic")
    return kafka_new_topic(**(marker.kwargs if marker else {}))


@pytest.fixture
def kafka_new_topic(request: pytest.FixtureRequest, kafka_cluster: "KafkaCluster") -> Iterator[Callable[..., str]]:
    """Makes more fresh topics: ``kafka_new_topic(partitions=3)`` gives a name. All are deleted after the test."""
    made: list[str] = []
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", request.node.name).strip("-")[:60]

    def make(
        *, partitions: int = 1, replication_factor: int | None = None, configs: dict[str, str] | None = None
    ) -> str:
        name = f"{stem}-{uuid.uuid4().hex[:8]}"
        kafka_cluster.create_topic(name, partitions, replication_factor, configs or {})
        made.append(name)
        return name

    yield make
    if made:
        kafka_cluster.delete_topics(made)


@pytest.fixture
def kafka_produce(kafka_cluster: "KafkaCluster") -> "Produce":
    """``kafka_produce(topic, values)`` publishes values and waits until the brokers have them; see :class:`Produce`."""
    from sensorstream.testing.records import Produce

    return Produce(kafka_cluster.settings)


@pytest.fixture
def kafka_consume(kafka_cluster: "KafkaCluster") -> "Consume":
    """``kafka_consume(topic, count)`` reads a topic from its beginning; see :class:`Consume`."""
    from sensorstream.testing.records import Consume

    return Consume(kafka_cluster.settings)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Mend what the test has broken, before its topics are deleted."""
    cluster = item.config.stash.get(_used, None)
    if cluster is not None:
        cluster.mend()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the main process which cluster a worker process has used: others may use it still."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        names = session.config.stash[_names]
        output[_MADE] = sorted(names)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker process of pytest-xdist has ended."""
    node.config.stash[_names].update(getattr(node, "workeroutput", {}).get(_MADE, ()))


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the cluster when the whole run has ended."""
    names = config.stash.get(_names, None)  # None: another plug-in failed before this one was configured
    if not names or hasattr(config, "workerinput"):
        return
    from sensorstream.testing.cluster import KafkaCluster

    for name in names:
        KafkaCluster(name).delete()
