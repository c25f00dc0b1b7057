"""Stations 7-9: decode records, apply a transform, and store the result.

The position stays that of the input: a record whose rows are stored, one that gave none, and one that went to the
rejected file are all passed in the same way, so a file holds what each record was made into exactly once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from sensorstream.errors import DecodeError
from sensorstream.records import ConsumedRecord
from sensorstream.serde import json as json_serde
from sensorstream.serde.row_maker import PLAIN, RowMaker
from sensorstream.sinks.base import Sink
from sensorstream.sinks.held import Held
from sensorstream.transforms.base import InputRow, OutputRow, Transform, Unusable


def transform_mark(names: Sequence[str], transform: Transform, settings: Sequence[str]) -> Mapping[str, object]:
    """What a file's position says of the transform that made its rows: going on with another one is refused."""
    return {"transform": list(names), "version": transform.version, "set": sorted(settings)}


class TransformedSink:
    """A sink that stores what ``transform`` makes of the rows that ``rows`` makes of the records that it is given.

    The inner sink is given records whose value is the row that was made, as JSON. Its ``rows`` counts the rows that
    were stored, not the records. A record that gives no row, or that the transform can't use, goes to the inner sink's
    rejected file whole. With ``tombstones`` a record without a value goes to the inner sink as it is.
    """

    def __init__(self, inner: Sink, transform: Transform, rows: RowMaker = PLAIN, *, tombstones: bool = False) -> None:
        self._inner = inner
        self._transform = transform
        self._maker = rows
        self._tombstones = tombstones

    @property
    def name(self) -> str:
        """Where the rows go."""
        return self._inner.name

    @property
    def rows(self) -> int:
        """Rows stored since the sink was opened."""
        return self._inner.rows

    @property
    def rejected(self) -> int:
        """Records that went to the rejected file instead."""
        return self._inner.rejected

    def open(self) -> int | None:
        """Make the inner sink ready; its stored position, which is the input's."""
        return self._inner.open()

    @property
    def end(self) -> int | None:
        """Where its range of the input ends."""
        return self._inner.end

    def start(self, offset: int, end: int | None = None) -> None:
        """Begin the inner sink at ``offset`` of the input."""
        self._inner.start(offset, end)

    @property
    def held(self) -> Held | None:
        """Which offsets of the input the inner sink holds."""
        return self._inner.held

    def skip(self, position: int) -> None:
        """Go on at ``position`` of the input."""
        self._inner.skip(position)

    def write(self, records: Sequence[ConsumedRecord]) -> Collection[int]:
        """Add what becomes of the records, in their order. Returns the offsets of those of which no row came."""
        reasons: dict[int, str] = {}
        inputs: list[InputRow] = []
        made: dict[int, list[ConsumedRecord]] = {}
        for record in records:
            if record.value is None and self._tombstones:
                made[record.offset] = [record]
                continue
            try:
                inputs.append(InputRow(self._maker.row(record), record))
            except DecodeError as error:
                reasons[record.offset] = error.message
        for row, answer in zip(inputs, self._transform.apply(inputs) if inputs else (), strict=True):
            offset = row.record.offset
            if isinstance(answer, Unusable):
                reasons[offset] = answer.reason
                continue
            try:
                made[offset] = [_record(row.record, output) for output in answer]
            except (TypeError, ValueError, AttributeError) as error:  # a plug-in that gives what is no row
                reasons[offset] = f"transform {self._transform.name} failed: {error}"
        nothing = {*reasons, *(offset for offset, rows in made.items() if not rows)}
        ready: list[ConsumedRecord] = []
        for record in records:
            if record.offset in reasons:
                # In the input's order: a sink may store its position at any record on the way.
                nothing.update(self._inner.write(ready))
                ready = []
                self._inner.reject(record, reasons[record.offset])
            else:
                ready += made[record.offset]
        nothing.update(self._inner.write(ready))
        return nothing

    def write_values(
        self, values: Sequence[bytes | None], make_records: Callable[[], Sequence[ConsumedRecord]]
    ) -> Collection[int]:
        """Add what becomes of the records that ``make_records`` gives."""
        return self.write(make_records())

    def reject(self, record: ConsumedRecord, reason: str) -> None:
        """Put a record into the rejected file, whole."""
        self._inner.reject(record, reason)

    def commit(self, position: int) -> None:
        """Make everything written durable, with the next offset of the input to read."""
        self._inner.commit(position)

    def settle(self, *, last: bool = False) -> None:
        """Put away what is due in the inner sink."""
        self._inner.settle(last=last)

    def close(self) -> None:
        """Let go without committing."""
        self._inner.close()


def _record(came: ConsumedRecord, output: OutputRow) -> ConsumedRecord:
    """An output row as a record at its input's offset. Raises TypeError or ValueError for what is no row."""
    if not output.row:
        raise TypeError("it made a row without columns")
    return came._replace(
        value=json_serde.encode(output.row),
        key=came.key if output.key is None else output.key,
        timestamp_ms=came.timestamp_ms if output.timestamp_ms is None else output.timestamp_ms,
    )
