"""Station 7: the row of a captured record: the columns of its value, and metadata columns on request.

Every sink asks a :class:`RowMaker` for the row of a record and stores what it gets, so what a row is made of is decided
here alone, whatever it is stored in.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from sensorstream.errors import DecodeError, UsageError
from sensorstream.records import ConsumedRecord, Headers, Json, Number, Row, Value
from sensorstream.serde import json as json_serde
from sensorstream.serde.decoders import JSON, VALUE, Decoder, as_base64, as_text
from sensorstream.serde.flatten import flattened

Kind: TypeAlias = Literal["text", "time", "integer", "json", "bool"]

FIELDS: Final[Mapping[str, Kind]] = {
    "key": "text",
    "timestamp": "time",
    "offset": "integer",
    "partition": "integer",
    "headers": "json",
}
"""What of a record ``--with`` can add, and what the values are. A time is ISO 8601 with milliseconds, UTC."""

KEY_FORMATS: Final = ("text", "bytes")
TOMBSTONE: Final = "tombstone"
_NO_HEADERS: Final = Json("[]")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Added(NamedTuple):
    """A part of the record, of :data:`FIELDS`, and the column that it becomes."""

    field: str
    column: str


def parse_with(text: str) -> tuple[Added, ...]:
    """The value of ``--with``: fields, separated by commas, each ``FIELD`` or ``FIELD=COLUMN``. Raises UsageError."""
    added: list[Added] = []
    for part in text.split(","):
        field, _, column = part.strip().partition("=")
        if field not in FIELDS:
            raise UsageError(
                f"--with {part.strip()!r} is not known",
                hint=f"it is one or more of {','.join(FIELDS)}, or FIELD=COLUMN for a column of another name",
            )
        added.append(Added(field, column or field))
    return tuple(added)


class RowMaker:
    """Makes the rows of records: the columns in ``added`` first, then those that ``decoder`` makes of the value.

    ``flatten`` takes nested objects apart. ``tombstones`` makes a row of a record without a value too; a column
    ``tombstone`` tells which those are. ``key_format`` is text (UTF-8) or bytes (base64). Raises UsageError where two
    columns would have one name.
    """

    def __init__(
        self,
        decoder: Decoder = JSON,
        *,
        added: Sequence[Added] = (),
        flatten: bool = False,
        tombstones: bool = False,
        key_format: str = "text",
    ) -> None:
        self.decoder = decoder
        self.added = tuple(added)
        self.flatten = flatten
        self.tombstones = tombstones
        if key_format not in KEY_FORMATS:
            raise UsageError(f"--key-format {key_format!r} is not known", hint=f"it is one of {', '.join(KEY_FORMATS)}")
        self._key_format = key_format
        kinds: dict[str, Kind] = {}
        for field, column in self.added:
            if column in kinds or (column == VALUE and decoder.name in ("text", "bytes")):
                raise UsageError(
                    f"--with gives two columns the name {column!r}",
                    hint="name each field once, and columns differently: FIELD=COLUMN",
                )
            kinds[column] = FIELDS[field]
        if tombstones:
            if TOMBSTONE in kinds:
                raise UsageError(
                    f"--tombstones adds a column {TOMBSTONE!r} itself", hint="name the one of --with otherwise"
                )
            kinds[TOMBSTONE] = "bool"
        self.kinds: Mapping[str, Kind] = kinds
        """The columns that are no part of the value, in their order, and what their values are."""
        parts: dict[str, Callable[[ConsumedRecord], Value]] = {
            "key": self._key,
            "timestamp": lambda record: iso_time(record.timestamp_ms),
            "offset": lambda record: Number(record.offset),
            "partition": lambda record: Number(record.partition),
            "headers": lambda record: _headers(record.headers),
        }
        self._parts = [(column, parts[field]) for field, column in self.added]
        self.plain = decoder is JSON and not (kinds or flatten)
        """Whether a row is its record's value, a JSON object, and nothing else: a sink may then store it as it came."""
        self.plain_values = decoder is JSON and not flatten
        """Whether behind :meth:`beside` a row is its record's value, a JSON object."""

    @property
    def mark(self) -> Mapping[str, str]:
        """What a file must keep to when it is gone on with, in words; empty where rows are plain."""
        if self.plain:
            return {}
        mark = {"--value-format": self.decoder.name, **self.decoder.mark}
        if self.added:
            mark["--with"] = ",".join(field if field == column else f"{field}={column}" for field, column in self.added)
        if self._key_format != "text":
            mark["--key-format"] = self._key_format
        if self.flatten:
            mark["--flatten"] = "yes"
        if self.tombstones:
            mark["--tombstones"] = "yes"
        return mark

    def ahead_of_transform(self) -> "RowMaker":
        """What makes the rows that a transform is given: those of the values alone."""
        return RowMaker(self.decoder, flatten=self.flatten)

    def behind_transform(self) -> "RowMaker":
        """What makes rows of what a transform made, which is JSON: what stands beside the value is added."""
        return RowMaker(added=self.added, tombstones=self.tombstones, key_format=self._key_format)

    def row(self, record: ConsumedRecord) -> Row:
        """The record's row. Raises DecodeError with a reason of one line."""
        value = record.value
        if value is None:
            if not self.tombstones:
                raise DecodeError("a record without a value (tombstone)")
            return self.beside(record)
        row = self.decoder.decode(value)
        if self.flatten:
            row = flattened(row)
        if not self.kinds:
            return row
        around = self.beside(record)
        if not around.keys().isdisjoint(row):
            column = next(column for column in around if column in row)
            raise DecodeError(
                f"it has a column {column!r} itself; name the added one otherwise, as --with {column}=record_{column}"
                if column != TOMBSTONE
                else "it has a column 'tombstone' itself, as --tombstones adds one"
            )
        around.update(row)
        return around

    def beside(self, record: ConsumedRecord) -> dict[str, Value]:
        """The columns that are no part of the value, with which each row begins. Raises DecodeError."""
        row = {column: part(record) for column, part in self._parts}
        if self.tombstones:
            row[TOMBSTONE] = record.value is None
        return row

    def _key(self, record: ConsumedRecord) -> Value:
        if record.key is None:
            return None
        if self._key_format == "bytes":
            return as_base64(record.key)
        try:
            return as_text(record.key)
        except DecodeError as error:
            raise DecodeError(f"its key is no text: {error.message} (--key-format bytes takes any)") from error


