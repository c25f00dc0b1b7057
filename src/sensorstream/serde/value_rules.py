"""Station 3: how the values of a source's records are made, if they are not just its rows as JSON.

A rule is made once, before the first row, and is all that a process, or somebody who mends a rejected row later,
needs to make the same values.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sensorstream.errors import DecodeError, SourceError
from sensorstream.serde.avro_encode import AvroEncoder
from sensorstream.serde.avro_schema import CONFLUENT, compact
from sensorstream.serde.json_schema import CheckedEncoder

AVRO: Final = "avro"
JSON: Final = "json"


class _Encoder(Protocol):
    def encode(self, cells: Sequence[str]) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ValueRule:
    """Values in Avro, or JSON that is checked.

    ``schema`` is the Avro schema or the JSON Schema, ``name`` what to call it. Avro values begin with ``prefix``, which
    names the schema. ``time_formats`` are the formats of time columns, by column.
    """

    format: str
    schema: str
    name: str = "the schema"
    prefix: bytes = b""
    time_formats: Mapping[str, str] = field(default_factory=dict)

    def encoder(self, columns: Sequence[str], plain: _Encoder, *, whole: bool) -> _Encoder:
        """The encoder of a source's rows. ``plain`` makes them JSON; ``whole``: the last cell is a JSON object.

        Raises UsageError where the schema is not for these columns, SourceError where it is none.
        """
        schema = json.loads(self.schema)
        if self.format == JSON:
            return CheckedEncoder(schema, plain, self.name)
        return AvroEncoder(
            schema, self.prefix, columns, whole=whole, name=self.name, time_formats=dict(self.time_formats)
        )

    @property
    def identity(self) -> str:
        """Which schema it is, in words: its id in the registry, its fingerprint, or the digest of its text."""
        if self.prefix[:1] == CONFLUENT:
            return f"id {int.from_bytes(self.prefix[1:])}"
        if self.prefix:
            return f"fingerprint {self.prefix[2:].hex()}"
        return f"sha256 {hashlib.sha256(self.schema.encode()).hexdigest()}"

    @property
    def how(self) -> dict[str, Any]:
        """The rule in a dead letter's words."""
        told: dict[str, Any] = {"value_format": self.format, "schema": json.loads(self.schema)}
        if self.prefix:
            told["prefix"] = self.prefix.hex()
        if self.time_formats:
            told["time_formats"] = dict(self.time_formats)
        return told


def rule_of(how: Mapping[str, Any]) -> ValueRule | None:
    """The rule of :attr:`ValueRule.how`; None: rows as JSON. Raises DecodeError for what is no rule."""
    kind = how.get("value_format", JSON)
    if "schema" not in how and kind == JSON:
        return None
    try:
        prefix, formats = bytes.fromhex(how.get("prefix", "")), dict(how.get("time_formats", {}))
        if kind not in (AVRO, JSON) or (kind == AVRO) != bool(prefix):
            raise ValueError
        return ValueRule(kind, compact(how["schema"]), "the schema in its how", prefix, formats)
    except (KeyError, TypeError, ValueError, SourceError) as error:
        raise DecodeError("how its value is written is not known: see value_format in its how") from error
