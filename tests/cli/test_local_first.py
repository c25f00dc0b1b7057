"""What is local is checked first: files and options are told wrong before any broker is asked.

Nobody listens at the brokers' address here, so a command that asked them first would end with 3.
"""

import json
import os
from pathlib import Path

import pytest

from running import cli
from sensorstream.cli.app import run
from sensorstream.errors import ExitCode

NOBODY = ("-b", "127.0.0.1:1")
SOURCE, USAGE, FAILED = ExitCode.WRONG_DATA, ExitCode.USAGE, ExitCode.FAILED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good source and everything that can be wrong beside it."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "good.csv").write_text("Time,n\n2023-01-01T00:00:00,1\n")
    (folder / "other.csv").write_text("Time,n\n2023-01-01T00:00:00,1\n")
    (folder / "bad.csv").write_bytes(b"Time,\xff\n1,2\n")
    (folder / "empty.csv").write_text("")
    (folder / "a_folder.csv").mkdir()
    (folder / "other.rejected.jsonl").mkdir()
    (folder / "somebodys.csv").write_text("mine\n")
    (folder / "kept").mkdir()
    (folder / "kept" / "AIR_Consumer_1.csv").mkdir()
    (folder / "kept" / "AIR_Consumer_2.rejected.jsonl").write_text("mine\n")
    (folder / "AIR_Consumer_3.stdout.rejected.jsonl").mkdir()
    (folder / "EARTH.aggregate.rejected.jsonl").mkdir()
    (folder / "ours.csv").write_text("")
    (folder / "ours.csv.position").write_text("{}")
    return folder


