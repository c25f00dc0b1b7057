"""What ``inspect`` finds in files as devices write them, and that its table replays each of them."""

import gzip
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from running import cli
from sensorstream.config import load
from sensorstream.description import description_of
from sensorstream.errors import SourceError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.inspection.inspect import FileFound, config_tables, inspect
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.sources.formats import SourceForm


def cells(path: Path, table: dict[str, Any]) -> list[list[str]]:
    """The rows as a replay with this table reads them."""
    form = SourceForm().over(description_of(table, "here"))
    with form.source(str(path)) as source:
        found: list[list[str]] = []
        while batch := source.read(100):
            assert not batch.rejected
            found += [row.cells for row in batch.rows]
    return found


def look(path: Path) -> tuple[FileFound, dict[str, Any], list[list[str]]]:
    found = inspect(str(path))
    (table,) = tomllib.loads(found.table)["topics"].values()
    assert table["source"] == str(path)
    return found, table, cells(path, table)


COMMA = "Time,Station,PM2.5\n2023-08-31 00:00,A,1.5\n2023-08-31 00:10,A,-999\n2023-08-31 00:40,A,2.25\n"
SEMICOLON = "Date;Time;PM\n31/08/2023;00:00;2,6\n31/08/2023;00:10;12,75\n31/08/2023;00:20;3,0\n"
TOA5 = (
    '"TOA5","CR1000","12345","CR1000.Std","CPU:x.CR1","999","Table1"\n'
    '"TIMESTAMP","RECORD","AirTC"\n"TS","RN","Deg C"\n"","","Avg"\n'
    '"2023-08-31 00:00:00",0,23.5\n"2023-08-31 00:10:00",1,"NAN"\n"2023-08-31 00:20:00",2,23.25\n'
)
COMMENTS = "# made by a logger\n# serial 12\ntime\tt\n1693440000\t1.5\n# a note\n1693440060\t2.5\n"
BLANKS = "hour  temp  wind\n  1   20.5     3\n  2   21.5   4\n  3    22.5     5\n"
PARTS = "year,month,day,hour,q\n2023,8,31,0,1\n2023,8,31,1,2\n2023,9,1,0,4\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return to


def test_a_plain_file(write: Callable[[str, str], Path]) -> None:
    found, table, rows = look(write("air 1.csv", COMMA))
    assert (found.topic, found.format, found.rows, found.rejected, found.whole) == ("AIR_1", "csv", 3, 0, True)
    assert [(one.name, one.type, one.missing) for one in found.columns] == [
        ("Time", "time", ()),
        ("Station", "text", ()),
        ("PM2.5", "number", ("-999",)),
    ]
    assert (found.columns[2].smallest, found.columns[2].largest) == (1.5, 2.25)
    assert found.time is not None
    assert (found.time.column, found.time.format) == ("Time", None)
    assert (found.time.first, found.time.last) == ("2023-08-31T00:00:00", "2023-08-31T00:40:00")
    assert (found.station_column, found.stations) == ("Station", 1)
    assert {key: table[key] for key in ("time_column", "key", "missing")} == {
        "time_column": "Time",
        "key": "Station",
        "missing": ["PM2.5=-999"],
    }
    assert rows[1] == ["2023-08-31 00:10", "A", ""]


def test_semicolons_decimal_commas_and_a_time_in_two_columns(write: Callable[[str, str], Path]) -> None:
    found, table, rows = look(write("a.csv", SEMICOLON))
    assert table["decimal"] == ","
    assert (table["time_column"], table["time_format"]) == ("Date,Time", "dmy")
    assert found.time is not None
    assert (found.time.step_s, found.time.gaps, found.time.ambiguous) == (600.0, 0, False)
    assert [row[2] for row in rows] == ["2.6", "12.75", "3.0"]


def test_four_header_lines_of_a_logger(write: Callable[[str, str], Path]) -> None:
    found, table, rows = look(write("toa5.dat", TOA5))
    assert (table["skip_lines"], table["units_line"]) == (1, [3, 4])
    assert [(one.name, one.type, one.unit) for one in found.columns] == [
        ("TIMESTAMP", "time", "TS"),
        ("RECORD", "number", "RN"),
        ("AirTC", "number", "Deg C"),
    ]
    assert rows == [["2023-08-31 00:00:00", "0", "23.5"], ["2023-08-31 00:10:00", "1", ""], [*rows[2]]]


def test_comments_tabs_and_seconds_since_1970(write: Callable[[str, str], Path]) -> None:
    found, table, rows = look(write("log.csv", COMMENTS))
    assert table["comment"] == "#"
    assert (table["time_column"], table["time_format"]) == ("time", "epoch")
    assert found.time is not None
    assert (found.time.first, found.time.step_s) == ("2023-08-31T00:00:00", 60.0)
    assert rows == [["1693440000", "1.5"], ["1693440060", "2.5"]]


def test_runs_of_blanks(write: Callable[[str, str], Path]) -> None:
    _, table, rows = look(write("a.txt", BLANKS))
    assert table["delimiter"] == "blanks"
    assert rows == [["1", "20.5", "3"], ["2", "21.5", "4"], ["3", "22.5", "5"]]


def test_a_time_in_parts_gaps_and_repeats(write: Callable[[str, str], Path]) -> None:
    found, table, _ = look(write("a.csv", PARTS + "2023,9,1,0,4\n2023,9,1,1,4\n"))
    assert table["time_column"] == "year,month,day,hour"
    assert found.time is not None
    assert (found.time.step_s, found.time.gaps, found.time.repeated, found.time.order) == (3600.0, 1, 1, "ascending")


