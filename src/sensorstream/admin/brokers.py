"""Station 5 managed: removing a broker from the cluster permanently."""

import threading
import time

from sensorstream.clients.kafka_python.admin import Session, administer, answer_error
from sensorstream.config import Settings
from sensorstream.errors import BrokerError
from sensorstream.events import Listener, ignore
from sensorstream.records import TopicPartition

_GONE_S = 30.0
"""With ZooKeeper a killed broker stays on the list until its session ends, which takes 6 s or more."""


def held_by(settings: Settings, broker: int, *, listener: Listener = ignore) -> tuple[TopicPartition, ...]:
    """The partitions that have a replica on this broker, running or not; Kafka's own too."""

    def read(session: Session) -> tuple[TopicPartition, ...]:
        return tuple(
            sorted(
                TopicPartition(row.name, int(one.partition_index))
                for row in session.metadata(None).topics
                for one in row.partitions
                if broker in one.replica_nodes
            )
        )

    return administer(settings, f"what broker {broker} holds can't be read", read, listener)


def unregister_broker(settings: Settings, broker: int, *, listener: Listener = ignore) -> None:
    """Have the controllers of a KRaft cluster forget a broker that has stopped; one they don't know is no error.

    Raises BrokerError when they refuse.
    """
    from sensorstream.clients.kafka_python.messages import UnregisterBrokerRequest

    what = f"broker {broker} was not struck off the cluster's list"

    def unregister(session: Session) -> None:
        answer = session.ask(UnregisterBrokerRequest(broker_id=broker))
        kind = answer_error(answer.error_code).__name__
        if kind not in ("NoError", "BrokerIdNotRegisteredError"):
            raise BrokerError(f"{what}: {answer.error_message or kind}", hint="try again")

    administer(settings, what, unregister, listener)


def wait_gone(settings: Settings, broker: int, *, listener: Listener = ignore) -> None:
    """Wait until nobody tells of this broker, which has stopped, any more. Raises BrokerError after a while."""
    deadline = time.monotonic() + _GONE_S

    def wait(session: Session) -> None:
        from kafka.protocol.metadata import MetadataRequest

        for other in session.metadata([]).brokers:
            while int(other.node_id) != broker:
                answer = session.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False), other.node_id)
                if all(int(one.node_id) != broker for one in answer.brokers):
                    break
                if time.monotonic() >= deadline:
                    raise BrokerError(f"broker {other.node_id} still lists broker {broker}", hint="run it again")
                threading.Event().wait(0.05)

    administer(settings, f"the brokers tell of broker {broker} still", wait, listener)
