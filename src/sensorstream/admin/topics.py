"""Station 5 managed: create, list, describe, delete and alter topics."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sensorstream.admin.results import (
    PartitionDescription,
    TopicAltered,
    TopicCreation,
    TopicDescription,
    TopicDescriptions,
    TopicList,
    TopicsCreated,
    TopicsDeleted,
    TopicSummary,
)
from sensorstream.admin.spreading import Assignment, spread
from sensorstream.clients import refusals
from sensorstream.clients.kafka_python.admin import (
    Session,
    administer,
    answer_error,
    answered,
)
from sensorstream.clients.kafka_python.denied import denied
from sensorstream.clients.rights import Denied
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import BrokerError, ConfigError, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.records import TopicPartition, check_topic_name
from sensorstream.wording import counted

VISIBLE_S: Final = 15.0
"""How long a new or deleted topic may take until every broker knows."""
JOIN_S: Final = 2.0
"""How long a broker that has just started may take until the others count it in."""
INTERNAL: Final = (
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
    "__cluster_metadata",
)


def create_topics(settings: Settings, topics: Sequence[TopicSettings], *, listener: Listener = ignore) -> TopicsCreated:
    """Create these topics where they don't exist, and wait until every broker knows their leaders.

    Replicas and leaders are spread evenly over the brokers, together with those of the topics that are there.
    All are checked before the first is created. Raises UsageError for a name, a number of partitions or a
    replication factor that can't be, ConfigError for a wrong topic configuration.
    """
    for topic in topics:
        check_topic_name(topic.name)
        if topic.partitions < 1:
            raise UsageError(
                f"topic {topic.name}: {counted(topic.partitions, 'partition')}, but there must be at least 1"
            )
        if topic.replication_factor < 1:
            raise UsageError(
                f"topic {topic.name}: replication factor {topic.replication_factor}, but it must be at least 1"
            )
    created: set[str] = set()

    def create(session: Session) -> TopicsCreated:
        deadline = time.monotonic() + JOIN_S
        while True:
            answer = session.metadata(None)
            existing = {row.name for row in answer.topics} | created
            missing = {topic.name: topic for topic in topics if topic.name not in existing}
            brokers = len(answer.brokers)
            short = [topic for topic in missing.values() if topic.replication_factor > brokers]
            if not short:
                break
            if time.monotonic() >= deadline:
                raise UsageError(
                    f"topic {short[0].name}: replication factor {short[0].replication_factor} needs as many "
                    f"brokers, and the cluster has {brokers}",
                    hint=f"--replication-factor {brokers}, or start more brokers",
                )
            threading.Event().wait(0.1)
        if missing:
            assignments = _spread(answer, missing.values())
            _send_creations(session, missing, assignments, validate_only=True)
            created.update(_send_creations(session, missing, assignments, validate_only=False))
        rows = _wait_visible(session, [topic.name for topic in topics])
        return TopicsCreated(
            tuple(
                TopicCreation(name, len(row.partitions), _factor(row), name in created)
                for name, row in ((topic.name, rows[topic.name]) for topic in topics)
            )
        )

    return administer(settings, "the topics were not all created", create, listener)


def _spread(answer: Any, topics: Iterable[TopicSettings]) -> dict[str, Assignment]:
    """Where the partitions of each topic go, by what the cluster has told. Kafka's own topics do not count."""
    brokers = [int(broker.node_id) for broker in answer.brokers]
    there = [tuple(one.replica_nodes) for row in answer.topics if row.name not in INTERNAL for one in row.partitions]
    found: dict[str, Assignment] = {}
    for topic in topics:
        found[topic.name] = spread(brokers, topic.partitions, topic.replication_factor, there)
        there += found[topic.name]
    return found


def _send_creations(
    session: Session,
    topics: Mapping[str, TopicSettings],
    assignments: Mapping[str, Assignment],
    *,
    validate_only: bool,
) -> list[str]:
    request = {
        name: {
            "assignments": {number: list(brokers) for number, brokers in enumerate(assignments[name])},
            "configs": dict(topic.configs),
        }
        for name, topic in topics.items()
    }
    answer = session.client.create_topics(request, validate_only=validate_only, raise_errors=False)
    made = []
    for row in answer["topics"]:
        kind = answer_error(row["error_code"]).__name__
        if kind == "NoError":
            made.append(row["name"])
        elif kind in ("InvalidConfigurationError", "InvalidConfigError"):
            raise ConfigError(f"topic {row['name']}: {row.get('error_message') or 'wrong configuration'}")
        elif kind != "TopicAlreadyExistsError":
            raise answered(f"topic {row['name']} was not created", kind, row, "Create")
    return made


