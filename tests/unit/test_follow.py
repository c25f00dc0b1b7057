"""Sources that are followed while somebody writes to them: appended, half-written, rotated, truncated, waited for."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from follow_labs import Lab, append, rows
from running import until
from sensorstream.config import load
from sensorstream.errors import SourceError, UsageError
from sensorstream.pipelines.replay import followed_replay
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.sources import followed_file
from sensorstream.sources.formats import SourceForm


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(followed_file, "LAST_S", 0.4)
    return Lab(tmp_path)


once = pytest.mark.parametrize("exactly_once", [False, True], ids=["plain", "once"])


@once
def test_what_is_appended_is_published_row_by_row_and_in_bulk(lab: Lab, exactly_once: bool) -> None:
    append(lab.file, "n,s\n" + rows(0, 5))
    with lab.running(exactly_once=exactly_once) as results:
        lab.until_numbers(list(range(5)))
        append(lab.file, rows(5, 6))
        lab.until_numbers(list(range(6)))
        append(lab.file, rows(6, 12_000))
        lab.until_numbers(list(range(12_000)))
    for part in (0, 1):
        numbers = [json.loads(record.value or b"")["n"] for record in lab.broker.records("AIR", part)]
        assert numbers == list(range(part, 12_000, 2))
    assert (results[0].acknowledged, results[0].sources[0].next_row, results[0].problem) == (12_000, 12_000, None)
    assert not results[0].complete


@pytest.mark.parametrize(
    ("name", "head", "parts", "expected"),
    [
        ("a.csv", "n,s\n", ["1,a\n2", "", ',"two\nlin', 'es"\n'], [{"n": 1, "s": "a"}, {"n": 2, "s": "two\nlines"}]),
        ("a.csv", "n,s\r\n", ["1,a\r", "\n2,b\r", "\n"], [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}]),
        ("a.csv", "n,s\n", ["\n\n", "1,a\n", "\n"], [{"n": 1, "s": "a"}]),
        ("a.tsv", "n\ts\n", ['1\t"a\n2', "\tb\n"], [{"n": 1, "s": '"a'}, {"n": 2, "s": "b"}]),
        ("a.jsonl", "", ['{"n": 1', ', "s": "ä"}\n{"n"', ":2}\n"], [{"n": 1, "s": "ä"}, {"n": 2}]),
        ("a.text", "", ["one\ntw", "o\n"], [{"text": "one"}, {"text": "two"}]),
    ],
)
def test_a_half_written_row_waits_for_its_end(
    lab: Lab, name: str, head: str, parts: list[str], expected: list[dict[str, Any]]
) -> None:
    lab.file = lab.folder / name
    form = SourceForm("text" if name.endswith("text") else None)
    append(lab.file, head)
    with lab.running(form=form) as results:
        for part in parts:
            append(lab.file, part)
        until(lambda: len(lab.values()) >= len(expected), "the rows")
    found = sorted(lab.values(), key=str)
    assert found == sorted(expected, key=str)
    assert not results[0].rejected


@once
def test_it_ends_when_no_row_has_come_for_the_timeout_and_tells_of_half_a_line(lab: Lab, exactly_once: bool) -> None:
    append(lab.file, "n,s\n1,a\n2,")
    result = lab.run(exactly_once=exactly_once, timeout=0.2)
    assert result.delivered
    assert result.complete
    assert lab.numbers() == [1]
    assert "the last line, 2 bytes, has no line end yet and was not published" in lab.told
    append(lab.file, "b\n")
    result = lab.run(exactly_once=exactly_once, timeout=0.0, from_row=() if exactly_once else ("AIR=1",))
    assert (result.acknowledged, result.sources[0].next_row) == (1, 2)
    assert lab.numbers() == [1, 2]


@pytest.mark.parametrize(("text", "line"), [('n,"s\n1,a\n', 1), ('n,s\n1,a\n2,"b\n3,c\n', 3)])
def test_a_quote_that_nobody_closes_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch, text: str, line: int) -> None:
    monkeypatch.setattr(followed_replay, "UNFINISHED_S", 0.2)
    append(lab.file, text)
    with lab.running() as results:
        lab.until_told(f"air.csv, line {line}: a quote is open since then")
        append(lab.file, '4,d\n"\n' if line == 1 else '4",d\n5,e"\n')
    assert lab.told.count("a quote is open") == 1
    assert results[0].problem is None


def test_a_link_that_leads_to_another_file_each_day(lab: Lab) -> None:
    append(lab.folder / "monday", "n,s\n1,a\n")
    lab.file.symlink_to("monday")
    lab.run(exactly_once=True, timeout=0.1)
    append(lab.folder / "monday", "2,a\n")
    append(lab.folder / "tuesday", "n,s\n3,a\n")
    lab.file.unlink()
    lab.file.symlink_to("tuesday")
    with lab.running(exactly_once=True):
        lab.until_numbers([1, 2, 3])
        append(lab.folder / "wednesday", "n,s\n4,a\n")
        (lab.folder / "new").symlink_to("wednesday")
        (lab.folder / "new").replace(lab.file)
        lab.until_numbers([1, 2, 3, 4])


@once
def test_a_timeout_ends_it_also_when_not_even_a_head_has_come(lab: Lab, exactly_once: bool) -> None:
    result = lab.run(exactly_once=exactly_once, timeout=0.2)
    assert (result.sent, result.complete, result.delivered) == (0, True, True)
    append(lab.file, "n,s")
    assert lab.run(exactly_once=exactly_once, timeout=0.2).complete
    assert "the last line, 3 bytes, has no line end yet" in lab.told
    append(lab.file, "\n1,a\n")
    assert lab.run(exactly_once=exactly_once, timeout=0.2).acknowledged == 1


def test_speed_and_times_of_the_rows_go_on_over_a_rotation(lab: Lab) -> None:
    append(lab.file, "n,t\n0,2026-01-01T00:00:00\n1,2026-01-01T00:00:01\n")
    options = {"speed": 10.0, "time_column": "t", "timestamps": "original"}
    with lab.running(**options):
        lab.until_numbers([0, 1])
        lab.file.rename(lab.folder / "air.csv.1")
        append(lab.file, "n,t\n2,2026-01-01T00:00:02\n3,2026-01-01T00:00:03\n")
        lab.until_numbers([0, 1, 2, 3])
    stamps = sorted(record.timestamp_ms for part in (0, 1) for record in lab.broker.records("AIR", part))
    assert [stamp - stamps[0] for stamp in stamps] == [0, 1000, 2000, 3000]


def test_limit_ends_it_and_a_timeout_before_the_limit_does(lab: Lab) -> None:
    append(lab.file, "n,s\n" + rows(0, 3))
    with lab.running(limit=5) as results:
        lab.until_numbers([0, 1, 2])
        append(lab.file, rows(3, 9))
        until(lambda: results, "the end")
    assert results[0].complete
    assert lab.numbers() == [0, 1, 2, 3, 4]
    assert lab.run(limit=100, timeout=0.1).acknowledged == 9


@once
def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(lab: Lab, exactly_once: bool) -> None:
    append(lab.file, "n,s\n" + rows(0, 3))
    with lab.file.open("a") as writer, lab.running(exactly_once=exactly_once) as results:
        lab.until_numbers([0, 1, 2])
        lab.file.rename(lab.folder / "air.csv.1")
        writer.write(rows(3, 5) + "5,half")  # its writer has not noticed yet
        writer.flush()
        append(lab.file, "n,s\n" + rows(100, 103))
        lab.until_numbers([0, 1, 2, 3, 4, 5, 100, 101, 102])
        append(lab.file, "103,a\n")
        lab.until_numbers([0, 1, 2, 3, 4, 5, 100, 101, 102, 103])
    assert "air.csv was rotated" in lab.told
    assert results[0].sources[0].next_row == 4  # of the new file


def test_the_header_of_the_next_file_may_be_another_one(lab: Lab) -> None:
    append(lab.file, "n,s\n1,a\n")
    with lab.running():
        lab.until_numbers([1])
        lab.file.rename(lab.folder / "old")
        append(lab.file, "")
        append(lab.file, "t,n")
        append(lab.file, "\n7,2\n")
        lab.until_numbers([1, 2])
    assert {"t": 7, "n": 2} in lab.values()
    assert "the columns have changed; new: t; gone: s" in lab.told


def test_a_next_file_without_the_key_column_ends_it(lab: Lab) -> None:
    append(lab.file, "n,s\n1,a\n")
    with lab.running(key="s") as results:
        lab.until_numbers([1])
        lab.file.rename(lab.folder / "old")
        append(lab.file, "n,t\n2,b\n")
        until(lambda: results, "the end")
    assert "has no column 's' for --key" in (results[0].problem or "")


@once
def test_a_truncated_file_is_read_from_its_beginning_again(lab: Lab, exactly_once: bool) -> None:
    append(lab.file, "n,s\n" + rows(0, 10) + "10,ha")
    with lab.running(exactly_once=exactly_once):
        lab.until_numbers(list(range(10)))
        os.truncate(lab.file, 0)
        append(lab.file, "n,s\n20,a\n")
        lab.until_numbers([*range(10), 20])
        lab.file.write_text("n,s\n" + rows(30, 60))  # longer than before: only its content tells
        lab.until_numbers([*range(10), 20, *range(30, 60)])
    assert "was truncated: it is read from its first line again" in lab.told


def test_what_was_copied_before_the_truncation_is_read_out_of_the_copy(lab: Lab) -> None:
    append(lab.file, "n,s\n" + rows(0, 10))
    with lab.running():
        lab.until_numbers(list(range(10)))
        (lab.folder / "air.csv.1").write_text("n,s\n" + rows(0, 15))
        lab.file.write_text("n,s\n1000,a\n")
        lab.until_numbers([*range(15), 1000])
    assert "air.csv.1 is read to its end" in lab.told


def test_two_rotations_between_two_looks_lose_nothing(lab: Lab) -> None:
    append(lab.file, "n,s\n" + rows(0, 3))
    with lab.running():
        lab.until_numbers([0, 1, 2])
        append(lab.file, rows(3, 4))
        lab.file.rename(lab.folder / "air.csv.2")
        (lab.folder / "air.csv.1").write_text("n,s\n" + rows(10, 13))
        append(lab.file, "n,s\n" + rows(20, 23))
        lab.until_numbers([0, 1, 2, 3, 10, 11, 12, 20, 21, 22])


def test_what_comes_into_the_old_file_too_late_is_told(lab: Lab) -> None:
    append(lab.file, "n,s\n" + rows(0, 3))
    with lab.file.open("a") as writer, lab.running():
        lab.until_numbers([0, 1, 2])
        lab.file.rename(lab.folder / "air.csv.1")
        append(lab.file, "n,s\n" + rows(10, 11))
        lab.until_numbers([0, 1, 2, 10])
        writer.write("late,row\n")
        writer.flush()
        lab.until_told("not published: 9 bytes written to the rotated air.csv when the next one had been begun")


@once
def test_a_file_that_is_not_there_and_a_head_that_is_not_there_are_waited_for(lab: Lab, exactly_once: bool) -> None:
    with lab.running(exactly_once=exactly_once) as results:
        lab.until_told(f"there is no file {lab.file} yet: waiting for it")
        append(lab.file, "n,")
        append(lab.file, "s\n1,a\n")
        lab.until_numbers([1])
    assert results[0].acknowledged == 1
    assert lab.told.count("waiting for it") == 1


def test_a_file_that_goes_away_is_waited_for(lab: Lab) -> None:
    append(lab.file, "n,s\n1,a\n")
    with lab.running():
        lab.until_numbers([1])
        lab.file.unlink()
        lab.until_told("air.csv is gone")
        append(lab.file, "n,s\n2,a\n")
        lab.until_numbers([1, 2])


@once
def test_more_sources_than_threads(lab: Lab, exactly_once: bool) -> None:
    sources = []
    for number in range(6):
        path = lab.folder / f"{number}.csv"
        append(path, "n,s\n" + ("" if number % 2 else f"{number},a\n"))
        sources.append(f"AIR={path}")
    with lab.running(*sources, thread=2, exactly_once=exactly_once):
        lab.until_numbers([0, 2, 4])
        for number in range(6):
            append(lab.folder / f"{number}.csv", f"{number + 10},b\n")
        lab.until_numbers([0, 2, 4, *range(10, 16)])


def test_rejected_rows_and_the_same_row_in_the_next_file(lab: Lab) -> None:
    append(lab.file, "n,s\n1\n2,b\n")
    with lab.running(exactly_once=True) as results:
        lab.until_numbers([2])
        lab.file.rename(lab.folder / "air.csv.1")
        append(lab.file, "n,s\n1\n3,b\n")
        lab.until_numbers([2, 3])
    assert results[0].rejected == 2
    letters = [json.loads(line) for line in (lab.folder / "air.rejected.jsonl").read_text().splitlines()]
    assert [(letter["row"], letter["value"]) for letter in letters] == [(0, "1"), (0, "1")]


def test_a_byte_that_is_not_of_the_encoding_ends_it_behind_the_rows_before(lab: Lab) -> None:
    append(lab.file, "n,s\n1,a\n")
    with lab.running() as results:
        lab.until_numbers([1])
        with lab.file.open("ab") as file:
            file.write(b"2,b\n3,\xff\n")
        until(lambda: results, "the end")
    assert "line 4: byte 0xff at offset 14 is not utf-8" in (results[0].problem or "")
    assert lab.numbers() == [1, 2]


def test_an_endless_line_is_rejected_in_bounded_memory(lab: Lab) -> None:
    append(lab.file, "n,s\n1,a\n")
    with lab.running() as results:
        lab.until_numbers([1])
        for _ in range(20):
            append(lab.file, "x" * (1 << 20))
        append(lab.file, "\n2,b\n")
        lab.until_numbers([1, 2])
    assert results[0].rejected == 1
    assert "longer than 1048576 characters" in (lab.folder / "air.rejected.jsonl").read_text()


def test_time_without_rows_is_not_made_up_for(lab: Lab) -> None:
    append(lab.file, "n,s\n" + rows(0, 2))
    with lab.running(rate=5.0):
        lab.until_numbers([0, 1])
        threading.Event().wait(1.0)  # five rows would have been due
        before = [record.timestamp_ms for part in (0, 1) for record in lab.broker.records("AIR", part)]
        append(lab.file, rows(2, 5))
        lab.until_numbers([0, 1, 2, 3, 4])
    stamps = sorted(record.timestamp_ms for part in (0, 1) for record in lab.broker.records("AIR", part))
    assert stamps[4] - stamps[2] >= 300
    assert max(before) < stamps[2]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"loop": True}, "--loop and --follow"),
        ({"sources": ("AIR=-",)}, "--follow can't be used with stdin"),
        ({"form": SourceForm(encoding="utf-16")}, "can't be followed in utf-16"),
        ({"timeout": -1.0}, "--timeout -1"),
        ({"timeout": float("nan")}, "--timeout nan"),
        ({"follow": False, "timeout": 1.0}, "--timeout is for sources that are followed"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(lab: Lab, options: dict[str, Any], reason: str) -> None:
    append(lab.file, "n,s\n")
    with pytest.raises(UsageError, match=reason):
        lab.run(**options)


def test_pipes_folders_and_files_that_may_not_be_read_are_refused(lab: Lab) -> None:
    os.mkfifo(lab.file)
    with pytest.raises(UsageError, match="which is no file"):
        lab.run()
    with pytest.raises(SourceError, match="is a folder"):
        lab.run(f"AIR={lab.folder}")
    with pytest.raises(SourceError, match="there is no file"):
        lab.run(f"AIR={lab.folder / 'nowhere' / 'air.csv'}")
    with pytest.raises(UsageError, match="has no column 'x' for --key"):
        append(lab.folder / "b.csv", "n,s\n")
        lab.run(f"AIR={lab.folder / 'b.csv'}", key="x")


def test_the_topics_table_says_that_a_source_is_followed(lab: Lab) -> None:
    append(lab.file, "n,s\n1,a\n")
    (lab.folder / "sensorstream.toml").write_text('[topics.AIR]\nsource = "air.csv"\nfollow = true\ntimeout = 0.1\n')
    result = lab.run(follow=None)
    assert result.complete
    assert lab.numbers() == [1]
    job = make_job(load(environ={}, start=lab.folder), ReplayOptions(follow=False))
    assert job.sources[0].rules.follow is None
