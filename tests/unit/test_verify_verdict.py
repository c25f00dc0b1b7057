"""verify: what a verdict covers and says, and what can't be compared."""

import json
import threading
import tracemalloc
from pathlib import Path

import pytest

from sensorstream.cli.app import run
from sensorstream.errors import Interrupted, SourceError, UsageError
from sensorstream.events import Event, Notice, ignore
from sensorstream.pipelines.verify.verdict import VerifyOptions
from sensorstream.pipelines.verify.verify import verify
from sensorstream.records import ConsumedRecord
from sensorstream.sinks.dead_letter import rejected_record
from sensorstream.sinks.rejected import RejectedFile
from verify_labs import capture, check, edit, figures, write_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "AIR.csv")


@pytest.fixture
def folder(source: Path, tmp_path: Path) -> Path:
    return capture(source, tmp_path / "captured")


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
