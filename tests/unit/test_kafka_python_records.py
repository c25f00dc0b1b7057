"""Record batches written and read in bulk are what kafka-python itself writes and reads."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition as KafkaPartition

from sensorstream.clients.kafka_python.delivery import Futures, Part
from sensorstream.clients.kafka_python.records import Run, RunRecords, append_values, runs
from sensorstream.records import ConsumedRecord

AIR0 = KafkaPartition("AIR", 0)
GZIP = 1

a_record = st.tuples(
    st.none() | st.binary(max_size=200),
    st.none() | st.binary(max_size=200) | st.integers(16380, 16390).map(bytes),
    st.integers(0, 2**40),
    st.lists(st.tuples(st.text(max_size=70), st.binary(max_size=70)), max_size=3),
)


def built(records: Sequence[tuple[Any, Any, int, Any]], *, codec: int = 0, skipped: int = 0) -> bytes:
    """A record batch as the library writes it."""
    builder = MemoryRecordsBuilder(2, codec, 10**9)
    for number, (key, value, stamp, headers) in enumerate(records):
        assert builder.append(stamp, key, value, headers) is not None
        if skipped and number == 0:
            builder.skip(skipped)
    builder.close()
    return bytes(builder.buffer())


def opened(data: bytes, *, begin: int = 0) -> RunRecords:
    return RunRecords(begin, AIR0, MemoryRecords(data), check_crcs=True, isolation_level=IsolationLevel.READ_COMMITTED)


def all_of(given_runs: Sequence[Run]) -> tuple[list[int], list[bytes | None], list[ConsumedRecord]]:
    once = runs(given_runs)
    return (
        [offset for run in once for offset in run.offsets()],
        [value for run in once for value in run.values()],
        [record for run in once for record in run.records()],
    )


def moved(data: bytes, base: int) -> bytes:
    """The batch as the broker stores it: from another offset on."""
    return base.to_bytes(8, "big") + data[8:]


@given(st.lists(a_record, min_size=1, max_size=20), st.sampled_from([0, GZIP]), st.sampled_from([0, 5]))
def test_what_the_library_wrote_is_read_the_same(records: list[Any], codec: int, skipped: int) -> None:
    data = moved(built(records, codec=codec, skipped=skipped), 1000)
    theirs = [record for batch in MemoryRecords(data) for record in batch]
    part = opened(data, begin=1000)
    offsets, values, whole = all_of(part.take())
    assert offsets == [record.offset for record in theirs]
    assert values == [record.value for record in theirs]
    assert [tuple(one) for one in whole] == [
        ("AIR", 0, one.offset, one.timestamp, one.key, one.value, tuple(one.headers)) for one in theirs
    ]
    assert part.next_fetch_offset == theirs[-1].offset + 1
    assert not part


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=50), st.integers(61, 3000), st.integers(0, 2**40))
def test_values_written_in_bulk_are_read_by_the_library(values: list[bytes], room: int, now: int) -> None:
    at = 0
    read: list[Any] = []
    while at < len(values):
        builder = MemoryRecordsBuilder(2, 0, room)
        taken = append_values(builder, values, at, now)
        assert taken >= 1
        at += taken
        builder.close()
        assert taken == 1 or len(builder.buffer()) <= room
        (batch,) = MemoryRecords(bytes(builder.buffer()))
        assert batch.validate_crc()
        read.extend(batch)
        assert [record.offset for record in read[-taken:]] == list(range(taken))
    assert [record.value for record in read] == values
    assert {(record.key, record.timestamp) for record in read} == {(None, now)}


def test_bulk_and_single_records_share_a_batch_and_time_never_runs_backwards() -> None:
    builder = MemoryRecordsBuilder(2, 0, 10**6)
    builder.append(5000, b"k", b"first", [])
    assert append_values(builder, [b"a", b"b"], 0, 5300) == 2
    assert append_values(builder, [b"a", b"early"], 1, 4000) == 1
    builder.append(6000, None, b"last", [])
    builder.close()
    (batch,) = MemoryRecords(bytes(builder.buffer()))
    assert (batch.first_timestamp, batch.max_timestamp) == (5000, 6000)
    assert [(one.offset, one.value, one.timestamp) for one in batch] == [
        (0, b"first", 5000), (1, b"a", 5300), (2, b"b", 5300), (3, b"early", 5000), (4, b"last", 6000)
    ]  # fmt: skip
    assert append_values(builder, [b"x"], 0, 1) == 0  # closed


def test_a_large_batch_of_tiny_records_and_long_values() -> None:
    values = [b"%d" % number for number in range(40000)] + [b"y" * 70000]
    builder = MemoryRecordsBuilder(2, 0, 10**7)
    assert append_values(builder, values, 0, 1) == len(values)
    builder.close()
    offsets, read, whole = all_of(opened(bytes(builder.buffer())).take())
    assert offsets == list(range(len(values)))
    assert read == values == [record.value for record in whole]


def test_reading_begins_inside_a_batch_and_is_handed_out_in_pieces() -> None:
    rows: list[Any] = [(None, b"%d" % number, 1, []) for number in range(10)]
    part = opened(built(rows) + moved(built(rows), 10), begin=4)
    taken: list[int] = []
    while part:
        given_runs = part.take(3)
        assert len(given_runs) <= 3
        offsets, values, _ = all_of(given_runs)
        assert values == [b"%d" % (offset % 10) for offset in offsets]
        taken += offsets
        if offsets:
            assert part.next_fetch_offset == offsets[-1] + 1
    assert taken == list(range(4, 20))


@pytest.mark.parametrize("whole_crc", [False, True])
def test_a_damaged_batch_is_an_error_after_what_came_before_it(whole_crc: bool) -> None:
    rows: list[Any] = [(None, b"%d" % number, 1, []) for number in range(10)]
    damaged = bytearray(moved(built(rows), 10))
    damaged[61] = 0x7F  # the first record's length
    if whole_crc:
        from kafka.record.util import calc_crc32c

        damaged[17:21] = calc_crc32c(bytes(damaged[21:])).to_bytes(4, "big")
    part = opened(built(rows) + bytes(damaged))
    assert all_of(part.take())[0] == list(range(10))
    assert part.next_fetch_offset == 10
    with pytest.raises(CorruptRecordError, match="offset 10"):
        part.take()


class Outcome:
    """The library's future of a batch, as far as a delivery looks at it."""

    topic_partition = AIR0

    def __init__(self) -> None:
        import threading

        self.is_done = False
        self.value: Any = None
        self._latch = threading.Event()

    def wait(self, timeout: float) -> bool:
        return self._latch.wait(timeout)

    def settle(self, offset: int, failure: Any = None) -> None:
        self.value = (offset, -1, failure)
        self.is_done = True
        self._latch.set()


