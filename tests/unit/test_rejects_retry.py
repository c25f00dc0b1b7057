"""Rejected entries mended and retried: each is sent once, whatever happens meanwhile."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rejects_labs import again, records, rejected
from sensorstream.clients.memory import MemoryBroker, MemoryClient, MemoryTransactionalPublisher
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.config import load
from sensorstream.errors import DeliveryTimeout, Fenced, SourceError, UnknownTopic
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions
from sensorstream.pipelines.capture.job import make_job as make_capture
from sensorstream.pipelines.rejects.files import find
from sensorstream.pipelines.rejects.marks import TRANSACTIONAL_ID
from sensorstream.pipelines.rejects.retry import Retry
from sensorstream.pipelines.rejects.topic import save
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.stream.job import StreamJob
from sensorstream.pipelines.stream.stream import stream
from sensorstream.sources.formats import SourceForm
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"AIR": 2})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def mend(path: Path, change: Callable[[dict[str, Any]], object], *which: int) -> None:
    """Change entries of a file as somebody with an editor does; all, or those of these numbers."""
    entries = lines(path)
    for number, entry in enumerate(entries):
        if not which or number in which:
            change(entry)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_a_mended_record_is_sent_once_whole_and_captured(broker: MemoryBroker, tmp_path: Path) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for value in (b'{"n":1}', b"{bad", b"\xff", None, b"[1]"):
            publisher.publish("AIR", value, partition=1, key=b"k", timestamp_ms=5, headers=(("h", b"\xff"),))
    options = CaptureOptions(topic="AIR", partitions=(1,), exit_at_end=True, to=str(tmp_path))
    plan = make_capture(load(environ={}), options)
    assert capture(MemoryClient(broker), plan.job, plan.make_sink).rejected == 4
    path = tmp_path / "AIR_Consumer_1.rejected.jsonl"
    mend(path, lambda entry: entry.update(value='{"n":2}'), 0)
    result = again(broker, path)
    assert (result.sent, result.already, result.not_sent, result.topics) == (1, 0, 3, {"AIR": 1})
    assert [one.line for one in result.not_sent_lines] == [2, 3, 4]
    sent = records(broker)[-1]
    assert sent[:2] == ("AIR", 1)
    assert sent[3:] == (5, b"k", b'{"n":2}', (("h", b"\xff"),))
    told = lines(path)[0]["retried"]
    assert (told["topic"], told["partition"], told["offset"]) == ("AIR", 1, 5)
    before = path.read_bytes()
    result = again(broker, tmp_path)
    assert (result.sent, result.already, result.not_sent) == (0, 1, 3)
    assert path.read_bytes() == before
    assert len(records(broker)) == 6
    # The capture goes on with the file as it is now, and stores what was sent.
    plan = make_capture(load(environ={}), options)
    result_of_capture = capture(MemoryClient(broker), plan.job, plan.make_sink)
    assert (result_of_capture.rows, result_of_capture.rejected) == (1, 0)
    assert path.read_bytes() == before


def hashed(key: bytes) -> int:
    return partition_for_key(key, 2)


BY_TIME = {"timestamps": "original", "time_column": "a"}
AT_ONE = b'{"a":"1970-01-01T00:00:01Z","b":2}'
POST = b'{"id":"q", "n":1.50}'


@pytest.mark.parametrize(
    ("name", "text", "options", "mended", "value", "key", "stamp", "partition"),
    [
        ("a.csv", "a,b\n1,2\n3\n4,5\n", {}, "3,0012", b'{"a":3,"b":"0012"}', None, None, 1),
        ("a.csv", 'a;b\n1;2\n"3\n', {"form": SourceForm(delimiter=";")}, '"3";"x"', b'{"a":3,"b":"x"}', None, None, 1),
        ("a.tsv", "1\t2\n3\n", {"form": SourceForm(columns=("a", "b"))}, '3\t"', b'{"a":3,"b":"\\""}', None, None, 1),
        ("a.csv", "a,b\n1,2\n3\n", {"key": "b"}, "3,x", b'{"a":3,"b":"x"}', b"x", None, hashed(b"x")),
        ("a.csv", "a,b\n1\n", {"partition_by": "column:a"}, "1,2", b'{"a":1,"b":2}', None, None, hashed(b"1")),
        ("a.csv", "a,b\nno time,2\n", BY_TIME, "1970-01-01T00:00:01Z,2", AT_ONE, None, 1000, 0),
        ("p.jsonl", '{"a":1}\n{bad\n', {"key": "id"}, '{"id":"q", "n":1.50}', POST, b"q", None, hashed(b"q")),
    ],
)  # fmt: skip
def test_a_mended_row_is_sent_under_the_rules_of_its_replay(
    broker: MemoryBroker,
    tmp_path: Path,
    name: str,
    text: str,
    options: dict[str, Any],
    mended: str,
    value: bytes,
    key: bytes | None,
    stamp: int | None,
    partition: int,
) -> None:
    source = tmp_path / name
    source.write_text(text)
    given = ReplayOptions(sources=(f"AIR={source}",), rejects_folder=tmp_path, **options)
    replayed = replay(MemoryClient(broker), make_job(load(flags={"delay": 0.0}, environ={}), given))
    assert replayed.rejected == 1
    path = tmp_path / f"{source.stem}.rejected.jsonl"
    before = len(records(broker))
    assert (again(broker, path).sent, len(records(broker))) == (0, before), "it is still what it was"
    mend(path, lambda entry: entry.update(value=mended))
    assert again(broker, path).sent == 1
    (sent,) = [record for record in records(broker) if record.value == value]
    assert (sent.key, sent.partition) == (key, partition)
    assert stamp is None or sent.timestamp_ms == stamp
    assert again(broker, path).sent == 0


def test_a_row_of_which_the_end_is_missing_is_not_sent(broker: MemoryBroker, tmp_path: Path) -> None:
    source = tmp_path / "posts.txt"
    source.write_text("x" * (1 << 21) + "\nfine\n")
    given = ReplayOptions(sources=(f"AIR={source}",), rejects_folder=tmp_path, form=SourceForm("text"))
    replay(MemoryClient(broker), make_job(load(flags={"delay": 0.0}, environ={}), given))
    path = tmp_path / "posts.rejected.jsonl"
    result = again(broker, path)
    assert (result.sent, len(records(broker))) == (0, 1)
    assert "its end is missing" in result.not_sent_lines[0].reason
    mend(path, lambda entry: (entry.update(value="the whole row"), entry.pop("cut")))
    assert again(broker, path).sent == 1


def test_a_copy_of_the_file_and_another_captures_letter_send_nothing_again(
    broker: MemoryBroker, tmp_path: Path
) -> None:
    path = rejected(tmp_path / "a.rejected.jsonl", b"bad")
    mend(path, lambda entry: entry.update(value="1"))
    copy = tmp_path / "b.rejected.jsonl"
    copy.write_bytes(path.read_bytes())
    assert again(broker, path).sent == 1
    # As a run that was killed between its commit and the marking of its file left it.
    result = again(broker, copy)
    assert (result.sent, result.already) == (0, 1)
    assert lines(copy)[0]["retried"]["topic"] == "AIR"
    other = rejected(tmp_path / "c.rejected.jsonl", b"bad")
    mend(other, lambda entry: entry.update(value="2"))
    assert again(broker, other).already == 1
    assert len(records(broker)) == 1


class Finicky:
    """A transform that takes rows with an ``n``."""

    name, version = "finicky", "1"

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        return [[OutputRow(one.row)] if "n" in one.row else Unusable("it has no n") for one in rows]


def test_dead_letters_of_a_stream_are_saved_mended_and_streamed(tmp_path: Path) -> None:
    broker = MemoryBroker({"AIR": 2, "OUT": 1, "OUT_DEAD": 1})
    client = MemoryClient(broker)
    with client.publisher() as publisher:
        publisher.publish("AIR", b"plain", partition=1, key=b"k", timestamp_ms=5, headers=(("h", b"1"),))
        publisher.publish("OUT_DEAD", b"somebody else's")
        publisher.publish("OUT_DEAD", b"odd", headers=(("sensorstream.topic", b"AIR"), ("sensorstream.offset", b"x")))
    job = StreamJob("AIR", "OUT", "OUT_DEAD", "g", "g-a", stop_at_end=True)
    assert stream(client, job, Finicky).dead_letters == 1
    path = tmp_path / "OUT_DEAD.rejected.jsonl"
    saved = save(client, "OUT_DEAD", path)
    assert (saved.letters, saved.new, saved.others) == (1, 1, 2)
    assert again(broker, path).sent == 0, "it is still what it was"
    mend(path, lambda entry: entry.update(value='{"n":1}'))
    assert (save(client, "OUT_DEAD", path).new, lines(path)[0]["value"]) == (0, '{"n":1}')
    assert again(broker, path).sent == 1
    sent = broker.records("AIR", 1)[-1]
    assert sent[3:] == (5, b"k", b'{"n":1}', (("h", b"1"),))
    assert stream(client, job, Finicky).rows_out == 1
    with pytest.raises(UnknownTopic):
        save(client, "NOPE", path)


class Killed(BaseException):
    """The process is gone: nothing is closed or aborted."""


class Mortal(MemoryClient):
    """Dies, or gets no answer, at the step that is named: each publish, and both sides of a commit."""

    def __init__(self, broker: MemoryBroker, step: int, error: Callable[[], BaseException]) -> None:
        super().__init__(broker)
        self.memory = broker
        self.step = step
        self.error = error

    def passed(self) -> None:
        self.step -= 1
        if self.step == 0:
            raise self.error()

    def transactional_publisher(
        self, transactional_id: str, *, client_id: str = "", listener: Listener = ignore
    ) -> MemoryTransactionalPublisher:
        mortal = self

        class Publisher(MemoryTransactionalPublisher):
            def publish(self, *arguments: Any, **options: Any) -> Any:
                mortal.passed()
                return super().publish(*arguments, **options)

            def commit(self, timeout_s: float = 30.0) -> None:
                mortal.passed()
                super().commit(timeout_s)
                mortal.passed()

            def close(self, timeout_s: float = 10.0) -> None:
                if mortal.step > 0 or not isinstance(mortal.error(), Killed):
                    super().close(timeout_s)

        return Publisher(self.memory, transactional_id)


@pytest.mark.parametrize("step", range(1, 15))
@pytest.mark.parametrize("file_is_marked", [True, False])
def test_killed_at_any_step_each_entry_is_sent_once(
    broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, file_is_marked: bool
) -> None:
    monkeypatch.setattr("sensorstream.pipelines.rejects.retry.AT_ONCE", 2)
    path = rejected(tmp_path / "a.rejected.jsonl", *[b"%d" % n for n in range(5)])
    before = path.read_bytes()
    try:
        again(broker, path, client=Mortal(broker, step, Killed))
    except Killed:
        if not file_is_marked:
            path.write_bytes(before)
    again(broker, path)
    assert sorted(record.value or b"" for record in records(broker)) == [b"%d" % n for n in range(5)]
    assert all("retried" in line for line in lines(path))
    assert again(broker, path).already == 5


@pytest.mark.parametrize("step", range(1, 13))
def test_a_commit_without_an_answer_is_looked_up(
    broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr("sensorstream.pipelines.rejects.retry.AT_ONCE", 2)
    monkeypatch.setattr("sensorstream.pipelines.rejects.retry._PAUSE_S", 0.0)
    path = rejected(tmp_path / "a.rejected.jsonl", *[b"%d" % n for n in range(5)])
    result = again(broker, path, client=Mortal(broker, step, lambda: DeliveryTimeout("no answer")))
    assert (result.sent, result.already, result.not_sent) == (5, 0, 0)
    assert sorted(record.value or b"" for record in records(broker)) == [b"%d" % n for n in range(5)]
    assert all("retried" in line for line in lines(path))


def test_an_older_retry_that_wakes_up_is_fenced(broker: MemoryBroker, tmp_path: Path) -> None:
    path = rejected(tmp_path / "a.rejected.jsonl", b"1", b"2")
    copy = tmp_path / "copy.rejected.jsonl"
    copy.write_bytes(path.read_bytes())

    class Frozen(Mortal):
        def passed(self) -> None:
            self.step -= 1
            if self.step == 0:
                assert again(broker, copy).sent == 2

    with pytest.raises(Fenced, match="another run has taken over sensorstream-retries"):
        again(broker, path, client=Frozen(broker, 4, Killed))
    assert sorted(record.value or b"" for record in records(broker)) == [b"1", b"2"]
    assert again(broker, path).already == 2
    assert TRANSACTIONAL_ID == "sensorstream-retries"


def test_one_that_the_brokers_refuse_holds_up_no_other(
    broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rejected(tmp_path / "a.rejected.jsonl", b"1", b'"%s"' % (b"x" * (2 << 20)), b"3")
    result = again(broker, path)
    assert (result.sent, result.not_sent) == (2, 1)
    assert (result.not_sent_lines[0].line, "retried" in lines(path)[1]) == (2, False)
    assert sorted(record.value or b"" for record in records(broker)) == [b"1", b"3"]


def test_a_topic_that_is_gone_is_named_and_nothing_is_sent(broker: MemoryBroker, tmp_path: Path) -> None:
    path = rejected(tmp_path / "a.rejected.jsonl", b"1")
    broker.delete_topic("AIR")
    with pytest.raises(UnknownTopic):
        again(broker, path)
    assert "retried" not in lines(path)[0]
    with pytest.raises(SourceError, match="there is no file"):
        Retry(find([tmp_path / "nope"]))