PLAIN: Final = RowMaker()
"""Makes of a record the row that its value is, a JSON object."""


def json_line(record: ConsumedRecord, rows: RowMaker) -> bytes:
    """A record as one line of JSON, without its end: plain, any JSON value as it came (a tombstone as ``null``).

    Raises DecodeError.
    """
    if rows.plain:
        return json_serde.one_line(b"null" if record.value is None else record.value)
    # A bare line end can only stand between the tokens of nested values, which keep their letters.
    return json_serde.encode(rows.row(record)).replace(b"\r", b" ").replace(b"\n", b" ")


def iso_time(timestamp_ms: int) -> str | None:
    """Milliseconds since 1970 as ISO 8601 in UTC; None for a record without a time, or of one beyond the year 9999."""
    if timestamp_ms < 0:
        return None
    try:
        moment = _EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return None
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _headers(headers: Headers) -> Json:
    """Headers as in a rejected file: a list, as names may repeat; what is not UTF-8 stands as ``value_base64``."""
    if not headers:
        return _NO_HEADERS
    told: list[dict[str, str | None]] = []
    for name, value in headers:
        try:
            told.append({"name": name, "value": None if value is None else value.decode()})
        except UnicodeDecodeError:
            told.append({"name": name, "value_base64": as_base64(value)})
    return Json(json.dumps(told, ensure_ascii=False, separators=(",", ":")))
