"""Sources of JSON objects over many lines: exact letters, exact lines, bounded memory, and where a file is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.errors import SourceError
from sensorstream.records import Rejected, SourceRow
from sensorstream.sources.formats import SourceForm
from sensorstream.sources.json_file import JsonSource


def read(path: Path, text: str, limit: int = 1000, **options: Any) -> tuple[list[SourceRow], list[Rejected]]:
    path.write_text(text)
    rows: list[SourceRow] = []
    rejected: list[Rejected] = []
    with JsonSource(path, **options) as source:
        while batch := source.read(limit):
            rows += batch.rows
            rejected += batch.rejected
    return rows, rejected


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "air.json"


PRETTY = """[
  {
    "t": "31/08/2023 23:59",
    "pm": 1.50,
    "note": "a, [b] {c} \\"d\\""
  },
  {"t": "x", "pm": 12345678901234567890, "in": {"a": [1, 2]}}
]
"""


def test_an_array_over_many_lines_gives_each_object_in_its_letters(file: Path) -> None:
    rows, rejected = read(file, PRETTY, fields=("pm",))
    assert not rejected
    assert [(row.number, row.line, row.cells) for row in rows] == [
        (0, 2, ["1.50", r'{"t":"31/08/2023 23:59","pm":1.50,"note":"a, [b] {c} \"d\""}']),
        (1, 7, ["12345678901234567890", '{"t":"x","pm":12345678901234567890,"in":{"a":[1,2]}}']),
    ]


@pytest.mark.parametrize(
    "text", ['{"a":1}{"a":2}', '{"a":1}\n\n{"a":2}\n', '{"a":\n1}\r\n{"a"\r\n:2}', '[{"a":1},{"a":2}]']
)
def test_objects_stand_one_after_the_other_or_in_an_array(file: Path, text: str) -> None:
    rows, rejected = read(file, text, limit=1)
    assert [row.cells[-1] for row in rows] == ['{"a":1}', '{"a":2}']
    assert not rejected


@pytest.mark.parametrize("text", ["", " \n", "[]", "[ ]\n"])
def test_a_file_without_objects_has_no_rows(file: Path, text: str) -> None:
    assert read(file, text) == ([], [])


def test_what_is_no_object_is_rejected_in_its_place(file: Path) -> None:
    rows, rejected = read(file, '[{"a":1}, 7, "x,]", [1, 2], null, {"a":1,}, {"a":2}]')
    assert [row.number for row in rows] == [0, 6]
    assert [(row.where["row"], row.raw) for row in rejected] == [
        (1, b"7"), (2, b'"x,]"'), (3, b"[1, 2]"), (4, b"null"), (5, b'{"a":1,}'),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Time,PM\n1,2\n", "line 1, column 1: '{' or '[' is expected, but there is 'T'"),
        ('[{"a":1}\n {"a":2}]', "line 2, column 2: ',' or ']' is expected, but there is '{'"),
        ('[{"a":1},]', "line 1, column 10: '{' is expected, but there is ']'"),
        ('{"a":1}\n,{"a":2}', "line 2, column 1: '{' is expected, but there is ','"),
        ('[{"a":1}]\n[', "line 2, column 1: the end of the file after the array is expected, but there is '['"),
        ('[{"a":1}', "the file ends within its array"),
        ('[{"a":1},\n{"b": "x', "the file ends within the object that begins on line 2"),
        ('{"a":"' + "x" * 200 + '"}', "longer than 100 characters"),
        ('{"a":[\n' + '"x",\n' * 100 + "1]}", "line 1: the object that begins here is longer than 100 characters"),
    ],
)
def test_where_a_file_is_wrong_is_told_with_line_and_column(file: Path, text: str, told: str) -> None:
    with pytest.raises(SourceError) as raised:
        read(file, text, max_row=100)
    assert told in raised.value.message
    assert str(file) in raised.value.message


def test_rows_ahead_of_a_fault_are_given_first(file: Path) -> None:
    file.write_text('[{"a":1},\n{"a":2} x')
    with JsonSource(file) as source:
        assert len(source.read(10).rows) == 2
        with pytest.raises(SourceError):
            source.read(10)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=8) | st.integers() | st.none()), max_size=20))
def test_whatever_json_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, objects: list[Any]) -> None:
    path = tmp_path_factory.mktemp("json") / "x.json"
    for text in (json.dumps(objects, indent=2), "\n".join(json.dumps(one, indent=1) for one in objects)):
        rows, rejected = read(path, text, limit=3)
        assert [json.loads(row.cells[-1]) for row in rows] == objects
        assert not rejected


def test_reading_goes_on_at_a_row(file: Path) -> None:
    rows, _ = read(file, PRETTY, start_row=1)
    assert [row.number for row in rows] == [1]
    with pytest.raises(SourceError, match="there is no row 3"):
        read(file, PRETTY, start_row=3)


def test_the_ending_says_that_it_is_json(file: Path) -> None:
    file.write_text(PRETTY)
    assert isinstance(SourceForm().source(str(file)), JsonSource)
    assert SourceForm().of("x.json.gz") == "json"