def _wait_visible(session: Session, names: Sequence[str]) -> dict[str, Any]:
    """Wait until every broker that answers knows these topics with a leader for each partition; their rows."""
    deadline = time.monotonic() + VISIBLE_S
    rows: dict[str, Any] = {}
    for broker in session.metadata([]).brokers:
        while True:
            rows.update(_rows_on(session, names, broker.node_id) or {})
            if all(name in rows and _is_ready(rows[name]) for name in names):
                break
            if time.monotonic() >= deadline:
                late = ", ".join(name for name in names if name not in rows or not _is_ready(rows[name]))
                raise BrokerError(
                    f"broker {broker.node_id} does not know the leaders of {late} after {VISIBLE_S:.0f} s",
                    hint="look at: sensorstream topics describe",
                )
            threading.Event().wait(0.05)
    return rows


def _rows_on(session: Session, names: Sequence[str], node_id: int) -> dict[str, Any] | None:
    from kafka.errors import KafkaError
    from kafka.protocol.metadata import MetadataRequest

    request = MetadataRequest(
        topics=[MetadataRequest.MetadataRequestTopic(name=name) for name in names],
        allow_auto_topic_creation=False,
        include_cluster_authorized_operations=False,
        include_topic_authorized_operations=False,
    )
    try:
        return {row.name: row for row in session.ask(request, node_id).topics}
    except KafkaError:
        return None


def _is_ready(row: Any) -> bool:
    return row.error_code == 0 and bool(row.partitions) and all(one.leader_id >= 0 for one in row.partitions)


def _factor(row: Any) -> int:
    return max((len(partition.replica_nodes) for partition in row.partitions), default=0)


def list_topics(settings: Settings, *, listener: Listener = ignore) -> TopicList:
    """All topics but Kafka's own."""

    def read(session: Session) -> TopicList:
        rows = sorted(session.metadata(None).topics, key=lambda row: str(row.name))
        return TopicList(
            tuple(
                TopicSummary(
                    row.name,
                    len(row.partitions),
                    _factor(row),
                    sum(len(one.isr_nodes) < len(one.replica_nodes) for one in row.partitions),
                )
                for row in rows
                if row.name not in INTERNAL
            )
        )

    return administer(settings, "the topics can't be listed", read, listener)


def describe_topics(settings: Settings, names: Sequence[str] = (), *, listener: Listener = ignore) -> TopicDescriptions:
    """These topics (none named: all but Kafka's own) with their partitions. Raises UnknownTopic."""
    for name in names:
        check_topic_name(name)

    def read(session: Session) -> TopicDescriptions:
        rows = _existing(session, names)
        led = [
            TopicPartition(row.name, one.partition_index)
            for row in rows
            for one in row.partitions
            if one.leader_id >= 0
        ]
        first, after = session.offsets(led, first=True), session.offsets(led, first=False)
        configs = _configs(session, [row.name for row in rows])
        return TopicDescriptions(tuple(_description(row, first, after, configs) for row in rows))

    return administer(settings, "the topics can't be described", read, listener)


def _description(
    row: Any,
    first: Mapping[TopicPartition, int],
    after: Mapping[TopicPartition, int],
    configs: Mapping[str, Mapping[str, str | None]],
) -> TopicDescription:
    from sensorstream.clients.kafka_python.reader import topic_id_text

    partitions = []
    for one in sorted(row.partitions, key=lambda one: int(one.partition_index)):
        where = TopicPartition(row.name, one.partition_index)
        partitions.append(
            PartitionDescription(
                one.partition_index,
                one.leader_id if one.leader_id >= 0 else None,
                tuple(one.replica_nodes),
                tuple(one.isr_nodes),
                first.get(where),
                after.get(where),
            )
        )
    return TopicDescription(row.name, topic_id_text(row.topic_id), tuple(partitions), configs.get(row.name, {}))


def _configs(session: Session, names: Sequence[str]) -> dict[str, dict[str, str | None]]:
    from kafka.admin import ConfigResource, ConfigResourceType

    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = session.client.describe_configs(resources, config_filter="modified").get("topic", {})
    return {
        name: {key: None if entry.get("is_sensitive") else entry.get("value") for key, entry in entries.items()}
        for name, entries in found.items()
    }


def topic_config(settings: Settings, topic: str, name: str, *, listener: Listener = ignore) -> str | None:
    """One configuration of a topic as it is in force: the brokers' own where the topic has none. None: not told.

    Raises BrokerError, also where this user may not know it.
    """
    from kafka.admin import ConfigResource, ConfigResourceType

    def read(session: Session) -> str | None:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=[name])
        found = session.client.describe_configs([resource], config_filter="all").get("topic", {})
        value = found.get(topic, {}).get(name, {}).get("value")
        return None if value is None else str(value)

    return administer(settings, f"{name} of topic {topic} can't be read", read, listener)


