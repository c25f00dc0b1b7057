"""``create_topic``: create a topic, or use the existing one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sensorstream.library.connection import Servers, settings_for

if TYPE_CHECKING:
    from sensorstream.admin import TopicCreation


def create_topic(
    name: str,
    *,
    bootstrap: Servers,
    partitions: int = 2,
    replication_factor: int = 3,
    configs: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
) -> "TopicCreation":
    """Make a topic and wait until every broker knows it; one that exists is left as it is (``created`` False).

    Raises UsageError, ConfigError for a wrong configuration, ClusterUnreachable, NotAllowed.
    """
    from sensorstream import admin
    from sensorstream.config import TopicSettings

    wanted = TopicSettings(name, partitions, replication_factor, configs=configs or {})
    return admin.create_topics(settings_for(bootstrap, properties=properties), [wanted]).topics[0]
