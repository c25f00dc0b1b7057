"""``stream`` and ``sentiment stream`` as commands: what they refuse, what they make, what they tell."""

import csv
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.exported_model import write
from running import cli, ok, started, until

pytestmark = pytest.mark.long

ROUND = ["--transform", "round", "--set", "columns=n"]
NOBODY = "127.0.0.1:1"

WRONG: list[tuple[list[str], str]] = [
    (["stream", "--from", "A", "--to", "B"], "--transform"),
    (["stream", "--from", "A", "--to", "A", *ROUND], "forever"),
    (["stream", "--from", "A", "--to", "B", "--dead-letters", "A", *ROUND], "--dead-letters A"),
    (["stream", "--from", "../A", "--to", "B", *ROUND], "topic's name"),
    (["stream", "--from", "A", "--to", "B", "--transform", "rond"], "round"),
    (["stream", "--from", "A", "--to", "B", "--timeout", "0", *ROUND], "--timeout"),
    (["stream", "--from", "A", "--to", "B", "--commit-every", "90", *ROUND], "--commit-every"),
    (["stream", "--from", "A", "--to", "B", "-c", "5", "--workers", "2", *ROUND], "--workers"),
    (["stream", "--from", "A", "--to", "B", "--workers", "0", *ROUND], "--workers"),
    (["stream", "--from", "A", "--to", "B", "--instance", "a b", *ROUND], "--instance"),
    (["sentiment", "stream", "--scorer", "vadr"], "vader"),
    (["sentiment", "stream", "--from", "P", "--to", "P"], "forever"),
    (["sentiment", "stream", "--to", "scored/", "--workers", "2"], "--workers"),
    (["sentiment", "stream", "--to", "scored.csv", "--plain"], "--plain"),
    (["sentiment", "stream", "--plain", "--page-field", "page"], "no --page-field"),
    (["sentiment", "stream", "--time-format", "iso"], "--time-field"),
    (["sentiment", "stream", "--time-field", "t", "--time-format", "d/m/Y"], "'d/m/Y' is not known"),
    (["sentiment", "stream", "--to", "scored/", "--commit-every", "3"], "--commit-every"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=lambda value: str(value)[:70])
def test_what_is_wrong_is_named_in_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = cli(*arguments, "-b", NOBODY, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert says in done.stderr
    assert not list(tmp_path.iterdir()), "nothing is created"


def test_a_cluster_that_nobody_answers_for_is_exit_3(tmp_path: Path) -> None:
    done = cli("stream", "--from", "A", "--to", "B", *ROUND, "-b", NOBODY, cwd=tmp_path)
    assert done.returncode == 3
    assert NOBODY in done.stderr


def produced(b: list[str], topic: str, lines: list[str], folder: Path) -> None:
    source = folder / f"{topic}.jsonl"
    source.write_text("".join(line + "\n" for line in lines))
    ok("produce", "--source", f"{topic}={source}", "--delay", "0", *b, cwd=folder)


def told(*arguments: str, cwd: Path) -> tuple[int, dict[str, Any]]:
    done = cli(*arguments, "--output", "json", cwd=cwd)
    answer: dict[str, Any] = json.loads(done.stdout)
    assert "Traceback" not in done.stderr
    return done.returncode, answer


@pytest.mark.broker
def test_topics_are_made_when_asked_and_results_are_told(broker: tuple[str, ...], tmp_path: Path) -> None:
    b = ["--bootstrap", ",".join(broker)]
    ok("topics", "create", "cmd-in", "--partitions", "3", "--replication-factor", "1", *b)
    produced(b, "cmd-in", ['{"n":1.26,"s":"a"}', '{"n":2,"s":"b"}', '{"s":"c"}'], tmp_path)
    stream = ["stream", "--from", "cmd-in", "--to", "cmd-out", *ROUND, "--set", "digits=1", "-g", "cmd", "-e", *b]
    code, answer = told("stream", "--from", "cmd-none", "--to", "cmd-out", *ROUND, *b, cwd=tmp_path)
    assert (code, answer["errors"][0]["message"]) == (2, "topic 'cmd-none' does not exist")
    code, answer = told(*stream, cwd=tmp_path)
    assert (code, answer["errors"][0]["message"]) == (2, "topic 'cmd-out' does not exist")
    assert "--create" in answer["errors"][0]["hint"]
    done = cli(*stream, "--create", "--output", "json", cwd=tmp_path)
    code, answer = done.returncode, json.loads(done.stdout)
    assert (code, answer["status"], answer["command"]) == (1, "partial", "stream")
    making = "creating topics cmd-out and cmd-out_DEAD (for records that can't be used): 3 partitions, 1 replica"
    assert making in done.stderr.split("created topic cmd-out:")[0], "told before it is done"
    result = answer["result"]
    assert list(result) == [
        *("source", "target", "dead_letters_topic", "group", "ended", "rows_in", "rows_out", "dead_letters"),
        *("transactions", "aborted", "partitions", "killed"),
    ]
    assert (result["ended"], result["rows_in"], result["rows_out"], result["dead_letters"]) == ("end", 3, 2, 1)
    assert list(result["partitions"][0]) == [
        *("topic", "partition", "first_offset", "next_offset", "rows_in", "rows_out", "dead_letters"),
    ]
    for name in ("cmd-out", "cmd-out_DEAD"):
        described = ok("topics", "describe", name, *b)["topics"][0]["partitions"]
        assert [len(part["replicas"]) for part in described] == [1, 1, 1]
    assert sum(ok(*stream)[name] for name in ("rows_in", "rows_out", "dead_letters")) == 0
    # What a capture or another stream has read is no reason to leave it out.
    cli("consume", "-t", "cmd-in", "-p", "0", "-p", "1", "-p", "2", "-e", "--to", "captured/", *b, cwd=tmp_path)
    for target in ("cmd-one", "cmd-other"):
        kept = ["--transform", "select", "--set", "columns=s", "-e", "--create"]
        result = ok("stream", "--from", "cmd-in", "--to", target, *kept, *b)
        assert (result["group"], result["rows_out"]) == (f"cmd-in_to_{target}", 3)
    done = cli("consume", "-t", "cmd-out", "-p", "0", "-e", "--to", "-", *b)
    assert done.stdout == '{"n":1.3,"s":"a"}\n'


@pytest.mark.broker
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_what_the_target_does_not_take_is_a_dead_letter(broker: tuple[str, ...], tmp_path: Path, client: str) -> None:
    """A topic's own limit is one for whole batches, too: those of small records must not be refused either."""
    b = ["--bootstrap", ",".join(broker), "--client", client]
    source, target = f"small-in-{client}", f"small-out-{client}"
    ok("topics", "create", source, "--partitions", "1", *b)
    ok("topics", "create", target, "--partitions", "1", "--set", "max.message.bytes=3000", *b)
    rows = [f'{{"n":{n},"s":"{"x" * (4000 if n == 77 else 50)}"}}' for n in range(300)]
    produced(b, source, rows, tmp_path)
    stream = ["stream", "--from", source, "--to", target, *ROUND, "--set", "digits=1", "-e", *b]
    code, answer = told(*stream, cwd=tmp_path)
    assert (code, answer["status"], answer["result"]["aborted"]) == (1, "partial", 0)
    assert [answer["result"][name] for name in ("rows_in", "rows_out", "dead_letters")] == [300, 299, 1]
    assert answer["errors"][0]["message"] == f"1 record could not be used, kept in {target}_DEAD"


@pytest.mark.broker
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_what_is_too_large_for_the_dead_letters_says_how_to_make_room(
    broker: tuple[str, ...], tmp_path: Path, client: str
) -> None:
    """With the reason in its headers a dead letter is larger than its record; at each step the next thing is said."""
    b = ["--bootstrap", ",".join(broker), "--client", client]
    source, target = f"large-in-{client}", f"large-out-{client}"
    ok("topics", "create", source, target, "--partitions", "1", *b)
    produced(b, source, ['{"n":1}', f'{{"s":"{"x" * 1_048_450}"}}', '{"n":2}'], tmp_path)
    stream = ["stream", "--from", source, "--to", target, *ROUND, "--set", "digits=1", "-e", *b]
    for larger in ([], ["-X", "max.request.size=2000000"]):
        refused = cli(*stream, *larger)
        assert refused.returncode == 1, refused.stderr
        error = refused.stderr.splitlines()[-1]
        assert f"{source}[0] offset 1 can't be used, and is too large for {target}_DEAD" in error
        assert f"topics alter {target}_DEAD --set max.message.bytes=1113994" in error
        assert "is repeated" not in refused.stderr
    ok("topics", "alter", f"{target}_DEAD", "--set", "max.message.bytes=1113994", *b)
    code, answer = told(*stream, "-X", "max.request.size=1113994", cwd=tmp_path)
    assert code == 1
    assert [answer["result"][name] for name in ("rows_in", "rows_out", "dead_letters", "aborted")] == [3, 2, 1, 0]


@pytest.mark.broker
def test_plain_posts_are_scored_by_workers_and_stored_in_files(broker: tuple[str, ...], tmp_path: Path) -> None:
    b = ["--bootstrap", ",".join(broker)]
    ok("topics", "create", "cmd-posts", "cmd-scored", *b)
    produced(b, "cmd-posts", [f'{{"id":{n},"text":"a great day"}}' for n in range(10)], tmp_path)
    stream = ["sentiment", "stream", "--from", "cmd-posts", *b]
    result = ok(*stream, "--to", "cmd-scored", "-g", "cmd-plain", "--plain", "--workers", "2", "-e")
    assert (result["ended"], result["rows_in"], result["rows_out"], result["killed"]) == ("end", 10, 10, 0)
    first = cli("consume", "-t", "cmd-scored", "-p", "0", "-c", "1", "--to", "-", *b).stdout
    assert json.loads(first)["text"] == '{"id":0,"text":"a great day"}'
    # A dead letter in the first worker's share ends neither it nor the other one.
    # Workers are given the fields, too.
    named = ["--text-field", "text", "--id-field", "id", "--page-field", "text", "--workers", "2", "-e"]
    assert ok(*stream, "--to", "cmd-scored", "-g", "cmd-named", *named)["rows_out"] == 10
    lines = cli("consume", "-t", "cmd-scored", "-p", "0", "-e", "--to", "-", *b).stdout.splitlines()
    assert json.loads(lines[-1])["page"] == "a great day"
    dead = ["--to", "cmd-scored", "-g", "cmd-dead", "--text-field", "id2", "--workers", "2", "-e"]
    code, answer = told(*stream, *dead, cwd=tmp_path)
    assert (code, answer["status"], answer["result"]["ended"]) == (1, "partial", "end")
    assert (answer["result"]["rows_in"], answer["result"]["dead_letters"]) == (10, 10)
    assert "10 records could not be used" in answer["errors"][0]["message"]
    result = ok(*stream, "--to", "files/", "-g", "cmd-files", "-e", cwd=tmp_path)
    assert result["rows"] == 10
    lines = (tmp_path / "files" / "cmd-posts_Consumer_1.csv").read_text().splitlines()
    assert len(lines) == 6
    assert "compound" in lines[0]


@pytest.mark.broker
def test_an_exported_model_scores_a_stream_in_workers(broker: tuple[str, ...], tmp_path: Path) -> None:
    b = ["--bootstrap", ",".join(broker)]
    write(tmp_path / "model")
    ok("topics", "create", "cmd-onnx", "--partitions", "2", *b)
    texts = ["superb lovely", "awful sad", "north weekly", "", "great " * 400] * 4
    produced(b, "cmd-onnx", [json.dumps({"text": text}) for text in texts], tmp_path)
    stream = ["sentiment", "stream", "--from", "cmd-onnx", "--to", "cmd-onnx-out", "--create", "-e", *b]
    result = ok(*stream, "--scorer", "onnx:model", "--set", "threads=1", "--workers", "2", cwd=tmp_path)
    assert (result["rows_in"], result["rows_out"], result["dead_letters"]) == (20, 20, 0)
    done = cli("consume", "-t", "cmd-onnx-out", "-p", "0", "-p", "1", "-e", "--to", "out/", *b, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [row for file in sorted((tmp_path / "out").glob("*.csv")) for row in csv.DictReader(file.open())]
    assert Counter((row["label"], row["status"]) for row in rows) == {
        ("positive", "ok"): 4,
        ("negative", "ok"): 4,
        ("neutral", "ok"): 4,
        ("", "empty"): 4,
        ("positive", "truncated"): 4,
    }
    (signature,) = {row["scorer"] for row in rows}
    assert json.loads(signature)["name"] == "model"


@pytest.mark.broker
def test_two_streams_on_one_machine_do_not_fence_each_other(broker: tuple[str, ...], tmp_path: Path) -> None:
    """Each takes a number of its own; Ctrl-C ends each in order."""
    b = ["--bootstrap", ",".join(broker)]
    ok("topics", "create", "cmd-two", "cmd-two-out", *b)
    produced(b, "cmd-two", ['{"n":1}', '{"n":2}'], tmp_path)
    stream = ["stream", "--from", "cmd-two", "--to", "cmd-two-out", *ROUND, "-g", "cmd-two", "-v", *b]
    with started(*stream, cwd=tmp_path) as one:
        until(lambda: "-0\n" in one.told and "cmd-two[1]: streaming" in one.told, "the first one's id")
        with started(*stream, cwd=tmp_path) as two:
            until(lambda: "-1\n" in two.told and "streaming from" in two.told, "the second one's id and share")
            for running in (two, one):
                assert running.process.poll() is None
                running.signal(signal.SIGINT)
                assert running.end() == 0, running.told
    assert "fenced" not in one.told + two.told
    assert "taken over" not in one.told + two.told


@pytest.mark.broker
def test_a_worker_that_fails_ends_all_and_leaves_no_process(broker: tuple[str, ...], tmp_path: Path) -> None:
    b = ["--bootstrap", ",".join(broker)]
    ok("topics", "create", "cmd-fail", "cmd-fail-out", *b)
    stream = ["stream", "--from", "cmd-fail", "--to", "cmd-fail-out", *ROUND, "-g", "cmd-fail", "--workers", "2", *b]
    with started(*stream, cwd=tmp_path) as running:
        until(lambda: running.told.count("streaming from") >= 2, "the workers")
        workers = psutil.Process(running.process.pid).children()
        ok("topics", "delete", "cmd-fail", "-y", *b)
        assert running.end() == 1, running.told
        assert "failed: topic 'cmd-fail'" in running.told
    assert not any(worker.is_running() for worker in workers)
