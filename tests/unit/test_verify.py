"""verify: sources against files as the sinks write them, whole and with mishaps."""

import json
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorstream.cli.app import run
from sensorstream.errors import Interrupted, SourceError, UsageError
from sensorstream.events import Event, Notice, ignore
from sensorstream.pipelines.verify.verdict import TopicVerdict, VerifyOptions
from sensorstream.pipelines.verify.verify import verify
from sensorstream.records import ConsumedRecord
from sensorstream.serde.json import RowEncoder
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.csv_file import CsvFileSink
from sensorstream.sinks.dead_letter import rejected_record
from sensorstream.sinks.jsonl_file import JsonlFileSink
from sensorstream.sinks.rejected import RejectedFile
from sensorstream.sources.csv_file import CsvSource
from sensorstream.sources.formats import SourceForm

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


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "AIR.csv")


@pytest.fixture
def folder(source: Path, tmp_path: Path) -> Path:
    return capture(source, tmp_path / "captured")


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


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("sidecars", [True, False])
def test_a_whole_capture_is_right(source: Path, tmp_path: Path, form: str, raw: bool, sidecars: bool) -> None:
    folder = capture(source, tmp_path / "it", form=form, raw=raw)
    if not sidecars:
        for position in folder.glob("*.position"):
            position.unlink()
    verdict = check(source, folder, options=VerifyOptions(raw=raw))
    assert verdict.exactly_once, verdict.first_difference
    assert (verdict.expected, verdict.captured, verdict.partitions) == (60, 60, 2)
    assert [Path(name).name for name in verdict.captured_files] == [f"AIR_Consumer_{p}.{form}" for p in (0, 1)]


def test_unescaped_text_where_escaped_is_expected_is_a_difference(source: Path, tmp_path: Path) -> None:
    folder = capture(source, tmp_path / "it", raw=True)
    for position in folder.glob("*.position"):
        position.unlink()
    verdict = check(source, folder)
    assert not verdict.exactly_once
    assert verdict.missing == verdict.unexpected == 0
    assert verdict.different > 5


