"""Station 5 managed: topics, consumer groups and brokers, through kafka-python's admin client.

Every function takes the settings, makes one connection, and gives a frozen result; what is not known is None. A
listener is told what is waited for when it takes long.
Raises ClusterUnreachable, CredentialsRefused, BrokerError and what each function names.
"""

from sensorstream.admin.brokers import held_by, unregister_broker, wait_gone
from sensorstream.admin.cluster import describe_cluster
from sensorstream.admin.groups import describe_group, end_offsets, list_groups, remove_members
from sensorstream.admin.leaders import elect_leaders
from sensorstream.admin.reassign import move_off, plan_reassignment, reassign
from sensorstream.admin.results import (
    BrokerDescription,
    ClusterDescription,
    ElectedPartition,
    GroupDescription,
    GroupMember,
    LeadersElected,
    MovedPartition,
    PartitionDescription,
    Reassigned,
    TopicAltered,
    TopicCreation,
    TopicDescription,
    TopicDescriptions,
    TopicList,
    TopicsCreated,
    TopicsDeleted,
    TopicSummary,
)
from sensorstream.admin.topics import (
    alter_topic,
    create_topics,
    delete_topics,
    describe_topics,
    list_topics,
    topic_config,
)

__all__ = [
    "BrokerDescription",
    "ClusterDescription",
    "ElectedPartition",
    "GroupDescription",
    "GroupMember",
    "LeadersElected",
    "MovedPartition",
    "PartitionDescription",
    "Reassigned",
    "TopicAltered",
    "TopicCreation",
    "TopicDescription",
    "TopicDescriptions",
    "TopicList",
    "TopicSummary",
    "TopicsCreated",
    "TopicsDeleted",
    "alter_topic",
    "create_topics",
    "delete_topics",
    "describe_cluster",
    "describe_group",
    "describe_topics",
    "elect_leaders",
    "end_offsets",
    "held_by",
    "list_groups",
    "list_topics",
    "move_off",
    "plan_reassignment",
    "reassign",
    "remove_members",
    "topic_config",
    "unregister_broker",
    "wait_gone",
]