def _existing(session: Session, names: Sequence[str]) -> list[Any]:
    """The rows of these topics, in order. Raises UnknownTopic naming the first that is not there."""
    found = rows_named(session, session.metadata(None), names)
    return [row for row in found if names or row.name not in INTERNAL]


def rows_named(session: Session, metadata: Any, names: Sequence[str]) -> list[Any]:
    """The rows of these topics in an answer, in order; none named: of all, Kafka's own too.

    Raises UnknownTopic, and NotAllowed for one that this user may not know of, be it there or not.
    """
    rows = {row.name: row for row in metadata.topics}
    for name in names:
        if name not in rows:
            session.refuse_hidden(name)
            raise refusals.unknown_topic(name, rows)
    return [rows[name] for name in names or sorted(rows)]


def delete_topics(settings: Settings, names: Sequence[str], *, listener: Listener = ignore) -> TopicsDeleted:
    """Delete these topics with all their records, and wait until no broker knows them.

    All must exist before the first is deleted: raises UnknownTopic, UsageError for one of Kafka's own.
    """
    for name in names:
        check_topic_name(name)
        if name in INTERNAL:
            raise UsageError(f"topic {name} is Kafka's own and can't be deleted here")
    wanted = list(dict.fromkeys(names))
    deleted: set[str] = set()

    def delete(session: Session) -> TopicsDeleted:
        left = [row.name for row in _existing(session, [name for name in wanted if name not in deleted])]
        deleted.update(left)
        if left:
            for row in session.client.delete_topics(left, raise_errors=False)["topics"]:
                kind = answer_error(row["error_code"]).__name__
                if kind not in ("NoError", "UnknownTopicOrPartitionError"):
                    raise answered(f"topic {row['name']} was not deleted", kind, row, "Delete")
        _wait_until(
            lambda: all(
                row.error_code != 0
                for broker in session.metadata([]).brokers
                for row in (_rows_on(session, wanted, broker.node_id) or {}).values()
            ),
            f"the brokers still know {', '.join(wanted)} after {VISIBLE_S:.0f} s",
        )
        return TopicsDeleted(tuple(wanted))

    return administer(settings, "the topics were not all deleted", delete, listener)


def _wait_until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + VISIBLE_S
    while not holds():
        if time.monotonic() >= deadline:
            raise BrokerError(otherwise)
        threading.Event().wait(0.05)


def alter_topic(
    settings: Settings,
    name: str,
    *,
    partitions: int | None = None,
    configs: Mapping[str, str] | None = None,
    listener: Listener = ignore,
) -> TopicAltered:
    """Give a topic more partitions, or other configurations.

    Raises UnknownTopic, UsageError for fewer partitions than there are, ConfigError for a wrong configuration.
    """
    check_topic_name(name)
    if partitions is None and not configs:
        raise UsageError(f"topic {name}: nothing to change", hint="give --partitions or --set KEY=VALUE")
    before: list[int] = []

    def alter(session: Session) -> TopicAltered:
        row = _existing(session, [name])[0]
        now = len(row.partitions)
        before.append(now)
        if partitions is not None and partitions < before[0]:
            raise UsageError(
                f"topic {name} has {counted(now, 'partition')} and can't be given {partitions}",
                hint="partitions can only be added; records would be lost",
            )
        if configs:
            _send_configs(session, name, configs)
        if partitions is not None and partitions > now:
            session.client.create_partitions({name: partitions}, raise_errors=True)
        rows = _wait_partitions(session, name, partitions or now)
        return TopicAltered(name, before[0], len(rows.partitions), dict(configs or {}))

    return administer(settings, f"topic {name} was not altered", alter, listener)


def _wait_partitions(session: Session, name: str, count: int) -> Any:
    _wait_until(
        lambda: all(
            len(row.partitions) >= count and _is_ready(row)
            for broker in session.metadata([]).brokers
            for row in (_rows_on(session, [name], broker.node_id) or {}).values()
        ),
        f"the brokers do not know all {count} partitions of {name} after {VISIBLE_S:.0f} s",
    )
    return _existing(session, [name])[0]


def _send_configs(session: Session, name: str, configs: Mapping[str, str]) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    resource = ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(configs))
    try:
        answer = session.client.alter_configs([resource])
    except ValueError as error:
        unknown = str(error).partition("Unrecognized configs:")[2].strip(" {}") or str(error)
        raise ConfigError(f"topic {name}: unknown topic configuration {unknown}") from error
    outcome = str(answer.get("topic", {}).get(name))
    refused = denied(Exception(outcome))
    if refused is not None:
        raise Denied(refused.kind, name).error(f"topic {name} was not altered", "AlterConfigs")
    if outcome != "OK":
        raise ConfigError(f"topic {name}: {outcome.partition(': ')[2] or outcome}")
