"""Station 5: grant the rights of the ordinary user of a secured local cluster, through kafka-python's admin client."""

import kafka.errors as kafka_errors

from sensorstream.clients.kafka_python.admin import Session
from sensorstream.clients.kafka_python.failures import broker_error
from sensorstream.clients.properties import ClientProperties
from sensorstream.errors import LocalClusterError

_OWN_TOPICS = "_sensorstream"
"""What the program's own topics begin with: who publishes exactly once makes them, and reads its progress there."""


def grant_lesser_user(bootstrap: tuple[str, ...], properties: ClientProperties, user: str) -> None:
    """Let ``user`` publish and read everywhere; and make, change and delete only the program's own topics.

    Raises LocalClusterError when the brokers refuse, ClusterUnreachable and its kinds.
    """
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

    literal, prefixed = ACLResourcePatternType.LITERAL, ACLResourcePatternType.PREFIXED
    everything = {
        ResourceType.TOPIC: (
            ACLOperation.READ, ACLOperation.WRITE, ACLOperation.DESCRIBE, ACLOperation.DESCRIBE_CONFIGS,
        ),
        ResourceType.GROUP: (ACLOperation.READ, ACLOperation.DESCRIBE),
        ResourceType.TRANSACTIONAL_ID: (ACLOperation.WRITE, ACLOperation.DESCRIBE),
    }  # fmt: skip
    wanted = [
        (operation, ResourcePattern(kind, "*", literal))
        for kind, operations in everything.items()
        for operation in operations
    ]
    wanted.append((ACLOperation.CREATE, ResourcePattern(ResourceType.TOPIC, _OWN_TOPICS, prefixed)))
    wanted.append((ACLOperation.DESCRIBE, ResourcePattern(ResourceType.CLUSTER, "kafka-cluster", literal)))
    acls = [
        ACL(
            principal=f"User:{user}",
            host="*",
            operation=operation,
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=pattern,
        )
        for operation, pattern in wanted
    ]
    what = f"the rights of {user} can't be set"
    with Session(bootstrap, properties) as session:
        try:
            failed = session.client.create_acls(acls)["failed"]
        except (kafka_errors.KafkaError, RuntimeError, OSError) as error:
            raise broker_error(what, error) from error
    if failed:
        raise LocalClusterError(f"{what}: {failed[0].__name__}")
