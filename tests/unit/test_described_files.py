"""Files as devices write them, by their description: cells, row numbers, places, with and without blocks."""

import os
from pathlib import Path
from typing import Any

import pytest

from sensorstream.errors import SourceError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.records import SourceRow
from sensorstream.serde.bulk_json import BlockEncoder
from sensorstream.sources.csv_blocks import CsvBlocks
from sensorstream.sources.formats import SourceForm
from sensorstream.sources.one_row import OneRow


def rows_of(
    path: Path | str, *, start_row: int = 0, bulk: bool = False, **form: Any
) -> tuple[tuple[str, ...], Any, Any]:
    """The columns, the rows and the rejected ones of a file, read in blocks where that can be."""
    source = SourceForm(**form).source(str(path), start_row=start_row, bulk=bulk)
    rows: list[SourceRow] = []
    rejected = []
    with source:
        while True:
            block = source.read_block() if isinstance(source, CsvBlocks) else None
            if block is not None:
                BlockEncoder(source.columns, block.delimiter).encode(block.data)
                rows += block.source_rows()
                continue
            batch = source.read(7)
            if not batch:
                break
            rows += batch.rows
            rejected += batch.rejected
        places = [source.place(row.line) for row in rows]
        return (
            source.columns,
            [(row.number, place, row.cells) for row, place in zip(rows, places, strict=True)],
            rejected,
        )


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


