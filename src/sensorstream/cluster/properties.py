"""Station 5: the text of a node's ``server.properties`` and of its logging configuration. Pure, no processes.

The settings are those of https://kafka.apache.org/documentation/#configuration, cut to a small machine: three
brokers share a laptop with everything else.
"""

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
SESSION_MS: Final = 6000
"""How long a broker may be silent before it counts as dead."""


@dataclass(frozen=True, slots=True)
class Listens:
    """The ports of one node: for clients and other brokers, and for controllers (None: it is none)."""

    broker: int
    controller: int | None = None


def new_id() -> str:
    """A fresh id as Kafka writes them: 128 random bits in URL-safe base64, never beginning with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):  # it would be taken for an option
            return text


def default_replicas(brokers: int) -> int:
    """How often Kafka's own topics, and topics of which nothing else is said, are kept in a cluster made of so many."""
    return min(3, brokers)


def server_properties(
    node_id: int,
    *,
    ports: Mapping[int, int],
    controller_ports: Mapping[int, int],
    log_dir: Path,
    kafka_version: tuple[int, ...],
    zookeeper: str | None = None,
    secure: Mapping[str, str] | None = None,
    listens: Listens | None = None,
    replicas: int | None = None,
) -> str:
    """The ``server.properties`` of one node: broker and controller, broker alone, or a broker at ``zookeeper``.

    ``ports`` and ``controller_ports`` map nodes' ids to their ports; a node without one for its controller is a broker
    alone. With three ``replicas`` a write needs two of them, with fewer one; None: three, or as many as there are
    brokers. ``zookeeper`` is ``host:port``. ``secure`` are the lines that protect a cluster's listeners, in place of
    those without any protection.
    ``listens`` is where the node listens, where that is not at ``ports`` and ``controller_ports``.
    """
    replicas = replicas or default_replicas(len(ports))
    in_sync = 2 if replicas == 3 else 1
    known = Listens(ports[node_id], controller_ports.get(node_id))
    broker = f"PLAINTEXT://{LOOPBACK}:{(listens or known).broker}"
    lines: dict[str, object] = {
        **(
            _kraft(node_id, broker, controller_ports, (listens or known).controller)
            if zookeeper is None
            else _at(zookeeper, node_id, broker)
        ),
        "advertised.listeners": advertised("PLAINTEXT", known, listens, kafka_version),
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": path_value(log_dir),
        # No row is lost with one broker: each write is on two disks before it is acknowledged.
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "unclean.leader.election.enable": "false",
        # A misspelt topic is an error, not a new topic.
        "auto.create.topics.enable": "false",
        "num.partitions": 2,
        # A lab's data is years old and must stay: retention goes by the records' own timestamps.
        "log.retention.ms": -1,
        # A lab reopened after the summer finds its groups where they were (a year, in minutes).
        "offsets.retention.minutes": 525600,
        "group.initial.rebalance.delay.ms": 0,
        # Small: few threads and partitions, and a cleaner that does not take 128 MB of the heap.
        "offsets.topic.num.partitions": 6,
        "transaction.state.log.num.partitions": 6,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 4,
        "log.cleaner.dedupe.buffer.size": 8 << 20,
    }
    if kafka_version >= (4, 1):
        lines["share.coordinator.state.topic.replication.factor"] = replicas
        lines["share.coordinator.state.topic.min.isr"] = in_sync
        lines["share.coordinator.state.topic.num.partitions"] = 6
    lines |= secure or {}
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def advertised(protocol: str, known: Listens, listens: Listens | None, kafka_version: tuple[int, ...]) -> str:
    """Where a node says that it is reached, by the name of its listener for clients.

    From 3.9 on, controllers tell one another where they are: without this line, where they listen.
    """
    told = f"{protocol}://{LOOPBACK}:{known.broker}"
    if listens is None or known.controller is None or kafka_version < (3, 9):
        return told
    return f"{told},CONTROLLER://{LOOPBACK}:{known.controller}"


def _kraft(
    node_id: int, listener: str, controller_ports: Mapping[int, int], controller: int | None
) -> dict[str, object]:
    """What makes a node a broker of a quorum, and a controller as well where it has a port for that."""
    voters = ",".join(f"{node}@{LOOPBACK}:{port}" for node, port in sorted(controller_ports.items()))
    return {
        "process.roles": "broker" if controller is None else "broker,controller",
        "node.id": node_id,
        "controller.quorum.voters": voters,
        "listeners": listener if controller is None else f"{listener},CONTROLLER://{LOOPBACK}:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        # A dead broker's partitions move after 6 s instead of 9.
        "broker.session.timeout.ms": SESSION_MS,
        "broker.heartbeat.interval.ms": 1000,
        # Controllers write a record that says nothing twice a second. With one every 5 s, an idle cluster takes a
        # quarter less of a processor.
        "metadata.max.idle.interval.ms": 5000,
    }


def _at(zookeeper: str, node_id: int, listener: str) -> dict[str, object]:
    """What makes a node a broker that finds its cluster by ZooKeeper."""
    return {
        "broker.id": node_id,
        "zookeeper.connect": zookeeper,
        "listeners": listener,
        # A dead broker's partitions move after 6 s instead of 18.
        "zookeeper.session.timeout.ms": SESSION_MS,
        # When all brokers stop at once the last ones can hand nothing over: they try thrice, not for 15 s.
        "controlled.shutdown.retry.backoff.ms": 500,
    }


def logging_properties(log_file: Path, kafka_version: tuple[int, ...]) -> tuple[str, str]:
    """The logging configuration as (file name, text): log4j 1 up to Kafka 3.9, log4j 2 from 4.0 on.

    The log rolls at 10 MB and keeps two older files.
    """
    if kafka_version < (4,):
        return "log4j.properties", _LOG4J1.format(file=path_value(log_file))
    return "log4j2.properties", _LOG4J2.format(file=path_value(log_file))


def path_value(path: Path) -> str:
    """A path as a value of a properties file, which Java reads as Latin-1 with escapes (java.util.Properties)."""
    units = str(path).replace("\\", "\\\\").encode("utf-16-be")
    codes = (units[at] << 8 | units[at + 1] for at in range(0, len(units), 2))
    return "".join(chr(code) if code < 0x7F else f"\\u{code:04x}" for code in codes)


# Kafka's own levels, but without the lists of every configuration value, which are most of a start's log.
_LOG4J1 = """\
log4j.rootLogger=INFO, file
log4j.appender.file=org.apache.log4j.RollingFileAppender
log4j.appender.file.File={file}
log4j.appender.file.MaxFileSize=10MB
log4j.appender.file.MaxBackupIndex=2
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=[%d{{ISO8601}}] %p %m (%c)%n
log4j.logger.org.apache.kafka=INFO
log4j.logger.org.apache.zookeeper=WARN
log4j.logger.state.change.logger=WARN
log4j.logger.kafka.server.KafkaConfig=WARN
log4j.logger.org.apache.kafka.clients.producer.ProducerConfig=WARN
log4j.logger.org.apache.kafka.common.config.AbstractConfig=WARN
"""

_LOG4J2 = """\
status=warn
shutdownHook=disable
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={file}
appender.file.filePattern={file}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=[%d{{ISO8601}}] %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
logger.state.name=state.change.logger
logger.state.level=warn
logger.config.name=org.apache.kafka.common.config.AbstractConfig
logger.config.level=warn
logger.kafkaconfig.name=kafka.server.KafkaConfig
logger.kafkaconfig.level=warn
"""
