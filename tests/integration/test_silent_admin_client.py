"""librdkafka's admin client can fall silent, also for good, while the brokers answer everybody else."""

import pytest

from running import until
from sensorstream import admin
from sensorstream.clients.librdkafka import topics
from sensorstream.clients.librdkafka.topics import TopicWatch
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import SensorstreamError


@pytest.mark.broker
def test_an_admin_client_that_was_silent_is_not_asked_again(
    silent: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "silent-admin"
    admin.create_topics(settings, [TopicSettings(name)])
    try:
        options = {"bootstrap.servers": silent, "log_level": 0}
        watch = TopicWatch(options)
        with monkeypatch.context() as short:
            short.setattr(topics, "ASK_S", 0.2)
            with pytest.raises(SensorstreamError, match="no answer in time"):
                watch.topic_id(name)
        options["bootstrap.servers"] = ",".join(settings.bootstrap)
        assert watch.topic_id(name) == admin.describe_topics(settings, [name]).topics[0].topic_id
        watch.close()
    finally:
        admin.delete_topics(settings, [name])


@pytest.mark.broker
def test_a_dead_controller_is_not_waited_for(cluster: LocalCluster, settings: Settings) -> None:
    """The client asks only the broker that it takes for the controller, and does not find out that another one is it.

    It tried to connect to the dead one without a pause, which took a whole core, and answered nothing.
    """
    name = "dead-controller"
    admin.create_topics(settings, [TopicSettings(name)])
    watches = [TopicWatch({"bootstrap.servers": ",".join(settings.bootstrap), "log_level": 0}) for _ in range(2)]
    for watch in watches:
        watch.watch([name])
    clients = [watch.admin() for watch in watches]
    try:
        while len(taken := {int(one.list_topics(timeout=10).controller_id) for one in clients}) > 1:
            pass  # any broker is named, at random
        cluster.stop_broker(taken.pop(), kill=True)
        try:
            assert watches[0].topic_id(name) == admin.describe_topics(settings, [name]).topics[0].topic_id
            admin.delete_topics(settings, [name])
            until(lambda: watches[1].problem(0), "that the topic is gone")
        finally:
            cluster.up()
        assert clients == [watch.admin() for watch in watches], "a client was silent, and replaced"
    finally:
        for watch in watches:
            watch.close()