def test_day_and_month_that_could_be_the_other_way_round(write: Callable[[str, str], Path]) -> None:
    found, table, _ = look(write("a.csv", "Time,v\n01/02/2023 10:00,1\n02/02/2023 10:00,2\n"))
    assert found.time is not None
    assert (found.time.format, found.time.ambiguous) == ("dmy", True)
    # A guess must not become what was said: the replay asks.
    assert "time_format" not in table
    assert '# time_format = "dmy"' in found.table
    found, _, _ = look(write("b.csv", "Time,v\n01/22/2023 10:00,1\n02/02/2023 10:00,2\n"))
    assert found.time is not None
    assert (found.time.format, found.time.ambiguous) == ("mdy", False)


def test_a_late_row_tells_day_from_month(write: Callable[[str, str], Path]) -> None:
    early = "".join(f"08/{1 + number % 12:02d}/2023 10:00,{number}\n" for number in range(1500))
    found, table, _ = look(write("a.csv", f"Date,v\n{early}08/25/2023 10:00,1\n"))
    assert table["time_format"] == "mdy"
    assert found.time is not None
    assert (found.time.ambiguous, found.time.unreadable, found.time.last) == (False, 0, "2023-08-25T10:00:00")


def test_a_guessed_order_of_day_and_month_is_told_when_it_is_written(
    tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    path = write("a.csv", "Time,v\n01/02/2023 10:00,1\n02/02/2023 10:00,2\n")
    told: list[Event] = []
    assert "\ntime_format" not in config_tables([str(path)], tmp_path / "sensorstream.toml", listener=told.append)
    assert any(isinstance(event, Notice) and "day from month" in event.text for event in told)


def test_a_mark_of_one_column_is_a_value_in_another(write: Callable[[str, str], Path]) -> None:
    text = "country,a,b,depth\nDE,NA,NA,-5000\nNA,1,2,-999\nFR,NA,-999,-20\nDE,3,-999,-30\nFR,-999,NA,-40\n"
    found, table, rows = look(write("a.csv", text))
    assert "units_line" not in table
    assert found.rows == 5
    assert rows[0] == ["DE", "", "", "-5000"]
    assert rows[1] == ["NA", "1", "2", "-999"]
    assert rows[3] == ["DE", "3", "", "-30"]


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in ("-", str(pipe)):
        with pytest.raises(UsageError) as raised:
            inspect(path)
        assert "only once" in raised.value.message


def test_no_header(write: Callable[[str, str], Path]) -> None:
    found, table, rows = look(write("a.csv", "SVDT1,23.1\nSVDT1,22.0\n"))
    assert table["no_header"] is True
    assert (found.rows, len(rows)) == (2, 2)


def test_packed_json_and_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(b'[{"t": "2023-08-31T00:00:00Z", "v": 1.5},\n {"v": 2, "w": "x"}]'))
    found = inspect(str(path))
    assert (found.format, [one.name for one in found.columns]) == ("json", ["t", "v", "w"])
    assert found.columns[1].type == "number"
    lines = tmp_path / "posts"
    lines.write_text('{"id":"1","n":2}\n{"id":"2","n":3}\n')
    found, table, _ = look(lines)
    assert (found.format, table["source_format"], found.rows) == ("jsonl", "jsonl", 2)


def test_texts_that_begin_like_a_comment_and_lists_of_numbers(write: Callable[[str, str], Path]) -> None:
    rows = [f"{'#' if n % 3 == 0 else ''}text {n}\t{'1,2,3' if n == 7 else f'{n},{n}'}\tid{n}" for n in range(1, 20)]
    _, table, _ = look(write("posts.tsv", "\n".join(["text\tlabels\tid", *rows]) + "\n"))
    assert "comment" not in table
    assert "decimal" not in table


def test_only_so_many_rows_are_looked_at(write: Callable[[str, str], Path]) -> None:
    path = write("a.csv", "n\n" + "".join(f"{number}\n" for number in range(5000)))
    found = inspect(str(path), rows=1200)
    assert (found.rows, found.whole) == (1200, False)
    assert (found.columns[0].largest, found.columns[0].different) == (1199.0, None)


def test_the_configuration_of_several_files_replays_them(tmp_path: Path, write: Callable[[str, str], Path]) -> None:
    one, two = write("air.csv", COMMA), write("air.dat", SEMICOLON)
    target = tmp_path / "conf" / "sensorstream.toml"
    target.parent.mkdir()
    target.write_text(config_tables([str(one), str(two)], target))
    settings = load(environ={}, start=target.parent)
    assert [topic.name for topic in settings.topics] == ["AIR", "AIR_2"]
    job = make_job(settings, ReplayOptions(speed=60.0))
    assert [source.topic for source in job.sources] == ["AIR", "AIR_2"]
    with job.sources[1].make_source(0) as source:
        assert [row.cells for row in source.read(1).rows] == [["31/08/2023", "00:00", "2.6"]]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\x01\x02\x03"])
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError) as raised:
        inspect(str(path))
    assert str(path) in raised.value.message


def test_the_command_and_config_init(tmp_path: Path, write: Callable[[str, str], Path]) -> None:
    write("air.csv", COMMA)
    done = cli("inspect", "air.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for told in ("csv, 3 rows", "PM2.5", "-999", "[topics.AIR]", "2023-08-31T00:40:00"):
        assert told in done.stdout
    assert cli("config", "init", "--from", "air.csv", cwd=tmp_path).returncode == 0
    assert load(environ={}, start=tmp_path).topic("AIR").key == "Station"
    missing = cli("inspect", "none.csv", cwd=tmp_path)
    assert missing.returncode == 4
    assert "none.csv" in missing.stderr
