"""Station 2: rows and rows that can't be used, in the order in which they stand in their source."""

from collections.abc import Iterator
from typing import NamedTuple

from sensorstream.records import Rejected, SourceRow
from sensorstream.sources.base import Batch


class UnusableRow(NamedTuple):
    """A row that can't be used: its index, and why."""

    row: int
    rejected: Rejected


def in_order(batch: Batch, begin: int) -> Iterator[SourceRow | UnusableRow]:
    """Rows and rejected rows as they stand in the source; a rejected one took the next index that no row has."""
    rejected = iter(batch.rejected)
    number = begin
    for row in batch.rows:
        while number < row.number:
            yield UnusableRow(number, next(rejected))
            number += 1
        yield row
        number += 1
    for at, last in enumerate(rejected, number):
        yield UnusableRow(at, last)
