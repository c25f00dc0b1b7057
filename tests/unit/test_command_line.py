"""The frame of the commands where the world is not as usual: closed streams, odd encodings, signals, half results."""

import io
import json
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from running import PROGRAM
from sensorstream import config
from sensorstream.cli import terminal
from sensorstream.cli.command import Session
from sensorstream.cli.produce import show_replay
from sensorstream.cli.render import shown_path
from sensorstream.cli.run import _outcome
from sensorstream.errors import ConfigError, ExitCode
from sensorstream.lab.consumers import ConsumerProcess
from sensorstream.lab.run import LabRun
from sensorstream.pipelines.replay.spec import ReplayedSource, ReplayResult
from sensorstream.records import ConsumedRecord, TopicPartition
from sensorstream.sinks.stream import StreamSink

SENT = ReplayResult(3, 3, 0, 0, 1.0, complete=True, problem=None, sources=())


def test_the_table_of_a_replay_names_the_job_and_what_earlier_runs_published() -> None:
    def shown(*of_job: Any) -> str:
        source = ReplayedSource("AIR", "air.csv", 3, 3, 0, 0, 3, True, *of_job)
        out = io.StringIO()
        show_replay(Console(file=out, width=120), replace(SENT, sources=(source,)))
        return out.getvalue()

    assert "june/AIR" in shown("june/AIR", 12345)
    assert "12,345" in shown("june/AIR", 12345)
    assert "job" not in shown()


def test_a_table_names_built_in_samples_and_shows_other_files_by_their_path(tmp_path: Path) -> None:
    sources = [topic.source for topic in (*config.sensor_topics(), config.posts_topic())]
    assert [shown_path(str(path)) for path in sources] == ["sample AIR", "sample EARTH", "sample WATER", "sample posts"]
    assert shown_path(str(tmp_path / "AIR2308.csv")) == str(tmp_path / "AIR2308.csv")
    out = io.StringIO()
    ended = ReplayedSource("AIR", str(sources[0]), 3, 3, 0, 0, 3, True)
    show_replay(Console(file=out, width=120), replace(SENT, sources=(ended,)))
    assert " AIR     sample AIR " in out.getvalue()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_no_crash(closed: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {closed}', "sh", *PROGRAM, "config", "path"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_json_is_json_whatever_the_encoding(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xc3\xa9.csv")
    for encoding in ("utf-8:strict", "ascii:strict", "latin-1:strict"):
        done = subprocess.run(
            [*PROGRAM, "verify", "--output", "json", name],
            capture_output=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        )
        assert b"Traceback" not in done.stderr
        assert json.loads(done.stdout.decode())["status"] == "error"


def test_a_message_that_cannot_be_encoded_is_told_all_the_same() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    terminal.write(stream, "größer\n")
    assert raw.getvalue() == b"gr\\xf6\\xdfer\n"


@pytest.mark.parametrize("captured", ["AIR_Consumer_0.csv", "missing.csv"])
def test_how_it_ended_stays_true_when_nobody_reads_the_result(tmp_path: Path, captured: str) -> None:
    """A report of failure that goes into a closed pipe must not become a success."""
    (tmp_path / "a.csv").write_text("n\n1\n", encoding="utf-8")
    (tmp_path / "AIR_Consumer_0.csv").write_text("n\n2\n", encoding="utf-8")
    arguments = ["verify", "--source", "AIR=a.csv", captured, "--output", "json"]
    wanted = subprocess.run([*PROGRAM, *arguments], capture_output=True, timeout=60, check=False, cwd=tmp_path)
    assert wanted.returncode
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    os.close(writing)
    assert b"Traceback" not in done.stderr
    assert done.returncode == wanted.returncode


def test_the_stop_event_can_be_set_while_its_lock_is_held() -> None:
    """A signal handler runs between any two steps of the main thread, also inside of ``stop.wait``."""
    stop = Session("x").stop
    done = threading.Event()

    def hold_and_set() -> None:
        with stop._cond:
            stop.set()
        done.set()

    threading.Thread(target=hold_and_set, daemon=True).start()
    assert done.wait(5)


@pytest.mark.parametrize(
    ("bounded", "interrupted", "captured", "code"),
    [
        (True, True, False, ExitCode.INTERRUPTED),
        (True, False, False, ExitCode.FAILED),
        (True, False, True, ExitCode.DONE),
        (False, True, False, ExitCode.DONE),
    ],
)
def test_run_says_how_it_ended(bounded: bool, interrupted: bool, captured: bool, code: ExitCode) -> None:
    outcome = _outcome(LabRun(SENT, (), captured, None, 1.0), bounded=bounded, interrupted=interrupted)
    assert outcome.exit_code is code
    assert bool(outcome.errors) is (code is not ExitCode.DONE)


def test_a_consumer_that_is_stopped_while_it_starts_has_not_failed(tmp_path: Path) -> None:
    process = ConsumerProcess(TopicPartition("AIR", 0), tmp_path, (), lambda event: None, quiet=True, environment={})
    process.ask_to_stop()
    assert process.end(20).exit_code == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", ["sasl.password hunter2", "hunter2", "MIIEhunter2"])
def test_a_line_of_a_properties_file_is_never_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "client.properties"
    path.write_text(f"security.protocol=SASL_SSL\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2 is not key=value") as caught:
        config.read_java_properties(path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["ssl.keystore.key", "sasl.login.credentials", "basic.auth.user.info", "ssl.key.password"]
)
def test_what_is_secret_is_masked(key: str) -> None:
    settings = config.load(properties=[f"{key}=hunter2"], environ={})
    assert "hunter2" not in repr(settings)


class PartlyTaken(io.RawIOBase):
    """A stream without a buffer, as stdout is with PYTHONUNBUFFERED: it takes 10 bytes at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken += bytes(data[:10])
        return min(10, len(data))


def test_an_unbuffered_stream_gets_every_byte(tmp_path: Path) -> None:
    stream = PartlyTaken()
    sink = StreamSink(stream, "jsonl", tmp_path / "rejected")  # type: ignore[arg-type]  # as sys.stdout.buffer then is
    value = b'{"a":"' + b"x" * 100 + b'"}'
    sink.write([ConsumedRecord("AIR", 0, 0, 0, None, value)])
    assert stream.taken == value + b"\n"


def test_a_reader_that_has_seen_enough_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from sensorstream.cli import app
    from sensorstream.pipelines.capture import job

    def gone(*arguments: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(job, "make_job", gone)
    assert app.run(["consume", "-t", "AIR", "-p", "0", "--to", "-"]) == ExitCode.DONE
