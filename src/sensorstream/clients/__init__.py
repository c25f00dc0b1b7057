"""Stations 4-6, publish -> KAFKA -> read: the only place that imports a Kafka client."""

from typing import TYPE_CHECKING

from sensorstream.errors import ConfigError

if TYPE_CHECKING:
    from sensorstream.clients.base import Client
    from sensorstream.config import Settings
    from sensorstream.events import Listener

__all__ = ["check_publishing", "client_name", "open_client"]


def client_name(settings: "Settings") -> str:
    """The client that runs under these settings: ``auto`` takes librdkafka where it is installed.

    Raises ConfigError for an unknown client, and for librdkafka where it is not installed.
    """
    from importlib.util import find_spec

    if settings.client == "kafka-python":
        return "kafka-python"
    if settings.client not in ("auto", "librdkafka"):
        raise ConfigError(f"client {settings.client!r} is not known", hint="it is auto, kafka-python or librdkafka")
    if find_spec("confluent_kafka") is not None:
        return "librdkafka"
    if settings.client == "auto":
        return "kafka-python"
    raise ConfigError("client librdkafka is not installed", hint="install it with: pip install 'sensorstream[fast]'")


def open_client(settings: "Settings", listener: "Listener | None" = None) -> "Client":
    """The client that the settings name, with their addresses and options; nothing is connected yet.

    ``listener`` is told which one it is. Raises ConfigError for an unknown client or a wrong client option.
    """
    from sensorstream.clients.properties import parse_properties

    name = client_name(settings)
    properties = parse_properties(settings.properties, settings.origins)
    properties.check_for(name)
    if listener is not None:
        from sensorstream.events import Notice

        chosen = f"{name} (auto)" if settings.client == "auto" else name
        listener(Notice(f"Kafka client: {chosen}", "debug"))
    if name == "librdkafka":
        from sensorstream.clients.librdkafka.client import LibrdkafkaClient

        return LibrdkafkaClient(settings.bootstrap, properties)
    from sensorstream.clients.kafka_python.client import KafkaPythonClient

    return KafkaPythonClient(settings.bootstrap, properties)


def check_publishing(settings: "Settings", listener: "Listener", *, exactly_once: bool = False) -> None:
    """Look at what publishing asks of the client, before any broker is asked; tell what is given up, if anything is.

    Raises ConfigError for a wrong option, for a codec that the client can't write here, and where ``exactly_once``
    needs a promise that is given up.
    """
    from sensorstream.clients.properties import parse_properties
    from sensorstream.events import Notice

    properties = parse_properties(settings.properties, settings.origins)
    lost = properties.check_publishing(client_name(settings), exactly_once=exactly_once)
    if lost is not None:
        listener(Notice(lost, "warning"))
