"""Rejected files as they are shown, and what was edited badly in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from rejects_labs import again, records, rejected
from sensorstream.cli.app import run
from sensorstream.clients.memory import MemoryBroker
from sensorstream.errors import DataError


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"AIR": 2})


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({}, "no format"),
        ({"format": "csv"}, "no columns"),
        ({"format": "csv", "columns": ["a"], "delimiter": "::"}, "not one character"),
        ({"format": "csv", "columns": ["a", "b"]}, "it has 1 field, the header has 2"),
        ({"format": "csv", "columns": ["a"], "key": "x"}, "it has no column 'x'"),
        ({"format": "csv", "columns": ["a"], "key": 1}, "the key in its how is no text"),
        ({"format": "csv", "columns": ["a"], "partition_by": "moon"}, "not row, key or column"),
        ({"format": "jsonl"}, "it is a number, not a JSON object"),
    ],
)
def test_what_was_edited_badly_in_a_row_is_said(
    broker: MemoryBroker, tmp_path: Path, how: dict[str, Any], why: str
) -> None:
    path = tmp_path / "a.rejected.jsonl"
    entry = {"id": "0" * 16, "topic": "AIR", "file": "a", "line": 2, "row": 0, "reason": "x", "value": "1", "how": how}
    path.write_text(json.dumps(entry) + "\n")
    result = again(broker, path)
    assert result.sent == 0
    assert why in result.not_sent_lines[0].reason


@pytest.mark.parametrize("line", [b"{not json", b"\x00", b'{"id": "0123456789abcdef"}'])
def test_a_file_that_was_edited_badly_is_refused_whole(broker: MemoryBroker, tmp_path: Path, line: bytes) -> None:
    path = rejected(tmp_path / "a.rejected.jsonl", b"1")
    path.write_bytes(path.read_bytes() + b"\n" + line + b"\n")
    with pytest.raises(DataError, match=r"a\.rejected\.jsonl line 3 can't be read: "):
        again(broker, path)
    assert not records(broker)


def test_a_letter_with_two_values_is_refused(broker: MemoryBroker, tmp_path: Path) -> None:
    path = rejected(tmp_path / "a.rejected.jsonl", b"1")
    path.write_bytes(path.read_bytes() + path.read_bytes().replace(b'"value": "1"', b'"value": "2"'))
    with pytest.raises(DataError, match=r"line 1 and .* line 2 are the same entry with two values"):
        again(broker, path)
    assert not records(broker)


ODD = b'\x1b[31m[red]\x00"' + b"x" * 1000


def test_what_is_shown_is_visible_and_never_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rejected(tmp_path / "a.rejected.jsonl", ODD, None, b"\xff", headers=(("[bold]\x1b", b"\x1b]52;c;x\x07"),))
    assert run(["rejects", "show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x00" not in out
    assert '\\x1b[31m[red]\\x00"' in out
    assert "... (812 more characters; --whole shows them)" in out
    assert "  value    none" in out
    assert "  base64   /w==" in out
    assert "  header   [bold]\\x1b = \\x1b]52;c;x\\x07" in out
    assert run(["rejects", "list", str(tmp_path)]) == 0
    assert "a.rejected.jsonl" in capsys.readouterr().out
    path.write_bytes(b"{oops\n" + path.read_bytes())
    for command in ("list", "show"):
        assert run(["rejects", command, str(path)]) == 4
        assert f"error: {path} line 1 can't be read: it is not JSON" in capsys.readouterr().err


def test_the_keys_of_the_json_are_a_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rejected(tmp_path / "a.rejected.jsonl", b"1", b"bad", headers=(("h", b"1"),))

    def answer(*arguments: str) -> tuple[int, Any]:
        code = run([*arguments, "--output", "json"])
        return code, json.loads(capsys.readouterr().out)

    code, document = answer("rejects", "list", str(tmp_path))
    assert code == 0
    (file,) = document["result"]["files"]
    assert list(file) == ["path", "letters", "open", "retried", "topics", "reasons", "bad_lines"]
    assert list(file["reasons"][0]) == ["reason", "count"]
    code, document = answer("rejects", "show", str(path), "--limit", "1")
    assert list(document["result"]) == ["path", "entries", "more", "bad_lines"]
    (entry,) = document["result"]["entries"]
    assert list(entry) == ["line_of_file", "where", "entry"]
    assert list(entry["entry"]) == [
        *("id", "topic", "partition", "offset", "timestamp_ms", "key", "headers", "reason", "value"),
    ]
    code, document = answer("rejects", "retry", str(path), "--dry-run")
    assert (code, document["status"]) == (1, "partial")
    assert list(document["result"]) == [
        *("dry_run", "sent", "already", "not_sent", "topics", "files", "not_sent_lines"),
    ]
    assert list(document["result"]["files"][0]) == ["path", "letters", "sent", "already", "not_sent"]
    assert list(document["result"]["not_sent_lines"][0]) == ["file", "line", "where", "reason"]
    code, document = answer("rejects", "retry", str(path), "-b", "127.0.0.1:1")
    assert code == 2
    assert "sending 1 entry to AIR is not confirmed" in document["errors"][0]["message"]
    code, document = answer("rejects", "retry", str(path), "-b", "127.0.0.1:1", "-y")
    assert code == 3
    (tmp_path / "empty").mkdir()
    assert answer("rejects", "list", str(tmp_path / "empty"))[0] == 0
