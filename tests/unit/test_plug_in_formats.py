"""Formats of plug-ins: what is read and written through them, and what happens when one misbehaves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sensorstream import plug_ins
from sensorstream.description import Description
from sensorstream.errors import SourceError, UsageError
from sensorstream.records import ConsumedRecord
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.plug_in import PlugInFileSink
from sensorstream.sources.formats import SourceForm, has_cells, has_objects
from sensorstream.sources.plug_in import PlugInSource, Unreadable


def pairs(lines: Iterator[str]) -> Iterator[dict[str, Any] | Unreadable]:
    """Two lines a row; ``!`` is none, ``#`` breaks it."""
    for line in lines:
        text = line.strip()
        if text == "#":
            raise RuntimeError("it is\nbroken")
        if text == "!":
            yield Unreadable("it is\nno row", text)
        else:
            yield {"a": text, "n": int(next(lines)), "both": {"x": [1, None, 2.5]}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.pairs"
    path.write_text("Ä\n1\n!\nb\n2\nc\n3\n", encoding="utf-8")
    return path


def test_rows_of_several_lines_with_what_is_none_among_them(file: Path) -> None:
    with PlugInSource(pairs, file, fields=("n",)) as source:
        batch = source.read(100)
        assert [(row.number, row.line, row.cells[0]) for row in batch.rows] == [(0, 2, "1"), (2, 5, "2"), (3, 7, "3")]
        assert batch.rows[0].cells[1] == '{"a":"Ä","n":1,"both":{"x":[1,null,2.5]}}'
        (rejected,) = batch.rejected
        assert (rejected.reason, rejected.raw) == ("it is no row", b"!")
        assert not source.read(100)


def test_it_goes_on_at_a_row_and_tells_when_there_is_none_such(file: Path) -> None:
    with PlugInSource(pairs, file, start_row=2) as source:
        assert [row.number for row in source.read(1).rows] == [2]
        assert [row.number for row in source.read(9).rows] == [3]
    with PlugInSource(pairs, file, start_row=9) as source, pytest.raises(SourceError, match="rows"):
        source.read(1)


def test_rows_ahead_of_a_fault_are_handed_out_and_the_fault_is_told_in_one_line(file: Path) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write("#\n")
    with PlugInSource(pairs, file) as source:
        assert len(source.read(100).rows) == 3
        with pytest.raises(SourceError, match=r"line 8: the plug-in .* has failed: RuntimeError: it is broken"):
            source.read(100)


@pytest.mark.parametrize("bad", [{"n": float("nan")}, {"n": object()}, {"n": "\ud800"}, 7])
def test_what_is_no_row_is_a_dead_letter(tmp_path: Path, bad: Any) -> None:
    (tmp_path / "one").write_text("x\ny\n")
    with PlugInSource(lambda lines: (bad if line == "x\n" else {"n": 1} for line in lines), tmp_path / "one") as source:
        batch = source.read(9)
    assert (len(batch.rows), len(batch.rejected)) == (1, 1)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_ins.names.cache_clear()
    monkeypatch.setattr(plug_ins, "names", lambda group: ("pairs",))
    monkeypatch.setattr(plug_ins, "load", lambda group, name: pairs)


def test_its_name_is_a_format_and_an_ending(installed: None, file: Path) -> None:
    assert SourceForm().of(str(file)) == SourceForm().of(f"{file}.gz") == "pairs"
    assert SourceForm(format="csv").of(str(file)) == "csv"
    assert SourceForm().of("rows.other") == "csv"
    assert has_objects("pairs") and not has_cells("pairs")
    Description(format="pairs").check()
    with pytest.raises(UsageError, match="not known") as told:
        Description(format="pears").check()
    assert told.value.hint == "it is one of csv, tsv, jsonl, json, text, pairs"
    with SourceForm().source(str(file)) as source:
        encode = SourceForm().encoder(str(file))(source.columns).encode
        assert json.loads(encode(source.read(1).rows[0].cells))["a"] == "Ä"


def record(offset: int, value: bytes) -> ConsumedRecord:
    return ConsumedRecord("AIR", 0, offset, 5, None, value)


def test_a_sink_stores_lines_with_their_position_and_rejects_what_the_plug_in_refuses(tmp_path: Path) -> None:
    def line(row: Any, record: ConsumedRecord) -> str:
        if "n" not in row:
            raise ValueError("it has no n")
        return f"{record.offset} {row['n'] + 0.5}" if row["n"] >= 0 else "two\nlines"

    def sink() -> PlugInFileSink:
        return PlugInFileSink(line, path, Checkpoint("AIR", 0, "c", "t", "pairs", raw=False, next_offset=0))

    path = tmp_path / "rows.pairs"
    made = sink()
    assert made.open() is None
    made.start(0)
    records = [record(0, b'{"n":1}'), record(1, b'{"m":1}'), record(2, b'{"n":-1}'), record(3, b"broken")]
    assert set(made.write(records)) == {1, 2, 3}
    made.commit(4)
    made.write([record(4, b'{"n":2}')])  # and not committed
    made.close()
    again = sink()
    assert again.open() == 4
    again.write([record(4, b'{"n":2}')])
    again.commit(5)
    again.close()
    assert path.read_text() == "0 1.5\n4 2.5\n"
    reasons = [json.loads(text)["reason"] for text in (tmp_path / "rows.pairs.rejected.jsonl").read_text().splitlines()]
    assert reasons[0] == "it has no n"
    assert "did not return a line" in reasons[1]


def test_one_that_can_not_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="not installed"):
        plug_ins.load(plug_ins.SINKS, "no-such")

    class Point:
        def load(self) -> None:
            raise ImportError("no module\nnamed x")

    monkeypatch.setattr(plug_ins, "entry_points", lambda **_: [Point()])
    with pytest.raises(UsageError, match="can't be loaded: ImportError: no module"):
        plug_ins.load(plug_ins.SINKS, "broken")