TOA5 = (
    '"TOA5","Station 3","CR1000","1234"\r\n"TIMESTAMP","RECORD","Temp"\r\n"TS","RN","Deg C"\r\n"","","Avg"\r\n'
    '"2023-08-01 00:00:00",0,21.5\r\n"2023-08-01 00:10:00",1,"NAN"\r\n'
)
CASES: dict[str, tuple[str | bytes, dict[str, Any], tuple[str, ...], list[tuple[int, list[str]]]]] = {
    "comments": (
        "# station 7\na,b\n1,2\n  # lost power, 3\n3,#4\n",
        {"comment": "#"},
        ("a", "b"),
        [(3, ["1", "2"]), (5, ["3", "#4"])],
    ),
    "comments and quotes over lines": (
        'a,b\n1,"x\n# no comment"\n# it\'s 5" long\n2,y\n',
        {"comment": "#"},
        ("a", "b"),
        [(2, ["1", "x\n# no comment"]), (5, ["2", "y"])],
    ),
    "lines ahead": ("Logger 5\nserial;77\na,b\n1,2\n", {"skip_lines": 2}, ("a", "b"), [(4, ["1", "2"])]),
    "Campbell TOA5": (
        TOA5,
        {"skip_lines": 1, "units_line": (3, 4), "missing": ("NAN",)},
        ("TIMESTAMP", "RECORD", "Temp"),
        [(5, ["2023-08-01 00:00:00", "0", "21.5"]), (6, ["2023-08-01 00:10:00", "1", ""])],
    ),
    "several header lines": (
        "Time,Air,Air\n,Temp,RH\n0,20,50\n",
        {"header_lines": 2},
        ("Time", "Air Temp", "Air RH"),
        [(3, ["0", "20", "50"])],
    ),
    "a repeated header": (
        "a,b\n1,2\n\na,b\n3,4\n",
        {"repeated_header": True},
        ("a", "b"),
        [(2, ["1", "2"]), (5, ["3", "4"])],
    ),
    "trailing delimiters": ("a;b;\n1;2;\n3;;\n", {"delimiter": ";", "trailing_delimiter": True}, ("a", "b"),
        [(2, ["1", "2"]), (3, ["3", ""])]),
    "trailing delimiters, found": ("a,b,\r\n1,2,\r\n3,,", {"trailing_delimiter": True}, ("a", "b"),
        [(2, ["1", "2"]), (3, ["3", ""])]),
    "runs of blanks": (
        "#YY  MM DD\n YY  MM\tDD \n2023  8   1\n  2023 12  31\n",
        {"delimiter": "blanks", "comment": "#"},
        ("YY", "MM", "DD"),
        [(3, ["2023", "8", "1"]), (4, ["2023", "12", "31"])],
    ),
    "runs of blanks and quotes": (
        'name  x\n"Am Ufer"   1\n',
        {"delimiter": "blanks"},
        ("name", "x"),
        [(2, ["Am Ufer", "1"])],
    ),
    "fixed widths": (
        "Date      Temp Note\n2023-08-01 21.5Höhe\n2023-08-02\n",
        {"widths": (10, 5, 4)},
        ("Date", "Temp", "Note"),
        [(2, ["2023-08-01", "21.5", "Höhe"]), (3, ["2023-08-02", "", ""])],
    ),
    "fixed widths in latin-1": (
        "n a\nä 1\n".encode("latin-1"),
        {"widths": (2, 1), "encoding": "latin-1"},
        ("n", "a"),
        [(2, ["ä", "1"])],
    ),
    "UTF-16 with comments": (
        "# Höhe\na,b\n1,ü\n".encode("utf-16"),
        {"comment": "#", "encoding": "utf-16"},
        ("a", "b"),
        [(3, ["1", "ü"])],
    ),
    "a byte-order mark before comments": (
        b"\xef\xbb\xbf# x\na,b\n1,2\n",
        {"comment": "#"},
        ("a", "b"),
        [(3, ["1", "2"])],
    ),
    "no header": ("1,x\n2,y\n", {"no_header": True}, ("column_1", "column_2"), [(1, ["1", "x"]), (2, ["2", "y"])]),
    "no header, with names": ("1,x\n2,y\n", {"columns": ("n", "t")}, ("n", "t"), [(1, ["1", "x"]), (2, ["2", "y"])]),
    "no header, lines ahead": ("made by x\n1,x\n", {"no_header": True, "skip_lines": 1}, ("column_1", "column_2"),
        [(2, ["1", "x"])]),
    "marks of numbers": (
        "a;b;c\n2,6;1.234.567,5;x,y\n-1,0e3;12;1.5.3\n",
        {"delimiter": ";", "decimal": ",", "thousands": "."},
        ("a", "b", "c"),
        [(2, ["2.6", "1234567.5", "x,y"]), (3, ["-1.0e3", "12", "1.5.3"])],
    ),
    "missing values": (
        "a,b,c\n-999,NA,-200\n-999.0,na,7\n1,-200,NA\n",
        {"missing": ("-999", "NA", "c=-200")},
        ("a", "b", "c"),
        [(2, ["", "", ""]), (3, ["", "na", "7"]), (4, ["1", "-200", ""])],
    ),
    "types": (
        "n,t,b,w\n007,007,yes,2023-08-01\n.5,,0,\n+5.,x,False,1690000000\n",
        {"types": ("n=number", "t=text", "b=bool", "w=time")},
        ("n", "t", "b", "w"),
        [
            (2, ["7", "007", "true", "2023-08-01"]),
            (3, ["0.5", "", "false", ""]),
            (4, ["5", "x", "false", "1690000000"]),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_cells_of_each_kind(tmp_path: Path, name: str, bulk: bool) -> None:
    text, form, columns, rows = CASES[name]
    path = write(tmp_path / "x.csv", text)
    found, read, rejected = rows_of(path, bulk=bulk, **form)
    assert (found, rejected) == (columns, [])
    assert read == [(number, (str(path), line), cells) for number, (line, cells) in enumerate(rows)]
    _, later, _ = rows_of(path, start_row=len(rows) - 1, bulk=bulk, **form)
    assert later == read[-1:]


def test_blocks_are_made_of_described_lines_too(tmp_path: Path) -> None:
    rows = "".join(f"{number},{number / 7:.3f}\n" for number in range(60_000))
    path = write(tmp_path / "x.csv", "# made by a logger\nn,v\nunits,mm\n" + rows)
    source = SourceForm(comment="#", units_line=(3,)).source(str(path), bulk=True)
    assert isinstance(source, CsvBlocks)
    in_blocks = 0
    with source:
        while True:
            block = source.read_block()
            if block is None:
                batch = source.read(500)
                if not batch:
                    break
                continue
            in_blocks += block.rows
            assert block.source_rows()[0].line == block.first_row + 4
    assert source.position == 60_000
    assert in_blocks > 30_000


def test_types_make_the_values(tmp_path: Path) -> None:
    form = SourceForm(types=("n=number", "t=text", "b=bool"))
    encoder = form.encoder("x.csv")(("n", "t", "b", "free %"))
    assert encoder.encode(["7", "007", "true", "1.50"]) == b'{"n":7,"t":"007","b":true,"free %":1.50}'
    assert encoder.encode(["", "", "", ""]) == b'{"n":null,"t":null,"b":null,"free %":null}'


def test_a_cell_of_another_type_rejects_the_row_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "n,b\n1,yes\nx1,no\n3,maybe\n4,no,5\n5,no\n")
    form: dict[str, Any] = {"types": ("n=number", "b=bool")}
    _, rows, rejected = rows_of(path, **form)
    assert [(number, cells) for number, _, cells in rows] == [(0, ["1", "true"]), (4, ["5", "false"])]
    assert [(dict(bad.where), bad.reason, bad.raw) for bad in rejected] == [
        ({"file": str(path), "line": 3, "row": 1}, "column n: 'x1' is not a number", b"x1,no"),
        ({"file": str(path), "line": 4, "row": 2}, "column b: 'maybe' is not a truth value, such as true, no or 1",
         b"3,maybe"),
        ({"file": str(path), "line": 5, "row": 3}, "it has 3 fields, the header has 2", b"4,no,5"),
    ]  # fmt: skip


def test_a_rejected_row_is_read_again_by_its_form(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "n;b\n2,5;yes\n")
    form = SourceForm(delimiter=";", decimal=",", missing=("NA",), types=("n=number", "b=bool"))
    with form.source(str(path)) as source:
        source.read(10)
        how, text = source.form, source.text_of(["1234.5", "true"])
    assert text == "1234,5;true"
    assert OneRow(how, text).value == b'{"n":1234.5,"b":true}'
    assert OneRow(how, "NA;no").value == b'{"n":null,"b":false}'


def test_several_files_are_one_source(tmp_path: Path) -> None:
    for name, text in (("day10.csv", "a,b\n5,6\n7\n"), ("day2.csv", "a,b\n3,4"), ("day1.csv", "# x\na,b\n1,2\n")):
        write(tmp_path / name, text)
    _, rows, rejected = rows_of(tmp_path / "day*.csv", comment="#")
    places = [(number, Path(file).name, line, cells) for number, (file, line), cells in rows]
    assert places == [
        (0, "day1.csv", 3, ["1", "2"]),
        (1, "day2.csv", 2, ["3", "4"]),
        (2, "day10.csv", 2, ["5", "6"]),
    ]
    assert [dict(bad.where) for bad in rejected] == [{"file": str(tmp_path / "day10.csv"), "line": 3, "row": 3}]
    for age, name in enumerate(("day10.csv", "day1.csv", "day2.csv")):
        os.utime(tmp_path / name, (age, age))
    _, rows, _ = rows_of(tmp_path / "day*.csv", comment="#", order="time")
    assert [Path(file).name for _, (file, _), _ in rows] == ["day10.csv", "day1.csv", "day2.csv"]


def test_another_header_ends_the_reading_behind_the_rows_ahead(tmp_path: Path) -> None:
    write(tmp_path / "1.csv", "a,b\n1,2\n")
    write(tmp_path / "2.csv", "a,c\n1,2\n")
    source = SourceForm().source(str(tmp_path / "*.csv"))
    with pytest.raises(SourceError, match=r"2\.csv has another header than .*1\.csv: 'a,c', not 'a,b'"), source:
        while source.read(1):
            pass


def test_lines_of_text_may_come_from_several_files(tmp_path: Path) -> None:
    write(tmp_path / "1.jsonl", '{"a":1}\n{"a":2}')
    write(tmp_path / "2.jsonl", '{"a":3}\n')
    _, rows, _ = rows_of(tmp_path / "*.jsonl")
    assert [cells[-1] for _, _, cells in rows] == ['{"a":1}', '{"a":2}', '{"a":3}']


@pytest.mark.parametrize(
    ("text", "form", "error", "message"),
    [
        ("a,b\n1,2\n", {"types": ("c=number",)}, UsageError, "has no column 'c' for --type"),
        ("a,b\n1,2\n", {"missing": ("c=NA",)}, UsageError, "has no column 'c' for --missing"),
        ("a,b\n", {"header_lines": 3}, SourceError, "ends within its header: 3 lines are expected"),
        ("a\n1\n", {"trailing_delimiter": True}, SourceError, "the header does not end with a delimiter"),
        ("", {"comment": "#"}, SourceError, "has no header line"),
        ("# only\n# comments\n", {"comment": "#"}, SourceError, "has no header line"),
        ("a,b\n", {"skip_lines": 5}, SourceError, "has no header line"),
        (b"\x00\x01\x02\xff" * 99, {"comment": "#"}, SourceError, "."),
        (b"a,b\n\xff,2\n", {"widths": (2, 2)}, SourceError, "are not utf-8"),
    ],
)
def test_what_can_not_be_read_says_why(
    tmp_path: Path, text: str | bytes, form: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        rows_of(write(tmp_path / "x.csv", text), **form)


def test_a_pattern_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        rows_of(tmp_path / "*.csv")


def test_a_huge_line_is_rejected_and_reading_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "# x\na,b\n" + "9" * 6_000_000 + "\n1,2\n")
    _, rows, rejected = rows_of(path, comment="#", bulk=True)
    assert [cells for _, _, cells in rows] == [["1", "2"]]
    assert [bad.where["line"] for bad in rejected] == [3]


def test_a_stray_quote_hides_comments_for_a_while_only(tmp_path: Path) -> None:
    filler = "".join(f"{number},0\n" for number in range(200_000))
    path = write(tmp_path / "x.csv", 'a,b\n1,5" pipe\n' + filler + "# a comment, at last\n7,8\n")
    _, rows, rejected = rows_of(path, comment="#")
    assert rows[-1][2] == ["7", "8"]
    assert all("comment" not in (bad.raw or b"").decode() for bad in rejected)


def test_a_notice_is_given_of_nothing_where_there_is_no_header(tmp_path: Path) -> None:
    told: list[Event] = []
    with SourceForm(no_header=True).source(str(write(tmp_path / "x.csv", "1,1\n")), listener=told.append) as source:
        source.read(1)
    assert not [event for event in told if isinstance(event, Notice)]
