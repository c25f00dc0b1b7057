"""Stations 3 and 7: where schemas are stored: in a registry, or in this program's compacted topic.

The topic has a record for each schema, its key the CRC-64-AVRO fingerprint in 16 hexadecimal digits, in the order of
the single-object encoding, its value the schema as JSON. So whoever has the cluster can read what is on it.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from sensorstream.clients import open_client
from sensorstream.clients.base import Client
from sensorstream.clients.schema_registry import SchemaRegistry, access
from sensorstream.config import Settings
from sensorstream.errors import (
    BrokerError,
    ClusterUnreachable,
    CredentialsRefused,
    DataError,
    DeliveryTimeout,
    SchemasRefused,
    SchemasUnreachable,
    UnknownTopic,
)
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.own_topics import entries, make_compacted
from sensorstream.records import TopicPartition
from sensorstream.serde.decoders import DecoderSettings, SchemaOf

SCHEMAS_TOPIC: Final = "_sensorstream_schemas"
_WHERE: Final = TopicPartition(SCHEMAS_TOPIC, 0)
_SENT_S: Final = 30.0
_AGAIN_S: Final = 10.0


def read_schemas(client: Client, listener: Listener = ignore) -> dict[str, str]:
    """The schemas of the cluster by their fingerprints. Raises ClusterUnreachable, DeliveryTimeout."""
    found: dict[str, str] = {}
    with client.reader(listener=listener) as reader:
        try:
            reader.partitions_for(SCHEMAS_TOPIC)
        except UnknownTopic:
            return found
        for key, value in entries(reader, _WHERE, "holds the schemas", "look at: sensorstream cluster status"):
            with suppress(UnicodeDecodeError):
                found[key.decode()] = value.decode()
    return found


def keep_schema(client: Client, settings: Settings, fingerprint: bytes, schema: str, listener: Listener) -> None:
    """See to it that the cluster has this schema before a row of it is published.

    Raises DataError where another schema has its fingerprint, ClusterUnreachable, DeliveryError, BrokerError.
    """
    key = fingerprint.hex()
    known = read_schemas(client, listener).get(key)
    if known is not None:
        if known != schema and json.loads(known) != json.loads(schema):
            raise DataError(
                f"the cluster has another schema with the fingerprint {key}: logical types, defaults and attributes "
                "are no part of it",
                hint="give the record of the new one another name, or use a registry: --schema-registry URL",
            )
        return
    make_compacted(settings, SCHEMAS_TOPIC, 1, replicated_configs={"min.insync.replicas": "2"})
    with client.publisher(listener=listener) as publisher:
        publisher.partitions_for(SCHEMAS_TOPIC)
        delivery = publisher.publish(SCHEMAS_TOPIC, schema.encode(), partition=_WHERE.partition, key=key.encode())
        publisher.flush(_SENT_S)
        delivery.wait(_SENT_S)


class KnownSchemas:
    """The schemas of the cluster, read anew where one is asked for that was not there."""

    def __init__(self, make_client: Callable[[], Client], listener: Listener = ignore) -> None:
        self._make_client = make_client
        self._listener = listener
        self._schemas: dict[str, str] = {}
        self._read_at: float | None = None

    def of(self, fingerprint: bytes) -> str | None:
        """The schema of a fingerprint; None: there is none. Raises SchemasUnreachable."""
        key = fingerprint.hex()
        now = time.monotonic()
        if key not in self._schemas and (self._read_at is None or now - self._read_at >= _AGAIN_S):
            try:
                self._schemas |= read_schemas(self._make_client(), self._listener)
            except CredentialsRefused as error:
                raise SchemasRefused(error.message, hint=error.hint) from error
            except (ClusterUnreachable, DeliveryTimeout, BrokerError) as error:
                raise SchemasUnreachable(error.message, hint=error.hint) from error
            self._read_at = now
        return self._schemas.get(key)


def decoder_settings(
    settings: Settings, topic: str, url: str | None = None, listener: Listener = ignore
) -> DecoderSettings:
    """Where the decoder of a topic's values finds schemas: in the registry at ``url``, or as configured, and on the
    cluster. Nobody is asked yet. Raises UsageError."""
    schemas = KnownSchemas(lambda: open_client(settings, listener), listener)
    registry = _by_id(settings, url or settings.topic(topic).schema_registry)
    return DecoderSettings(topic, registry, schemas.of)


def _by_id(settings: Settings, url: str | None) -> SchemaOf | None:
    known = access(settings, url)
    if known is None:
        return None
    registry = SchemaRegistry(known)
    return lambda number: registry.schema(int.from_bytes(number))