def test_a_missing_row(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_0.csv", lambda lines: lines.pop(3))
    verdict = check(source, folder)
    assert figures(verdict) == {"missing": 1}
    first = verdict.first_difference
    assert first is not None
    assert (first.kind, first.source_file, first.source_line) == ("missing", str(source), 6)
    assert first.text == f"{source} line 6 is missing from {folder}/AIR_Consumer_0.csv"


def test_a_doubled_row(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_1.csv", lambda lines: lines.insert(3, lines[2]))
    verdict = check(source, folder)
    assert figures(verdict) == {"doubled": 1}
    first = verdict.first_difference
    assert first is not None
    assert (first.kind, first.captured_file, first.captured_line) == ("doubled", f"{folder}/AIR_Consumer_1.csv", 4)


def test_a_whole_capture_appended_once_more_is_all_doubled(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_0.csv", lambda lines: lines.extend(lines[1:]))
    assert figures(check(source, folder)) == {"doubled": 30}


def test_a_row_out_of_order(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_1.csv", lambda lines: lines.insert(4, lines.pop(2)))
    verdict = check(source, folder)
    assert figures(verdict) == {"reordered": 1}
    assert verdict.first_difference is not None
    assert "is out of order" in verdict.first_difference.text


def test_a_changed_value_is_named_with_its_column(source: Path, folder: Path) -> None:
    path = folder / "AIR_Consumer_0.csv"
    path.write_bytes(path.read_bytes().replace(b"2023-08-31 00002,SVDT1,,7.02", b"2023-08-31 00002,SVDT1,,7.020"))
    verdict = check(source, folder)
    assert figures(verdict) == {"different": 1}
    first = verdict.first_difference
    assert first is not None
    assert (first.source_line, first.captured_line) == (4, 3)
    assert (first.column, first.expected, first.captured) == ("pH", "7.02", "7.020")
    assert first.text == f"{path} line 3, column pH: '7.020' where {source} line 4 has '7.02'"


def test_a_changed_value_of_a_json_line(source: Path, tmp_path: Path) -> None:
    folder = capture(source, tmp_path / "it", form="jsonl")
    edit(folder / "AIR_Consumer_0.jsonl", lambda it: it.__setitem__(0, it[0].replace(b'"0012"', b"12")))
    edit(folder / "AIR_Consumer_1.jsonl", lambda it: it.__setitem__(4, b"no json\n"))
    verdict = check(source, folder)
    assert figures(verdict) == {"different": 1, "missing": 1, "unexpected": 1}
    assert verdict.first_difference is not None
    assert (verdict.first_difference.expected, verdict.first_difference.captured) == ('"0012"', "12")


def test_json_lines_written_in_another_way_are_the_same(source: Path, tmp_path: Path) -> None:
    folder = capture(source, tmp_path / "it", form="jsonl")
    path = folder / "AIR_Consumer_0.jsonl"
    first, *rest = path.read_text().splitlines()
    row = json.loads(first)
    turned = json.dumps(dict(reversed(row.items())), indent=1).replace("\n", " ").replace("7.0,", "7.00,")
    path.write_text("\n".join([turned, *rest]) + "\n")
    assert check(source, folder).exactly_once


def test_a_row_that_no_source_has(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_0.csv", lambda lines: lines.append(b"2024,SVDT9,x,1\n"))
    verdict = check(source, folder)
    assert figures(verdict) == {"unexpected": 1}
    edit(folder / "AIR_Consumer_1.csv", lambda lines: lines.append(b"half a ro"))
    assert figures(check(source, folder)) == {"unexpected": 2}


def test_a_value_in_a_column_of_its_own_is_a_difference(source: Path, folder: Path) -> None:
    path = folder / "AIR_Consumer_1.csv"
    lines = path.read_text().replace("pH\n", "pH,More\n", 1)
    path.write_text(lines.replace("7.01\n", "7.01,x\n", 1).replace("\n2023-08-31 00003,SVDT1,1.50,7.03\n", "\n", 1))
    verdict = check(source, folder)
    assert verdict.captured == 29 + 30
    assert not verdict.exactly_once


def test_columns_in_another_order_are_the_same_rows(tmp_path: Path) -> None:
    source = tmp_path / "AIR.csv"
    source.write_text("a,b\n1,2\n3,4\n5,6\n")
    captured = tmp_path / "AIR_Consumer_0.csv"
    captured.write_text("b,c,a\n2,,1\n4,,3\n6,,5\n")
    assert check(source, captured).exactly_once
    captured.write_text("b,c,a\n2,,1\n4,x,3\n6,,5\n")
    verdict = check(source, captured)
    assert figures(verdict) == {"different": 1}


def test_a_partition_without_a_file_is_missing(source: Path, folder: Path) -> None:
    (folder / "AIR_Consumer_0.csv").unlink()
    verdict = check(source, folder)
    assert figures(verdict) == {"missing": 30}
    assert verdict.first_difference is not None
    assert verdict.first_difference.text.endswith("is missing: there is no captured file of AIR[0]")
    assert figures(check(source, folder, options=VerifyOptions(partitions=3)))["missing"] > 30


def test_an_empty_captured_file_holds_no_rows(source: Path, folder: Path) -> None:
    (folder / "AIR_Consumer_1.csv").write_bytes(b"")
    assert figures(check(source, folder)) == {"missing": 30}


def test_rows_sent_by_key_are_right_with_any_and_misplaced_without(source: Path, tmp_path: Path) -> None:
    folder = capture(source, tmp_path / "it", partitions=3, rule=lambda number: number * 7 % 5 % 3)
    assert check(source, folder, options=VerifyOptions(partition_by="any")).exactly_once
    verdict = check(source, folder)
    assert verdict.misplaced == verdict.missing > 10
    assert verdict.first_difference is not None
    edit(folder / "AIR_Consumer_2.csv", lambda lines: lines.insert(2, lines.pop(1)))
    assert figures(check(source, folder, options=VerifyOptions(partition_by="any"))) == {"reordered": 1}
    edit(folder / "AIR_Consumer_2.csv", lambda lines: lines.pop())
    verdict = check(source, folder, options=VerifyOptions(partition_by="any"))
    assert figures(verdict) == {"missing": 1, "reordered": 1}


def test_rejected_source_rows_are_listed_and_not_compared(source: Path, tmp_path: Path) -> None:
    edit(source, lambda lines: lines.insert(5, b"short,row\n"))
    verdict = check(source, capture(source, tmp_path / "it"))
    assert verdict.exactly_once
    assert (verdict.expected, verdict.rejected) == (60, 1)
    assert [(bad.line, bad.reason) for bad in verdict.rejected_rows] == [
        (6, "it has 2 fields, the header has 4"),
    ]


def test_a_verdict_says_what_it_does_not_cover(source: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", "--source", f"AIR={source}", "--partitions", "9", "--partition-by", "any", str(folder)]
    edit(source, lambda lines: lines.extend([b"[red]\x1b[31m\n"] * 5))
    rejected = RejectedFile(folder / "AIR_Consumer_1.rejected.jsonl", ignore)
    for offset in range(4):
        record = ConsumedRecord("AIR", 1, offset, 5, None, b"bad")
        rejected.add(rejected_record(record, f"it is \x1b[31m bad {offset}"))
    edit(rejected.path, lambda lines: lines.__setitem__(1, b"{badly edited\n"))
    edit(rejected.path, lambda lines: lines.__setitem__(2, lines[2].rstrip(b"}\n") + b', "retried": {}}\n'))
    assert run(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        "AIR: 60 of 60 rows in 2 files, each exactly once",
        *(f"  {source} line {line} can't be used: it has 1 field, the header has 4" for line in (68, 69, 70)),
        "  and 2 more rows that can't be used",
        "  AIR[1] offset 0 was rejected by the capture: it is \\x1b[31m bad 0",
        f"  {rejected.path} line 2: the line can't be read: it is not JSON: Expecting property name enclosed in double "
        "quotes at column 2",
        "  AIR[1] offset 3 was rejected by the capture: it is \\x1b[31m bad 3",
        "verdict: each row that was compared was captured exactly once, in order within each file",
        f"not covered: 5 rows of {source} can't be used: not compared; 3 records of AIR rejected by the capture: not "
        "compared; no captured file of AIR partition 2, 3, 4, 5, 6 and 2 more",
    ]


@pytest.mark.parametrize("bad", [29, 0])
def test_where_no_row_was_compared_nothing_is_proved(
    tmp_path: Path, bad: int, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "AIR.csv"
    source.write_text("a,b\n" + "1\n" * bad)
    folder = capture(source, tmp_path / "it")
    assert run(["verify", "--source", f"AIR={source}", str(folder)]) == 4
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "AIR: no row to compare"
    assert "verdict: NONE, there is a topic of which no row was compared" in out
    assert (f"  and {bad - 3} more rows" in out) == (bad > 0)
    assert err == f"error: nothing was compared: {source} has no row that can be used\n"
    assert run(["verify", "--source", f"AIR={source}", str(folder), "--output", "json"]) == 4
    result = json.loads(capsys.readouterr().out)["result"]
    assert (result["exactly_once"], result["compared"]) == (False, 0)
    (topic,) = result["topics"]
    assert (topic["exactly_once"], topic["rejected"], topic["first_difference"]) == (False, bad, None)


def test_a_limit_compares_the_first_rows_only(source: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_bytes(source.read_bytes())
    folder = capture(source, tmp_path / "it")
    write_source(source, 100)
    assert figures(check(source, folder)) == {"missing": 40}
    verdict = check(source, folder, options=VerifyOptions(limit=60))
    assert verdict.exactly_once
    assert verdict.expected == 60
    assert verdict.not_covered == (f"the rows of {source} after the first 60: left out by --limit",)


def test_topics_are_those_of_the_files_or_all_configured_ones(source: Path, folder: Path, tmp_path: Path) -> None:
    other = write_source(tmp_path / "EARTH.csv", 3)
    sources = {"AIR": str(source), "EARTH": str(other)}
    files = [folder / "AIR_Consumer_0.csv", folder / "AIR_Consumer_1.csv"]
    assert [verdict.topic for verdict in verify(sources, files).topics] == ["AIR"]
    for result in (verify(sources, [folder]), verify(sources, files, sources_given=True)):
        assert [(verdict.topic, verdict.missing) for verdict in result.topics] == [("AIR", 0), ("EARTH", 3)]
        assert not result.exactly_once
    events: list[Event] = []
    result = verify({"EARTH": str(other)}, [folder], listener=events.append)
    assert "topic AIR has no source" in str([event for event in events if isinstance(event, Notice)])


def test_what_cannot_be_compared_is_one_line(source: Path, folder: Path, tmp_path: Path) -> None:
    sources = {"AIR": str(source)}
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, message in ((empty, "no captured file in"), (tmp_path / "nowhere", "there is no file")):
        with pytest.raises(SourceError, match=message):
            verify(sources, [path])
    with pytest.raises(SourceError, match="there is no file"):
        verify({"AIR": str(tmp_path / "gone.csv")}, [folder])
    with pytest.raises(UsageError, match="doesn't say which partition"):
        verify(sources, [source])
    (tmp_path / "POSTS_Consumer_0.csv").write_text("a\n1\n")
    with pytest.raises(UsageError, match="topic POSTS has no source"):
        verify(sources, [tmp_path / "POSTS_Consumer_0.csv"])
    with pytest.raises(UsageError, match="can't take stdin"):
        verify({"AIR": "-"}, [folder])
    with pytest.raises(UsageError, match="--partitions 1, but there is a captured file of AIR"):
        verify(sources, [folder], options=VerifyOptions(partitions=1))
    (folder / "AIR_Consumer_0.jsonl").write_text("")
    with pytest.raises(UsageError, match="both hold"):
        verify(sources, [folder])


def test_a_stop_ends_it(source: Path, folder: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        verify({"AIR": str(source)}, [folder], stop=stop)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    source, captured = tmp_path / "AIR.csv", tmp_path / "AIR_Consumer_0.csv"
    text = "n,text\n" + "".join(f"{number},some text of a row\n" for number in range(40_000))
    source.write_text(text)
    captured.write_text(text)
    tracemalloc.start()
    verdict = check(source, captured)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert verdict.exactly_once
    # The rows held as lists would be more than this; the bound is the caches and the read-ahead.
    assert peak < 16 << 20


def test_the_command_ends_with_0_or_4_and_names_the_first_difference(
    source: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["verify", "--source", f"AIR={source}", str(folder)]
    assert run(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        "AIR: 60 of 60 rows in 2 files, each exactly once",
        "verdict: each source row was captured exactly once, in order per partition",
    ]
    edit(folder / "AIR_Consumer_0.csv", lambda lines: lines.pop(3))
    assert run(arguments) == 4
    out, err = capsys.readouterr()
    assert "AIR: 59 of 60 rows: 1 missing; first: " in out
    assert "verdict: WRONG" in out
    assert err.splitlines()[-1].startswith("error: the captured rows differ from the sources: ")


def test_the_keys_of_the_json_are_a_contract(source: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(source, lambda lines: lines.append(b"short\n"))
    edit(folder / "AIR_Consumer_0.csv", lambda lines: lines.pop(3))
    assert run(["verify", "--source", f"AIR={source}", str(folder), "--output", "json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert (document["command"], document["status"]) == ("verify", "error")
    assert document["errors"][0]["exit_code"] == 4
    result = document["result"]
    assert list(result) == ["exactly_once", "compared", "partition_by", "topics"]
    assert result["compared"] == 60
    (topic,) = result["topics"]
    assert list(topic) == [
        "topic", "source", "captured_files", "partitions", "expected", "captured", "missing", "doubled", "reordered",
        "different", "misplaced", "unexpected", "rejected", "rejected_rows", "capture_rejected",
        "capture_rejected_records", "partitions_without_file", "not_covered", "first_difference", "exactly_once",
    ]  # fmt: skip
    assert topic["not_covered"] == [f"1 row of {source} can't be used: not compared"]
    assert list(topic["first_difference"]) == [
        "kind", "source_file", "source_line", "captured_file", "captured_line", "column", "expected", "captured",
        "text",
    ]  # fmt: skip
    assert list(topic["rejected_rows"][0]) == ["line", "reason"]


def posts(folder: Path, kind: str = "jsonl") -> Path:
    """A source of posts and its captured files, as produce and consume make them."""
    lines = [f'{{"id": "p{n}", "n":1.{n}0, "tags":["a", {n}]}}' if n % 3 else f'{{"text":"{n}"}}' for n in range(40)]
    if kind == "text":
        lines = [f"-{n}" for n in range(40)]
    source = folder / f"posts.{kind}"
    source.write_text("".join(f"  {line} \n\n" if kind == "jsonl" else f"{line}\n" for line in lines))
    for partition in (0, 1):
        with (folder / f"AIR_Consumer_{partition}.jsonl").open("w") as file:
            for line in lines[partition::2]:
                file.write(f'{{"text":"{line}"}}\n' if kind == "text" else f"{line}\n")
    return source


def test_posts_are_compared_letter_by_letter(tmp_path: Path) -> None:
    source = posts(tmp_path)
    verdict = check(source, tmp_path)
    assert (verdict.expected, verdict.captured, verdict.exactly_once) == (40, 40, True)
    edit(tmp_path / "AIR_Consumer_1.jsonl", lambda lines: lines.__setitem__(3, lines[3].replace(b"1.70", b"1.7")))
    verdict = check(source, tmp_path)
    assert figures(verdict) == {"different": 1}
    first = verdict.first_difference
    assert first
    assert (first.column, first.expected, first.captured) == ("n", "1.70", "1.7")
    assert (first.source_line, first.captured_line) == (15, 4)
    edit(tmp_path / "AIR_Consumer_0.jsonl", lambda lines: lines.pop(2))
    assert figures(check(source, tmp_path)) == {"different": 1, "missing": 1}


def test_plain_text_is_compared_too(tmp_path: Path) -> None:
    source = posts(tmp_path, "text")
    assert check(source, tmp_path, options=VerifyOptions(form=SourceForm("text"))).exactly_once


def test_posts_are_not_compared_with_captured_csv(tmp_path: Path) -> None:
    (tmp_path / "AIR_Consumer_0.csv").write_text("id\np0\n")
    with pytest.raises(UsageError, match="captured CSV files"):
        check(posts(tmp_path).rename(tmp_path / "p.jsonl"), tmp_path / "AIR_Consumer_0.csv")
