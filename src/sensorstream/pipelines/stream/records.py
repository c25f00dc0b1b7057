"""Stations 7, 8 and 3 of a stream: from consumed records to published ones, outputs and dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sensorstream.clients.sizes import batch_of_one
from sensorstream.errors import DecodeError, SensorstreamError
from sensorstream.records import ConsumedRecord, Headers, Row
from sensorstream.serde.json import decode, encode
from sensorstream.transforms.base import InputRow, OutputRow, Transform, Transformed, Unusable
from sensorstream.wording import counted

HEADER: Final = "sensorstream."
"""What the names of a dead letter's own headers begin with."""
_REASON_LENGTH: Final = 500


class Letter(NamedTuple):
    """One record to be published. ``partition`` None lets the key choose."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None
    headers: Headers


@dataclass(slots=True)
class Made:
    """One consumed record and what is published of it; ``dead`` says that it is the record itself."""

    record: ConsumedRecord
    letters: list[Letter]
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """From where to where: topics, their numbers of partitions, and the most bytes that the last two take at once."""

    source: str
    source_partitions: int
    target: str
    target_partitions: int
    dead: str
    dead_partitions: int
    target_limit: int | None = None
    dead_limit: int | None = None


class RecordTransformer:
    """Makes of consumed records what is to be published.

    ``plain`` names the column under which a record's whole value is the text; None: records are JSON objects.
    """

    def __init__(self, transform: Transform, route: Route, plain: str | None = None) -> None:
        self._transform = transform
        self._route = route
        self._plain = plain
        self._same = route.source_partitions == route.target_partitions

    def make(self, records: Sequence[ConsumedRecord]) -> list[Made]:
        """One for each record, in order. Raises SensorstreamError when the transform itself fails."""
        made: list[Made] = [Made(record, []) for record in records]
        rows: list[InputRow] = []
        usable: list[Made] = []
        for one in made:
            try:
                row = self._decode(one.record.value)
            except DecodeError as error:
                self.bury(one, error.message)
            else:
                rows.append(InputRow(row, one.record))
                usable.append(one)
        for one, transformed in zip(usable, self._apply(rows), strict=True):
            if isinstance(transformed, Unusable):
                self.bury(one, transformed.reason)
                continue
            try:
                one.letters = [self._letter(one.record, output) for output in transformed]
                self._check_size(one)
            except (TypeError, ValueError, AttributeError) as error:  # a plug-in that gives what is no row
                self.bury(one, f"{self._transform.name} gave a row that can't be written: {error}")
        return made

    def _decode(self, value: bytes | None) -> Row:
        if value is None:
            raise DecodeError("the record has no value")
        if self._plain is None:
            return decode(value)
        try:
            return {self._plain: value.decode()}
        except UnicodeDecodeError as error:
            raise DecodeError(f"byte {error.start} is not UTF-8") from error

    def _apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        if not rows:
            return ()
        try:
            transformed = self._transform.apply(rows)
        except SensorstreamError:
            raise
        except Exception as error:
            raise self._failed(rows, f"{type(error).__name__}: {error}") from error
        if len(transformed) != len(rows):
            raise self._failed(rows, f"it gave {counted(len(transformed), 'answer')} for {counted(len(rows), 'row')}")
        return transformed

    def _failed(self, rows: Sequence[InputRow], why: str) -> SensorstreamError:
        first, last = rows[0].record, rows[-1].record
        where = f"{first.topic}[{first.partition}] offsets {first.offset} to {last.offset}"
        return SensorstreamError(
            f"transform {self._transform.name} failed at {where}: {' '.join(why.split())}",
            hint="nothing of them was published; fix the transform and start again",
        )

    def _letter(self, record: ConsumedRecord, output: OutputRow) -> Letter:
        key = record.key if output.key is None else output.key
        stamp = record.timestamp_ms if output.timestamp_ms is None else output.timestamp_ms
        if self._same:
            partition: int | None = record.partition
        elif key is not None:
            partition = None
        else:
            partition = record.partition % self._route.target_partitions
        return Letter(self._route.target, partition, key, encode(output.row), stamp if stamp >= 0 else None, ())

    def _check_size(self, made: Made) -> None:
        """Bury what the target's brokers would refuse, and with it all that is on its way together with it."""
        limit = self._route.target_limit
        if limit is not None:
            size = max((batch_of_one(len(one.key or b"") + len(one.value or b"")) for one in made.letters), default=0)
            if size > limit:
                self.bury(
                    made,
                    f"its output of {counted(size, 'byte')} is too large: {self._route.target} takes {limit} at once",
                )

    def bury(self, made: Made, reason: str) -> None:
        """Make a dead letter of a record: itself, as it was read, with headers that say why and where it was.

        Raises SensorstreamError when that is more than their topic takes.
        """
        record, route = made.record, self._route
        told = {
            "reason": " ".join(reason.split())[:_REASON_LENGTH],
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "transform": f"{self._transform.name} {self._transform.version}",
        }
        headers = (*record.headers, *((HEADER + name, text.encode("utf-8", "replace")) for name, text in told.items()))
        stamp = record.timestamp_ms if record.timestamp_ms >= 0 else None
        partition = record.partition % route.dead_partitions
        size = batch_of_one(len(record.key or b"") + len(record.value or b""), headers)
        if route.dead_limit is not None and size > route.dead_limit:
            raise too_large_for_the_dead(
                record, route.dead, f"{counted(size, 'byte')}, and it takes {route.dead_limit}"
            )
        made.letters = [Letter(route.dead, partition, record.key, record.value, stamp, headers)]
        made.dead = True


def too_large_for_the_dead(record: ConsumedRecord, dead: str, why: str) -> SensorstreamError:
    """A record that can't be used, and is too large to be kept with the reason in the topic ``dead``."""
    more = "BYTES" if record.value is None else str(len(record.value) + 65536)
    return SensorstreamError(
        f"{record.topic}[{record.partition}] offset {record.offset} can't be used, and is too large for {dead}: {why}",
        hint=f"make room: sensorstream topics alter {dead} --set max.message.bytes={more}, and stream with "
        f"-X max.request.size={more}",
    )
