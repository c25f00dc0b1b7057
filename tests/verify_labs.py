"""``verify`` on sources and on files as the sinks write them."""

from collections.abc import Callable
from pathlib import Path

from sensorstream.pipelines.verify.verdict import TopicVerdict, VerifyOptions
from sensorstream.pipelines.verify.verify import verify
from sensorstream.records import ConsumedRecord
from sensorstream.serde.json import RowEncoder
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.csv_file import CsvFileSink
from sensorstream.sinks.jsonl_file import JsonlFileSink
from sensorstream.sources.csv_file import CsvSource

ODD = [
    "0012", "12345678901234567890", "", "1.50", "-3.2", "=1+1", "'=1", "'''-x", "+5", "@x", "\ttab", "1e400",
    "NaN", 'say "hi"', "a,b", "two\nlines", "two\r\nlines", "ü€😀", "\x00", "\x1b[31m", "[red]", " 5 ", "true", "null",
    "x\ry",
]  # fmt: skip


def write_source(path: Path, rows: int = 60) -> Path:
    import csv

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Time", "Station", "=Value", "pH"])
        for number in range(rows):
            writer.writerow([f"2023-08-31 {number:05}", "SVDT1", ODD[number % len(ODD)], f"7.{number % 100:02}"])
    return path


def capture(
    source: Path, folder: Path, *, topic: str = "AIR", form: str = "csv", partitions: int = 2, raw: bool = False,
    rule: Callable[[int], int] | None = None,
) -> Path:  # fmt: skip
    """Publish and capture, with the real encoder and the real sinks but without a cluster."""
    folder.mkdir(exist_ok=True)
    kind = CsvFileSink if form == "csv" else JsonlFileSink
    sinks = [
        kind(
            folder / f"{topic}_Consumer_{partition}.{form}",
            Checkpoint(topic, partition, "c", "t", form, raw=raw, next_offset=0),
        )
        for partition in range(partitions)
    ]
    for sink in sinks:
        assert sink.open() is None
        sink.start(0)
    offsets = [0] * partitions
    with CsvSource(source) as rows:
        encoder = RowEncoder(rows.columns)
        while batch := rows.read(1000):
            for row in batch.rows:
                at = rule(row.number) if rule else row.number % partitions
                sinks[at].write([ConsumedRecord(topic, at, offsets[at], 0, None, encoder.encode(row.cells))])
                offsets[at] += 1
    for sink, offset in zip(sinks, offsets, strict=True):
        sink.commit(offset)
        sink.close()
    return folder


def check(source: Path, *captured: Path, options: VerifyOptions | None = None) -> TopicVerdict:
    result = verify({"AIR": str(source)}, captured, options=options, sources_given=True)
    (verdict,) = result.topics
    assert result.exactly_once == verdict.exactly_once == (verdict.first_difference is None and verdict.expected > 0)
    return verdict


def figures(verdict: TopicVerdict) -> dict[str, int]:
    names = ("missing", "doubled", "reordered", "different", "misplaced", "unexpected")
    return {name: getattr(verdict, name) for name in names if getattr(verdict, name)}


def edit(path: Path, change: Callable[[list[bytes]], object]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))
