"""Stations 1-3 for a corrected dead letter: the record to publish, by the rules of its original replay."""

from typing import Final, NamedTuple

from sensorstream.clients.partitioner import partition_for_key
from sensorstream.errors import DecodeError, UsageError
from sensorstream.records import Headers, SourceRow
from sensorstream.serde.json import decode, one_line
from sensorstream.sinks.dead_letter import DeadLetter
from sensorstream.sources.one_row import OneRow
from sensorstream.sources.row_times import FirstTimes, RowTimes
from sensorstream.sources.times import TimeRule

_COLUMN: Final = "column:"


class Mended(NamedTuple):
    """A record to be published. ``by`` chooses the partition: a number, modulo the topic's partitions, bytes to be
    hashed, or None for any."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None
    headers: Headers
    by: int | bytes | None

    def partition(self, partitions: int) -> int | None:
        """Its partition of so many; None: any."""
        if isinstance(self.by, bytes):
            return partition_for_key(self.by, partitions)
        return None if self.by is None else self.by % partitions


def mended(letter: DeadLetter) -> Mended:
    """What to publish of a letter. Raises DecodeError with the reason while it can't be used."""
    if letter.topic is None:
        raise DecodeError("it has no topic")
    if letter.file is None:
        return _record(letter, letter.topic)
    return _row(letter, letter.topic)


def _record(letter: DeadLetter, topic: str) -> Mended:
    try:
        if letter.value is None:
            raise DecodeError("the record has no value" if letter.transform else "it has no value")
        if not decode(letter.value):
            raise DecodeError("an object without columns")
    except DecodeError as error:
        # JSON Lines take any JSON value, and a stream of plain texts any text: it is only held against what was not
        # taken for just this reason.
        if error.message == letter.reason or letter.value is None:
            raise
    if letter.transform is None:
        one_line(letter.value)  # a capture or an aggregate would reject it again
    return Mended(topic, letter.key, letter.value, letter.timestamp_ms, letter.headers, letter.partition)


def _row(letter: DeadLetter, topic: str) -> Mended:
    if letter.cut:
        raise DecodeError('its end is missing: put the whole row into value and take "cut" away')
    try:
        text = (letter.value or b"").decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"byte {error.start} of its value is not UTF-8") from error
    how = letter.how
    key, rule = _name(letter, "key"), _name(letter, "partition_by") or ("key" if "key" in how else "row")
    time_column = _name(letter, "time_column")
    hashed = rule.removeprefix(_COLUMN) if rule.startswith(_COLUMN) else None
    time = None
    if time_column is not None:
        time = TimeRule(time_column, _name(letter, "time_format"), _name(letter, "time_zone"))
    fields = (key, *(() if time is None else time.names), hashed)
    row = OneRow(how, text, tuple(name for name in fields if name is not None))
    by: int | bytes | None = letter.row
    if hashed is not None:
        by = row.cell(hashed).encode()
    elif rule == "key":
        by = None if key is None else row.cell(key).encode()
    elif rule != "row":
        raise DecodeError("the partition_by in its how is not row, key or column:NAME")
    stamp = None
    if time is not None:
        stamp = _time(time, row)
    return Mended(topic, None if key is None else row.cell(key).encode(), row.value, stamp, (), by)


def _time(rule: TimeRule, row: OneRow) -> int:
    try:
        rule.check()
        at = rule.among(row.columns, "it")
        return RowTimes(FirstTimes(rule), at).of(SourceRow(0, 0, row.cells))
    except UsageError as error:
        raise DecodeError(error.message) from error


def _name(letter: DeadLetter, name: str) -> str | None:
    found = letter.how.get(name)
    if found is not None and not isinstance(found, str):
        raise DecodeError(f"the {name} in its how is no text")
    return found