CASES = [
    ("produce --source AIR=no-such.csv", SOURCE, "there is no file no-such.csv"),
    ("produce --exactly-once --source AIR=no-such.csv", SOURCE, "there is no file no-such.csv"),
    ("produce --processes 2 --delay 0 --source AIR=no-such.csv", SOURCE, "there is no file no-such.csv"),
    ("produce --source AIR=good.csv --source EARTH=no-such.csv", SOURCE, "there is no file no-such.csv"),
    ("produce --source AIR=a_folder.csv", SOURCE, "a_folder.csv is a folder"),
    ("produce --source AIR=bad.csv", SOURCE, "byte 0xff"),
    ("produce --source AIR=empty.csv", SOURCE, "empty.csv"),
    ("produce --source AIR=good.csv --key x", USAGE, "no column 'x' for --key"),
    ("produce --source AIR=good.csv --speed 2 --time-column x", USAGE, "no column 'x' for --time-column"),
    ("produce --source AIR=good.csv --partition-by column:x", USAGE, "no column 'x' for --partition-by"),
    ("produce --source AIR=good.csv --thread 0", USAGE, "thread = 0"),
    ("produce --source AIR=good.csv --rate 0", USAGE, "rate"),
    ("produce --source AIR=good.csv --encoding no-such", USAGE, "no-such"),
    ("produce --source AIR=other.csv", FAILED, "other.rejected.jsonl is a folder"),
    ("produce --source AIR=good.csv --value-format x", USAGE, "--value-format 'x' is not known"),
    ("produce --source AIR=good.csv --value-format avro --schema no-such", SOURCE, "--schema no-such can't be read"),
    ("produce --source AIR=good.csv --value-format avro --schema bad.csv", SOURCE, "is not UTF-8"),
    ("produce --source AIR=good.csv --value-format avro --schema good.csv", SOURCE, "good.csv, line 1, column 1"),
    ("produce --source AIR=good.csv --value-format avro --schema-registry x", USAGE, "'x' is not an address"),
    ("produce --source AIR=good.csv --schema-registry http://x", USAGE, "--schema-registry is for"),
    ("produce --source AIR=no-such.csv --value-format avro", SOURCE, "there is no file no-such.csv"),
    ("produce --source AIR=bad.csv --value-format avro", SOURCE, "byte 0xff"),
    ("produce --source AIR=- --value-format avro", USAGE, "the schema of stdin can't be derived"),
    ("produce --source AIR=good.csv --value-format avro --key x", USAGE, "no column 'x' for --key"),
    ("produce --source AIR=good.csv --schema ours.csv", SOURCE, "ours.csv, line 1, column 1 is not JSON"),
    ("consume -t AIR -p 0 --value-format avro --schema-registry http://a@b", USAGE, "password in its address"),
    ("run --source AIR=no-such.csv", SOURCE, "there is no file no-such.csv"),
    ("run --source AIR=good.csv --to good.csv", FAILED, "good.csv is a file, not a folder"),
    ("consume -t AIR -p 0 --to good.csv/x", FAILED, "good.csv is a file, not a folder"),
    ("consume -t AIR -p 0 --to somebodys.csv", FAILED, "somebodys.csv is there already"),
    ("consume -t AIR -g g --to somebodys.csv", FAILED, "somebodys.csv is there already"),
    ("consume -t AIR -p 0 -p 1 --to kept", FAILED, "AIR_Consumer_1.csv is a folder"),
    ("consume -t AIR -p 2 --to kept", FAILED, "AIR_Consumer_2.rejected.jsonl is there already"),
    ("consume -t AIR -p 3 --to -", FAILED, "AIR_Consumer_3.stdout.rejected.jsonl is a folder"),
    ("consume -t AIR -p 0 -o x", USAGE, "-o 'x' is no offset"),
    ("consume -t AIR -p 0 --timeout 0", USAGE, "--timeout 0"),
    ("consume -t AIR -p 0 --transform no-such", USAGE, "no-such"),
    ("consume -t AIR -p 0 --to - --output json", USAGE, "both want stdout"),
    ("stream --from A --to A --transform select --set columns=n", USAGE, "both A"),
    ("stream --from A --to B --transform no-such", USAGE, "no-such"),
    ("stream --from A --to B --transform select --set columns=n --commit-every 99", USAGE, "--commit-every 99"),
    ("sentiment stream --scorer no-such", USAGE, "no-such"),
    ("sentiment stream --to good.csv/x", FAILED, "good.csv is a file, not a folder"),
    ("sentiment stream --to somebodys.csv", FAILED, "somebodys.csv is there already"),
    ("sentiment watch -o x", USAGE, "-o 'x' is no offset"),
    ("aggregate -t AIR --window x", USAGE, "--window"),
    ("aggregate -t AIR --window 1m --to no-such/a.csv", FAILED, "there is no folder no-such"),
    ("aggregate -t AIR --window 1m --to a_folder.csv -e", FAILED, "a_folder.csv is a folder"),
    ("aggregate -t AIR --window 1m --to somebodys.csv", FAILED, "somebodys.csv is there already"),
    ("aggregate -t AIR --window 1m --to ours.csv -e", FAILED, "ours.csv belongs to a capture"),
    ("aggregate -t EARTH --window 1m -e", FAILED, "EARTH.aggregate.rejected.jsonl is a folder"),
    ("aggregate -t AIR --window 1m --output json", USAGE, "both want stdout"),
    ("topics create A --partitions 0", USAGE, "partitions"),
    ("topics create a/b", USAGE, "a/b"),
    ("topics create A --set x", USAGE, "--set 'x'"),
    ("topics alter A", USAGE, "nothing to change"),
    ("topics delete a/b --yes", USAGE, "a/b"),
    ("topics describe a/b", USAGE, "a/b"),
    ("bench --rows 0", USAGE, "--rows"),
    ("rejects retry no-such.jsonl --yes", None, "no-such.jsonl"),
    ("lag -X no.such=1", USAGE, "no.such"),
    ("lag --command-config no-such.properties", USAGE, "no-such.properties"),
]


@pytest.mark.parametrize(("line", "code", "told"), CASES, ids=[line for line, _, _ in CASES])
def test_it_is_told_before_a_broker_is_asked(
    folder: Path,
    line: str,
    code: ExitCode | None,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    ended = run([*line.split(), *NOBODY])
    errors = capsys.readouterr().err
    assert told in errors
    assert ended != ExitCode.UNREACHABLE
    assert ended == code or code is None
    assert len(errors.splitlines()) == 1


def test_a_pipe_is_not_opened_by_the_check(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = cli("produce", "--source", "AIR=pipe", *NOBODY, "--output", "json", cwd=tmp_path)
    assert done.returncode == ExitCode.UNREACHABLE
    assert json.loads(done.stdout)["errors"][0]["exit_code"] == ExitCode.UNREACHABLE
