"""Dead letters: the one format, and the files that hold it."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.errors import DecodeError
from sensorstream.events import Event, ignore
from sensorstream.records import ConsumedRecord, Headers, Rejected
from sensorstream.sinks import dead_letter
from sensorstream.sinks.dead_letter import letter_of, rejected_record
from sensorstream.sinks.rejected import RejectedFile, append, cut


def row(line: int, text: bytes = b"3") -> Rejected:
    return Rejected({"file": "a.csv", "line": line, "row": line - 2}, "it has 1 field", text)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


@given(
    st.none() | st.binary(),
    st.none() | st.binary(),
    st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.binary())).map(tuple),
)
def test_a_record_comes_back_whole_from_its_line(key: bytes | None, value: bytes | None, headers: Headers) -> None:
    record = ConsumedRecord("AIR", 1, 7, 1693483200000, key, value, headers)
    line = letter_of(rejected_record(record, "why", "round 1")).dump()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    letter = dead_letter.load(line)
    assert letter.dump() == line
    assert (letter.topic, letter.partition, letter.offset, letter.timestamp_ms) == ("AIR", 1, 7, 1693483200000)
    assert (letter.key, letter.value, letter.headers, letter.transform) == (key, value, headers, "round 1")
    assert (letter.reason, letter.where) == ("why", "AIR[1] offset 7")


def test_a_row_comes_back_with_how_it_is_read() -> None:
    how = {"format": "csv", "columns": ["a", "b"]}
    line = letter_of(row(3, b"\x1b[31m\x00\xff"), topic="AIR", how=how).dump()
    assert b"\x1b" not in line
    letter = dead_letter.load(line)
    assert letter.dump() == line
    assert (letter.topic, letter.file, letter.line, letter.row, letter.how) == ("AIR", "a.csv", 3, 1, how)
    assert letter.value == b"\x1b[31m\x00\xff"


GOOD = letter_of(rejected_record(ConsumedRecord("AIR", 0, 7, 5, b"k", b"v", (("h", b"1"),)), "why")).dump()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (b"{not json", "it is not JSON: .* at column 2"),
        (b"[1]", "no JSON object"),
        (b'{"a":"\xff"}', "byte 6 is not UTF-8"),
        (b"[" * 100_000, "it is not JSON"),
        (GOOD.replace(b'"id": "', b'"id": "x'), "its id is not 16 hexadecimal digits"),
        (GOOD.replace(b'"id"', b'"ID"'), "it has no id"),
        (GOOD.replace(b'"value": "v"', b'"value": {"a": 1}'), "its value is not a text in quotes"),
        (GOOD.replace(b'"value": "v"', b'"value": "\\ud800"'), "half a surrogate pair"),
        (GOOD.replace(b'"value": "v"', b'"value_base64": "?"'), "its value_base64 is not base64"),
        (GOOD.replace(b'"value": "v"', b'"value": "v", "value_base64": ""'), "both value and value_base64"),
        (GOOD.replace(b', "value": "v"', b""), "it has no value"),
        (GOOD.replace(b'"offset": 7', b'"offset": "7"'), "its offset is no whole number"),
        (GOOD.replace(b'"offset": 7', b'"offset": true'), "its offset is no whole number"),
        (GOOD.replace(b'"headers": [', b'"headers": [1, '), "its headers are no list of objects"),
    ],
)
def test_a_line_that_was_edited_badly_says_what_is_wrong(changed: bytes, why: str) -> None:
    assert changed != GOOD
    with pytest.raises(DecodeError, match=why):
        dead_letter.load(changed)


def test_a_row_is_written_once_also_by_a_later_run(tmp_path: Path) -> None:
    path = tmp_path / "a.rejected.jsonl"
    told: list[Event] = []
    first = RejectedFile(path, told.append, once=True, topic="AIR")
    assert [first.add(row(3)), first.add(row(4)), first.add(row(3))] == [True, True, False]
    first.sync()
    assert (first.count, len(told)) == (2, 2)
    # Mended meanwhile, and with an editor that leaves no line end.
    path.write_bytes(path.read_bytes().replace(b'"value": "3"', b'"value": "3,4"', 1).rstrip(b"\n"))
    second = RejectedFile(path, ignore, once=True, topic="AIR")
    assert [second.add(row(3)), second.add(row(4)), second.add(row(5))] == [False, False, True]
    assert second.count == 3
    second.sync()
    assert [(line["line"], line["value"]) for line in lines(path)] == [(3, "3,4"), (4, "3"), (5, "3")]
    changed = RejectedFile(path, ignore, once=True, topic="AIR")
    assert changed.add(row(3, b"another row there now"))


def test_half_a_line_that_a_crash_left_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.rejected.jsonl"
    path.write_bytes(letter_of(row(3), topic="AIR").dump()[:20])
    file = RejectedFile(path, ignore, once=True, topic="AIR")
    assert file.add(row(3))
    assert dead_letter.load(path.read_bytes().split(b"\n")[1]).line == 3


def test_without_once_each_replay_has_letters_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.rejected.jsonl"
    for _ in range(2):
        assert RejectedFile(path, ignore, topic="AIR").add(row(3))
    assert len({line["id"] for line in lines(path)}) == 2


def test_a_file_that_was_replaced_by_a_mended_one_gets_the_next_letter(tmp_path: Path) -> None:
    path = tmp_path / "a.rejected.jsonl"
    file = RejectedFile(path, ignore, topic="AIR")
    file.add(row(3))
    fresh = tmp_path / "fresh"
    fresh.write_bytes(path.read_bytes())
    fresh.replace(path)
    file.add(row(4))
    assert [line["line"] for line in lines(path)] == [3, 4]


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "a.rejected.jsonl").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link, which is not followed"):
        RejectedFile(tmp_path / "a.rejected.jsonl", ignore, topic="AIR").add(row(3))
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_write_that_fails_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.rejected.jsonl"
    file = RejectedFile(path, ignore, topic="AIR")
    file.add(row(3))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            file.add(row(4, b"4" * 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before


def captured(path: Path, offsets: range) -> bytes:
    """So many dead letters of a capture in a file; what they are."""
    for offset in offsets:
        record = ConsumedRecord("AIR", 0, offset, 5, None, b"bad")
        append(path, letter_of(rejected_record(record, "why")).dump())
    return path.read_bytes()


@pytest.mark.parametrize(
    ("tail", "left"),
    [
        (b"", b""),
        (b'{"id": "0123', b""),
        (b"\x00\xff, written in by hand\n", b"\x00\xff, written in by hand\n"),
    ],
)
def test_a_cut_takes_away_later_letters_and_half_a_line_and_nothing_else(
    tmp_path: Path, tail: bytes, left: bytes
) -> None:
    path = tmp_path / "a.rejected.jsonl"
    kept = captured(path, range(3))
    before = captured(path, range(3, 6))
    path.write_bytes(before + tail)
    length = cut(path, lambda letter: (letter.offset or 0) < 3, len(before))
    assert path.read_bytes() == kept + left
    assert length == len(kept + left)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_half_a_line_of_an_editor_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.rejected.jsonl"
    length = len(captured(path, range(3)))
    mended = path.read_bytes().replace(b'"bad"}', b"oops}").rstrip(b"\n")
    path.write_bytes(mended)
    cut(path, lambda letter: (letter.offset or 0) < 3, length)
    assert path.read_bytes() == mended
