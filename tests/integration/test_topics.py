"""Topics on real brokers: by the library, and by the commands a user types."""

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from sensorstream import admin
from sensorstream.cli.app import run
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import ConfigError, UnknownTopic, UsageError

pytestmark = pytest.mark.broker
_numbers = itertools.count()


@pytest.fixture
def name(settings: Settings) -> Iterator[str]:
    name = f"topics-{os.getpid()}-{next(_numbers)}"
    yield name
    left = [topic.name for topic in admin.list_topics(settings).topics if topic.name.startswith(name)]
    if left:
        admin.delete_topics(settings, left)


def names(settings: Settings) -> set[str]:
    return {topic.name for topic in admin.list_topics(settings).topics}


def test_a_topic_is_created_once_and_then_left_as_it_is(settings: Settings, name: str) -> None:
    first = admin.create_topics(settings, [TopicSettings(name, partitions=3)]).topics
    again = admin.create_topics(settings, [TopicSettings(name, partitions=5)]).topics
    assert first == (admin.TopicCreation(name, 3, 3, created=True),)
    assert again == (admin.TopicCreation(name, 3, 3, created=False),)


def test_a_described_topic_shows_leaders_replicas_offsets_and_configuration(settings: Settings, name: str) -> None:
    from sensorstream.clients import open_client

    admin.create_topics(settings, [TopicSettings(name, configs={"retention.ms": "3600000"})])
    with open_client(settings).publisher() as publisher:
        for _ in range(5):
            publisher.publish(name, b"x", partition=1)
    (topic,) = admin.describe_topics(settings, [name]).topics
    assert topic.configs == {"retention.ms": "3600000"}
    assert topic.topic_id
    assert [(one.partition, one.first_offset, one.next_offset) for one in topic.partitions] == [
        (0, 0, 0),
        (1, 0, 5),
    ]
    for one in topic.partitions:
        assert sorted(one.replicas) == sorted(one.isr) == [1, 2, 3]
        assert one.leader in one.replicas


@pytest.mark.parametrize(
    ("topic", "error", "says"),
    [
        (TopicSettings("{}b", replication_factor=4), UsageError, "the cluster has 3"),
        (TopicSettings("{}b", configs={"retention.sm": "1"}), ConfigError, "retention.sm"),
        (TopicSettings("{}b", configs={"retention.ms": "soon"}), ConfigError, "soon"),
        (TopicSettings("../../{}"), UsageError, "../../"),
        (TopicSettings("{}" + "x" * 250), UsageError, "249"),
        (TopicSettings("{}b", partitions=0), UsageError, "0 partitions"),
    ],
)
def test_when_one_of_several_topics_can_not_be_none_is_created(
    settings: Settings, name: str, topic: TopicSettings, error: type[UsageError], says: str
) -> None:
    from dataclasses import replace

    wrong = replace(topic, name=topic.name.format(name))
    with pytest.raises(error) as caught:
        admin.create_topics(settings, [TopicSettings(f"{name}a"), wrong])
    assert says in str(caught.value)
    assert not {one for one in names(settings) if name in one}


def test_partitions_are_added_and_configuration_is_changed(settings: Settings, name: str) -> None:
    admin.create_topics(settings, [TopicSettings(name)])
    altered = admin.alter_topic(settings, name, partitions=4, configs={"retention.ms": "60000"})
    assert (altered.partitions_before, altered.partitions) == (2, 4)
    (topic,) = admin.describe_topics(settings, [name]).topics
    assert len(topic.partitions) == 4
    assert topic.configs == {"retention.ms": "60000"}
    with pytest.raises(UsageError, match="can't be given 3"):
        admin.alter_topic(settings, name, partitions=3)
    for wrong in ({"retention.ms": "x"}, {"retention": "1"}):
        with pytest.raises(ConfigError, match=name):
            admin.alter_topic(settings, name, configs=wrong)
    with pytest.raises(UsageError, match="nothing"):
        admin.alter_topic(settings, name)


def test_nothing_is_deleted_when_one_of_several_topics_is_unknown(settings: Settings, name: str) -> None:
    admin.create_topics(settings, [TopicSettings(name)])
    with pytest.raises(UnknownTopic) as caught:
        admin.delete_topics(settings, [name, f"{name}x"])
    assert caught.value.hint.startswith(f"did you mean {name!r}? Or create it with: ")
    assert name in names(settings)
    assert admin.delete_topics(settings, [name, name]).deleted == (name,)
    assert name not in names(settings)
    with pytest.raises(UsageError, match="Kafka's own"):
        admin.delete_topics(settings, ["__consumer_offsets"])


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run([*words, "--output", "json"]) == code
    envelope = json.loads(capsys.readouterr().out)
    assert envelope["command"] == " ".join(words[:2])
    return envelope["result"]


def test_the_commands_answer_in_json_with_these_keys(
    broker: tuple[str, ...], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("-b", ",".join(broker))
    created = answer(capsys, "topics", "create", name, "--partitions", "1", *where)
    assert created == {"topics": [{"name": name, "partitions": 1, "replication_factor": 3, "created": True}]}
    listed = answer(capsys, "topics", "list", *where)
    assert {"name": name, "partitions": 1, "replication_factor": 3, "under_replicated": 0} in listed["topics"]
    (topic,) = answer(capsys, "topics", "describe", name, *where)["topics"]
    assert list(topic) == ["name", "topic_id", "partitions", "configs"]
    keys = ["partition", "leader", "replicas", "isr", "first_offset", "next_offset"]
    assert list(topic["partitions"][0]) == keys
    altered = answer(capsys, "topics", "alter", name, "--set", "retention.ms=60000", *where)
    assert altered == {
        "name": name,
        "partitions_before": 1,
        "partitions": 1,
        "configs": {"retention.ms": "60000"},
    }
    assert answer(capsys, "topics", "delete", name, *where, code=2) is None
    assert answer(capsys, "topics", "delete", name, "-y", *where) == {"deleted": [name]}
    assert answer(capsys, "topics", "describe", name, *where, code=2) is None


def test_the_text_says_what_was_created_and_what_was_left(
    broker: tuple[str, ...], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["topics", "create", name, "-b", ",".join(broker)]
    assert run(words) == 0
    assert capsys.readouterr().out == f"{name}: created (partitions: 2, replicas: 3)\n"
    assert run(words) == 0
    assert capsys.readouterr().out == f"{name}: exists already, left as it is (partitions: 2, replicas: 3)\n"


def test_the_brokers_and_their_controller(broker: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["brokers", "-b", broker[0], "--output", "json"]) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    assert list(result) == ["cluster_id", "version", "controller", "brokers"]
    assert [one["id"] for one in result["brokers"]] == [1, 2, 3]
    assert list(result["brokers"][0]) == ["id", "host", "port", "controller", "leaders", "replicas"]
    assert {f"{one['host']}:{one['port']}" for one in result["brokers"]} == set(broker)
    assert [one["id"] for one in result["brokers"] if one["controller"]] == [result["controller"]]
