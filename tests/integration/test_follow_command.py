"""``produce --follow`` on real brokers: files that grow and are rotated, and a producer that is killed."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from running import ok, started, until
from sensorstream.clients import open_client
from sensorstream.config import Settings
from sensorstream.errors import ExitCode
from sensorstream.records import TopicPartition

pytestmark = pytest.mark.broker


@pytest.fixture
def b(broker: tuple[str, ...]) -> list[str]:
    return ["--bootstrap", ",".join(broker)]


class Committed:
    """What a committed reader finds in both partitions of a topic, read on as it grows."""

    def __init__(self, b: list[str], topic: str) -> None:
        self._reader = open_client(Settings(bootstrap=tuple(b[1].split(",")))).reader()
        self._reader.assign({TopicPartition(topic, number): 0 for number in (0, 1)})
        self.rows: dict[int, list[int]] = {0: [], 1: []}

    def numbers(self) -> list[int]:
        for partition, records in self._reader.poll(0.2).items():
            self.rows[partition.partition] += [json.loads(record.value or b"")["n"] for record in records]
        return sorted(self.rows[0] + self.rows[1])

    def close(self) -> None:
        self._reader.close()


class Writer:
    """Appends rows, halves of lines too, to a file, and rotates it every now and then."""

    def __init__(self, file: Path) -> None:
        self.written = 0
        self._file = file
        self._stop = threading.Event()

    def rotate(self) -> None:
        if self._file.exists():
            self._file.rename(self._file.with_name(f"{self._file.name}.{90 - self.written // 1000:02}"))
        self._append("n,text\n")

    def _append(self, text: str) -> None:
        with self._file.open("a") as file:
            file.write(text)

    def write(self, rows: int) -> None:
        text = "".join(f"{n},row {n}\n" for n in range(self.written, self.written + rows))
        self._append(text[: len(text) // 2])
        self._append(text[len(text) // 2 :])
        self.written += rows

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write on a thread of its own, a rotation every 1000 rows."""

        def work() -> None:
            while not self._stop.wait(0.02):
                if self.written % 1000 == 0:
                    self.rotate()
                self.write(20)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


def killed_at(rows: int, command: list[str], committed: Committed, folder: Path) -> None:
    with started(*command, cwd=folder) as producer:
        until(lambda: len(committed.numbers()) >= rows, f"{rows} rows")
        producer.signal(signal.SIGKILL)
        assert producer.end() == -signal.SIGKILL


def test_killed_again_and_again_while_the_file_grows_and_is_rotated_each_row_is_there_once(
    b: list[str], tmp_path: Path
) -> None:
    ok("topics", "create", "followed", "followed-too", *b)
    file = tmp_path / "meter.csv"
    command = ["produce", "--source", f"followed={file}", "--follow", "--exactly-once", *b]
    writer, committed = Writer(file), Committed(b, "followed")
    try:
        writer.rotate()
        writer.write(20)
        killed_at(20, command, committed, tmp_path)  # it has begun before the first rotation
        with writer.writing():
            for _ in range(2):
                killed_at(len(committed.numbers()) + 100, command, committed, tmp_path)
        with started(*command, cwd=tmp_path) as producer:
            until(lambda: len(committed.numbers()) >= writer.written, "all rows")
            writer.write(7)
            until(lambda: len(committed.numbers()) >= writer.written, "the last rows")
            producer.signal(signal.SIGINT)
            assert producer.end() == ExitCode.DONE
        assert committed.numbers() == list(range(writer.written))
        assert all(rows == sorted(rows) for rows in committed.rows.values())
        other = tmp_path / "other.csv"
        other.write_text("n,text\n1,x\n")
        both = [*command, "--source", f"followed-too={other}", "--timeout", "0.5", "--processes", "2"]
        result = ok(*both, cwd=tmp_path)
        assert [source["sent"] for source in result["sources"]] == [0, 1]
        assert result["complete"]
    finally:
        committed.close()
