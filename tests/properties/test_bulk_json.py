"""The bulk way from a CSV file to JSON lines gives what the careful way gives, or leaves it to it."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sensorstream.errors import SensorstreamError
from sensorstream.records import PlainRows
from sensorstream.serde.bulk_json import BlockEncoder
from sensorstream.serde.json import RowEncoder
from sensorstream.sources.csv_blocks import CsvBlocks, plain_rows
from sensorstream.sources.csv_file import CsvSource

pytestmark = pytest.mark.long

SAMPLES = Path(__file__).parents[2] / "samples"
BEIJING = "beijing_air/PRSA_Data_Changping_20130301-20170228.csv"

numbers = st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,18})?([eE][+\-]?[0-9]{1,3})?", fullmatch=True)
near_numbers = st.from_regex(r"[+\-]?[0-9]{0,22}(\.[0-9]{0,22})?([eE][+\-]?[0-9]{0,4})?", fullmatch=True)
# Cells that are on one side or the other of a border: they need no CSV quotes, whatever else they need.
KNOWN = [
    "", "1.50", "31/08/2023 23:59:00", "SVDT1", "0012", "-0", "-0.0", "00", "-00", "0.0", "-01", "01.5", "NaN", "null",
    "true", "1e400", "1e5", "1E-7", "1e-400", "0e0", "9007199254740993", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "-9223372036854775809", "8999999999999999999", "-8999999999999999999",
    "999999999999999999", "-999999999999999999", "12345678901234567890", "0.1234567890123456", "123456789012345.6",
    "9.007199254740981", "1234567890123456.7", "1.0000000000000001", "0.30000000000000004",
    "23.099999999999998", "1.000000000000000000",
    "0.000000000000000000", "100000000000000000000.0", " 5", "5 ", "+5", ".5", "5.", "-.5", "-5.", "-", "--1", "1-",
    ".", "1.2.3", "1..2", "1-2", "1e", "e1", "1e+", "-e", "=1", "'=1", "a\\b", "\\", "1\\", "\ufeff", "\ufeffa",
    "x\u069a", "\x7f", "\xe9", "\u2028", "\U0001d7db", "\u0663", "#", "a:b", "{", "}", "%s", ":",
]  # fmt: skip
HOSTILE = [
    '""',
    '"a"',
    '"a,b"',
    '"a""b"',
    '"a\nb"',
    '"',
    'a"b',
    '","',
    '"\r\n"',
    "\x1f\x8b",
    "\x00",
    "\t",
    "\r",
    "\x80",
]
known = st.sampled_from([*KNOWN, *HOSTILE])
any_cell = st.one_of(known, numbers, near_numbers, st.text(max_size=6))
plain_cell = st.one_of(
    numbers, near_numbers, st.sampled_from(KNOWN), st.text(st.characters(exclude_categories=["C"]), max_size=6)
).map(lambda cell: cell.replace('"', "").replace(",", ""))


@st.composite
def files(draw: st.DrawFn, cell: st.SearchStrategy[str]) -> bytes:
    width = draw(st.integers(1, 4))
    names = draw(st.lists(known | st.text(max_size=4), min_size=width, max_size=width))
    header = ",".join(name if name.isalnum() else f'"{name.replace(chr(34), chr(34) * 2)}"' for name in names)
    rows = draw(st.lists(st.lists(cell, min_size=width, max_size=width), max_size=12))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    lines = [header, *(",".join(row) for row in rows)]
    for at in sorted(draw(st.lists(st.integers(1, 12), max_size=2)), reverse=True):
        lines.insert(at, draw(st.sampled_from(["", "a", ",,,,,", '"', "\r", " "])))
    text = end.join(lines) + draw(st.sampled_from(["", end, end + end]))
    data = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text.encode("utf-8", "replace")
    if draw(st.integers(0, 20)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.sampled_from([b"\xff", b"\xc0\x80", b"\xed\xa0\x80"])) + data[at:]
    return data


def carefully(path: Path, start_row: int = 0) -> tuple[list[object], str]:
    """Everything that the source gives, encoded the careful way, and the error it ends with."""
    seen: list[object] = []
    try:
        with CsvSource(path, start_row=start_row) as source:
            encode = RowEncoder(source.columns).encode
            while batch := source.read(100):
                seen += sorted(
                    [(row.line, row.number, encode(row.cells)) for row in batch.rows]
                    + [(int(bad.where["line"]), -1, bad.reason, bad.raw) for bad in batch.rejected]
                )
            seen.append(source.position)
    except SensorstreamError as error:
        return seen, error.message
    return seen, ""


def in_bulk(path: Path, max_bytes: int, start_row: int = 0, limit: int = 100) -> tuple[list[object], str, int]:
    """The same the bulk way, and how many rows came out of it in blocks."""
    seen: list[object] = []
    count = 0
    try:
        with CsvBlocks(path, start_row=start_row) as source:
            encoder = BlockEncoder(source.columns)
            careful = RowEncoder(source.columns).encode
            while True:
                block = source.read_block(max_bytes)
                if block is not None:
                    values = encoder.encode(block.data)
                    assert values is not None
                    assert len(values) == block.rows
                    rows = block.source_rows()
                    assert values == [careful(row.cells) for row in rows]
                    seen += [(row.line, row.number, value) for row, value in zip(rows, values, strict=True)]
                    count += block.rows
                    continue
                batch = source.read(limit)
                if not batch:
                    break
                seen += sorted(
                    [(row.line, row.number, careful(row.cells)) for row in batch.rows]
                    + [(int(bad.where["line"]), -1, bad.reason, bad.raw) for bad in batch.rejected]
                )
            seen.append(source.position)
    except SensorstreamError as error:
        return seen, error.message, count
    return seen, "", count


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bulk") / "source.csv"


@given(
    data=st.one_of(files(plain_cell), files(any_cell), st.binary(max_size=60).map(lambda tail: b"a,b\n" + tail)),
    max_bytes=st.sampled_from([1, 7, 30, 1 << 20]),
    start_row=st.integers(0, 5),
    limit=st.sampled_from([1, 3, 100]),
)
@example(data=b'a,b\n1,",",2\n', max_bytes=99, start_row=0, limit=9)
@example(data=b'a,b\n",x"y\n', max_bytes=99, start_row=0, limit=9)
@example(data=b'a,b\n"a,b"\n', max_bytes=99, start_row=0, limit=9)
@example(data=b'a\n""\n1\n', max_bytes=99, start_row=0, limit=9)
@example(data="a,b\n\ufeff1,2\nx\u069a,1\n".encode(), max_bytes=99, start_row=0, limit=9)
@settings(max_examples=400)
def test_in_bulk_or_not_the_values_are_the_same(
    file: Path, data: bytes, max_bytes: int, start_row: int, limit: int
) -> None:
    file.write_bytes(data)
    seen, error, _ = in_bulk(file, max_bytes, start_row, limit)
    assert (seen, error) == carefully(file, start_row)


@given(files(plain_cell))
@settings(max_examples=200)
def test_odd_cells_do_not_keep_a_block_from_being_encoded(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    seen, error, _ = in_bulk(file, 1 << 20)
    assert (seen, error) == carefully(file)


@pytest.mark.parametrize("width", [1, 2, 3, 40, 300])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_each_borderline_cell_next_to_each_kind(width: int, delimiter: str) -> None:
    cells = [it for around in ("1", "a", "", "-2.5") for cell in KNOWN for it in (cell, around) if it or width > 1]
    rows = [cells[at : at + width] for at in range(0, len(cells) - width, width)]
    data = "".join(delimiter.join(row) + "\n" for row in rows).encode()
    plain = plain_rows(data, width, delimiter)
    assert plain == (data, len(rows))
    columns = [f"c{number}" for number in range(width)]
    assert BlockEncoder(columns, delimiter).encode(plain[0]) == list(map(RowEncoder(columns).encode, rows))


bare = st.sampled_from(["", "", "0", "1.50", "-2.5", "-0", "123456789012345678"])
text = st.sampled_from(["null", "a", "31/08/2023", "0012", "1.2.3", "1..2", "-", "1e400", "12345678901234567890"])
exotic = st.sampled_from(["\xe9", "x\u069a", "\U0001d7db", "a\\b"])


@given(st.data())
@settings(max_examples=200)
def test_columns_of_a_kind_and_the_rows_that_leave_it(data: st.DataObject) -> None:
    # Beyond some number of columns there are fewer codes than separators, sooner where not all is ASCII.
    width = data.draw(st.sampled_from([1, 2, 3, 13, 43, 44, 157, 158, 159]), "width")
    name = data.draw(st.sampled_from(["c", "k\xe9", "%"]), "name")
    columns = [f"{name}{number}" for number in range(width)]
    kinds = data.draw(st.lists(st.sampled_from([bare, text, text | exotic]), min_size=1, max_size=4), "kinds")
    of_column = [kinds[number % len(kinds)] for number in range(width)]
    if data.draw(st.integers(0, 3), "leave it") == 0:
        of_column[data.draw(st.integers(0, width - 1))] = bare | text
    drawn = data.draw(st.lists(st.lists(st.tuples(*of_column[:5]), min_size=1, max_size=4), min_size=1, max_size=4))
    parts = [[[row[at % len(row)] for at in range(width)] for row in part] for part in drawn]
    encoder, careful = BlockEncoder(columns), RowEncoder(columns)
    for rows in parts:
        lines = "".join(",".join(row) + "\n" for row in rows).encode()
        assert encoder.encode(PlainRows(lines)) == list(map(careful.encode, rows))


@pytest.mark.parametrize("row", ["", ",", ",,,", "null", "null,,null,", ",null,,null", "1,,a,", ",1,,a"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_empty_cells_and_those_that_say_null(row: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Several chunks, with the empty cells at their ends too.
    monkeypatch.setattr("sensorstream.serde.bulk_json.CHUNK_BYTES", 20)
    width = row.count(",") + 1
    rows = [row.split(",") for _ in range(12)]
    data = (row + end) * 12
    columns = [f"c{number}" for number in range(width)]
    if row:
        plain = plain_rows(data.encode(), width, ",")
        assert plain is not None
        lines = plain[0]
    else:
        lines = PlainRows(b"\n" * 12)
    assert BlockEncoder(columns).encode(lines) == list(map(RowEncoder(columns).encode, rows))


def test_rows_beyond_ascii_after_rows_that_are_alike_but_for_that() -> None:
    columns = [f"c{number}" for number in range(43)]
    encoder, careful = BlockEncoder(columns), RowEncoder(columns)
    for cell in ("a", "\u0080\u00ff", "a"):
        assert encoder.encode(PlainRows((",".join([cell] * 43) + "\n").encode())) == [careful.encode([cell] * 43)]


def test_keys_beyond_ascii_over_rows_that_are_not() -> None:
    columns = ["".join(map(chr, range(first, first + 40))) for first in range(0x80, 0x10F800, 5000) if first != 0xD888]
    rows = [["1", "a", "", "-2"] * (len(columns) // 4) + ["x"] * (len(columns) % 4) for _ in range(3)]
    data = "".join(",".join(row) + "\n" for row in rows).encode()
    assert data.isascii()
    assert BlockEncoder(columns).encode(PlainRows(data)) == list(map(RowEncoder(columns).encode, rows))


@pytest.mark.parametrize("data", [b"a,b\n1,x\n2.5,\n", b'\xef\xbb\xbf"a","b"\r\n"1","x"\r\n"",-2\r\n', b"a\n1\n2\n"])
def test_any_one_byte_more_or_less(file: Path, data: bytes) -> None:
    inserted = [bytes([it]) for it in b" \n\r\t\0\1,;\"'\\-+.0e\x7f\x80\xff"]
    for at in range(len(data) + 1):
        for changed in [data[:at] + data[at + 1 :], data[:at], *(data[:at] + it + data[at:] for it in inserted)]:
            file.write_bytes(changed)
            seen, error, _ = in_bulk(file, 1 << 20)
            assert (seen, error) == carefully(file), changed


@pytest.mark.parametrize("name", ["AIR2308.csv", "EARTH2308.csv", "WATER2308.csv"])
def test_plain_sensor_data_goes_in_bulk_to_the_last_row(name: str) -> None:
    seen, error, count = in_bulk(SAMPLES / name, 100_000)
    assert (seen, error) == carefully(SAMPLES / name)
    assert count == seen[-1] > 1000  # type: ignore[operator]


def test_a_recording_with_quoted_cells_goes_in_bulk_to_the_last_row() -> None:
    folder = os.environ.get("SENSORSTREAM_TEST_DATA")
    if folder is None:
        pytest.skip("SENSORSTREAM_TEST_DATA is not set: the real recordings are not part of the project")
    seen, error, count = in_bulk(Path(folder) / BEIJING, 1 << 20)
    assert (seen, error) == carefully(Path(folder) / BEIJING)
    assert count == seen[-1] == 35064
