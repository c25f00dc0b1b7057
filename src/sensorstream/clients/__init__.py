"""Stations 4-6, publish -> KAFKA -> read: the only place that imports a Kafka client."""

from typing import TYPE_CHECKING

from sensorstream.errors import ConfigError

if TYPE_CHECKING:
    from sensorstream.clients.base import Client
    from sensorstream.config import Settings

__all__ = ["open_client"]


def open_client(settings: "Settings") -> "Client":
    """The client that the settings name, with their addresses and options; nothing is connected yet.

    Raises ConfigError for an unknown client or a wrong client option.
    """
    from sensorstream.clients.properties import parse_properties

    properties = parse_properties(settings.properties, settings.origins)
    if settings.client in ("auto", "kafka-python"):
        from sensorstream.clients.kafka_python import KafkaPythonClient

        return KafkaPythonClient(settings.bootstrap, properties)
    raise ConfigError(f"client {settings.client!r} is not known", hint="it is auto or kafka-python")
