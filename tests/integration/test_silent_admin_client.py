"""librdkafka's admin client can fall silent for good while the brokers answer everybody else."""

import pytest

from sensorstream import admin
from sensorstream.clients.librdkafka import topics
from sensorstream.clients.librdkafka.topics import TopicWatch
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