def test_records_of_one_call_share_an_outcome_until_the_library_splits_their_batch() -> None:
    whole, first, second = Outcome(), Outcome(), Outcome()
    part = Part(whole, 1, 4)
    futures = Futures(["other", *[part] * 4])
    assert futures[0] == "other"
    assert not part.done()
    for index, (target, place) in enumerate([(first, 0), (first, 1), (second, 0), (second, 1)], start=1):
        futures[index].rebind(target, place)
        assert not part.done()
    first.settle(10)
    assert not part.done()
    second.settle(-1, lambda _: ValueError("no"))
    assert part.done()
    assert part.failed == 2


def test_a_long_batch_written_in_parts_has_the_library_s_bytes() -> None:
    # The offsets take one byte, then two, then three; lengths come again after others.
    values = [bytes(number % 7 * 60) for number in range(8300)]
    ours, theirs = MemoryRecordsBuilder(2, 0, 10**7), MemoryRecordsBuilder(2, 0, 10**7)
    for begin, end in ((0, 1), (1, 60), (60, 8190), (8190, 8300)):
        assert append_values(ours, values[begin:end], 0, 5000) == end - begin
    for value in values:
        theirs.append(5000, None, value, [])
    ours.close()
    theirs.close()
    assert bytes(ours.buffer()) == bytes(theirs.buffer())
