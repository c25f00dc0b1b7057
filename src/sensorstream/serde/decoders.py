"""Station 7: how the value of a record becomes columns, a decoder for each ``--value-format``.

A format that needs more than the bytes (schemas, a registry) finds it in :class:`DecoderSettings`. Its factory is
called once, before anything is read, and imports what it needs itself: that is where a missing extra is told.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sensorstream.errors import DecodeError, UsageError
from sensorstream.records import Row
from sensorstream.serde import json as json_serde

VALUE: Final = "value"
"""The column of a value that has no columns of its own."""

SchemaOf: TypeAlias = Callable[[bytes], str | None]
"""The schema, as JSON, of the id (4 bytes) or the fingerprint (8 bytes) in a value; None: there is none.
It raises SchemasUnreachable where nobody can be asked: then the value is not at fault."""

Decode: TypeAlias = Callable[[bytes], Row]
"""One record's value, which is not None, to its columns. Raises DecodeError with a reason of one line."""


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """What decoders may need to know beside the bytes of a record: the ``topic`` that is read, and where Avro's schemas
    are: what is asked for that of an id in a registry (None: no registry is known) and for that of a fingerprint."""

    topic: str = ""
    schema_by_id: SchemaOf | None = None
    schema_by_fingerprint: SchemaOf | None = None


@dataclass(frozen=True, slots=True)
class Decoder:
    """A format's way from bytes to columns.

    ``mark`` holds what else decides what the columns are, such as a schema that was given, in names and words: a file
    that was begun with another mark is not gone on with. ``prepare`` is called with values before any of them is
    decoded and anything is written: what has to be asked for is asked for there. It raises SchemasUnreachable.
    """

    name: str
    decode: Decode
    mark: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Iterable[bytes | None]], None] | None = None


JSON: Final = Decoder("json", json_serde.decode)


def as_text(value: bytes) -> str:
    """Bytes as the text that they are in UTF-8. Raises DecodeError."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"byte {error.start} is not UTF-8") from error


def as_base64(value: bytes) -> str:
    """Any bytes as text: base64 (RFC 4648, section 4)."""
    return base64.b64encode(value).decode()


def _text(value: bytes) -> Row:
    return {VALUE: as_text(value)}


def _bytes(value: bytes) -> Row:
    return {VALUE: as_base64(value)}


def _avro(settings: DecoderSettings) -> Decoder:
    from sensorstream.serde.avro_decode import AvroDecoder
    from sensorstream.serde.avro_schema import require_fastavro

    require_fastavro()
    avro = AvroDecoder(settings.schema_by_id, settings.schema_by_fingerprint)
    return Decoder("avro", avro.decode, prepare=avro.prepare)


_FACTORIES: Final[Mapping[str, Callable[[DecoderSettings], Decoder]]] = {
    "json": lambda _: JSON,
    "avro": _avro,
    "text": lambda _: Decoder("text", _text),
    "bytes": lambda _: Decoder("bytes", _bytes),
}

FORMATS: Final = tuple(_FACTORIES)
"""The names that ``--value-format`` takes."""


def open_decoder(name: str, settings: DecoderSettings | None = None) -> Decoder:
    """The decoder of this name, ready to be used. Raises UsageError: no such format, or an extra is missing."""
    factory = _FACTORIES.get(name)
    if factory is None:
        raise UsageError(f"--value-format {name!r} is not known", hint=f"it is one of {', '.join(FORMATS)}")
    return factory(settings or DecoderSettings())
