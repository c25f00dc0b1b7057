"""What scripts ask of a cluster: conditions with exit codes, waiting, latency, figures for Prometheus."""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from looking import commit, topic_of_its_own
from running import cli, ok, started, until
from sensorstream import admin
from sensorstream.cli.app import run
from sensorstream.clients import open_client
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings
from sensorstream.errors import ExitCode, UsageError
from sensorstream.monitor.probe import PREFIX, ProbeJob, probe
from sensorstream.pipelines.replay.job import for_single_rows
from sensorstream.records import TopicPartition, commit_note

pytestmark = [pytest.mark.broker, pytest.mark.long, pytest.mark.usefixtures("patient_looks")]
NOTE = commit_note("AIR_Consumer_0", "laptop")


@pytest.fixture
def topic(settings: Settings) -> Iterator[str]:
    """Ten rows in two partitions, of which the group of the same name has read five and one."""
    with topic_of_its_own(settings, "scripts") as name:
        with open_client(settings).publisher() as publisher:
            for number in range(10):
                publisher.publish(name, b'{"n":1}', partition=number % 2)
        with open_client(settings).reader(group=name) as reader:
            commit(reader, {TopicPartition(name, 0): 5, TopicPartition(name, 1): 1}, NOTE)
        yield name


@pytest.fixture
def b(broker: tuple[str, ...]) -> tuple[str, str]:
    return ("-b", ",".join(broker))


def test_lag_fails_with_code_5_and_names_what_fired(
    topic: str, b: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    conditions = ("lag > 3", "brokers < 1", "rate(NOTHING) < 10")
    words = [word for one in conditions for word in ("--fail-if", one)]
    assert run(["lag", "-g", topic, *words, "--output", "json", *b]) == ExitCode.THRESHOLD
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert answer["status"] == "partial"
    assert answer["result"]["total_lag"] == 4
    fired, not_fired, unknown = answer["result"]["conditions"]
    assert list(fired) == ["condition", "holds", "readings"]
    assert (fired["condition"], fired["holds"], not_fired["holds"], unknown["holds"]) == (
        *conditions[:1],
        True,
        False,
        None,
    )
    assert list(fired["readings"][0]) == ["comparison", "value", "unknown", "holds", "held_s"]
    assert fired["readings"][0]["value"] == 4
    assert not_fired["readings"][0]["value"] >= 1
    assert "no topic NOTHING" in unknown["readings"][0]["unknown"]
    (error,) = answer["errors"]
    assert error == {"message": "--fail-if 'lag > 3' holds: lag > 3: 4", "hint": "", "exit_code": 5}
    assert "'lag > 3' holds" in told.err


def test_what_is_not_over_the_limit_is_no_failure(
    topic: str, b: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["lag", "-g", topic], ["monitor", "--once"]):
        assert run([*words, "--fail-if", f"lag({topic}) > 4 or brokers < 1", *b]) == 0
        shown = capsys.readouterr().out
        assert topic in shown
        assert "does not hold" in shown


def test_for_and_rates_are_looked_at_for_as_long_as_they_need(
    topic: str, b: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["monitor", "--once", "--fail-if", f"lag({topic}) > 3 for 2s and rate({topic}) < 1", "--output", "json"]
    assert run([*words, *b]) == ExitCode.THRESHOLD
    (verdict,) = json.loads(capsys.readouterr().out)["result"]["conditions"]
    lasting, rate = verdict["readings"]
    assert lasting["held_s"] >= 2
    assert rate["value"] == 0


def test_a_group_that_is_not_there_is_told_as_always(
    topic: str, b: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lag", "-g", f"{topic}-nobody", "--fail-if", "lag > 3", *b]) == ExitCode.USAGE
    assert "not known to the cluster" in capsys.readouterr().err


def test_monitor_without_a_terminal_watches_until_a_condition_holds(topic: str, b: tuple[str, str]) -> None:
    with started("monitor", "--fail-if", f"rows({topic}) > 10", "--output", "json", *b) as watching:
        with open_client(Settings(bootstrap=tuple(b[1].split(",")))).publisher() as publisher:
            publisher.publish(topic, b"x", partition=0).wait(60)
        (verdict,) = json.loads(watching.stdout.read())["result"]["conditions"]
        assert watching.end() == ExitCode.THRESHOLD
    assert verdict["readings"][0]["value"] == 11


def test_a_run_is_stopped_by_its_condition(topic: str, b: tuple[str, str], tmp_path: Path) -> None:
    name = f"{topic}-run"
    (tmp_path / "rows.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(5000)))
    ok("topics", "create", name, *b)
    words = (
        "--source",
        f"{name}=rows.csv",
        "--delay",
        "0.5",
        "-g",
        name,
        "--to",
        "out",
        "--fail-if",
        f"rows({name}) >= 3",
    )
    (tmp_path / "out").mkdir()
    done = cli("run", "-e", *words, "--output", "json", *b, cwd=tmp_path)
    assert done.returncode == ExitCode.THRESHOLD, done.stderr
    answer = json.loads(done.stdout)
    assert answer["result"]["conditions"][0]["readings"][0]["value"] >= 3
    assert [one["exit_code"] for one in answer["result"]["consumers"]] == [0, 0]
    assert len(answer["errors"]) == 1
    admin.delete_topics(Settings(bootstrap=tuple(b[1].split(","))), [name])


def test_wait_ends_when_a_capture_has_caught_up(topic: str, b: tuple[str, str], tmp_path: Path) -> None:
    group = f"{topic}-capture"
    condition = f"rows({topic}) >= 10 and lag({group}) == 0"
    with started("wait", condition, "--timeout", "120", "--output", "json", *b) as waiting:
        until(lambda: f"there is no group {group}" in waiting.told, "it says what is not known")
        assert waiting.process.poll() is None
        ok("consume", "-t", topic, "-p", "0", "-p", "1", "-g", group, "-e", "--to", f"{tmp_path}/", *b)
        answer = json.loads(waiting.stdout.read())
        assert waiting.end() == 0
    assert answer["result"]["holds"] is True
    assert list(answer["result"]) == ["condition", "holds", "readings", "seconds", "reached"]
    assert [one["value"] for one in answer["result"]["readings"]] == [10, 0]


def test_wait_says_what_was_not_in_time(topic: str, b: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["wait", "lag == 0", "-g", topic, "--timeout", "1", *b]) == ExitCode.FAILED
    assert "not within 1 s: lag == 0: 4" in capsys.readouterr().err
    words = ["wait", "brokers >= 1", "--timeout", "1", "-b", "127.0.0.1:1", "--output", "json"]
    assert run(words) == ExitCode.UNREACHABLE
    assert json.loads(capsys.readouterr().out)["result"]["reached"] is False


def test_wait_waits_for_a_cluster_that_is_starting(own_cluster: Callable[..., LocalCluster]) -> None:
    with started("wait", "brokers == 1 and offline == 0", "--timeout", "240", "-b", "cluster:own-0") as waiting:
        own_cluster(brokers=1)
        assert waiting.end(240) == 0


# Latency


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_probe_measures_each_broker_and_leaves_nothing_behind(
    settings: Settings, b: tuple[str, str], client: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["monitor", "latency", "--rate", "50", "--for", "1s", "--client", client, "--output", "json"]
    assert run([*words, *b]) == 0
    found = json.loads(capsys.readouterr().out)["result"]
    assert (found["sent"], found["lost"], found["failed"], found["complete"]) == (50, 0, 0, True)
    figures = found["end_to_end"]
    assert figures["samples"] == 50
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert {one["leader"] for one in found["partitions"]} <= {1, 2, 3}
    assert sum(one["end_to_end"]["samples"] for one in found["partitions"]) == 50
    assert found["topic"].startswith(PREFIX)
    assert found["topic"] not in {one.name for one in admin.list_topics(settings).topics}


def test_a_probe_keeps_its_own_topic_and_refuses_that_of_others(settings: Settings, topic: str) -> None:
    client, kept = open_client(for_single_rows(settings)), f"{topic}-probe"
    try:
        for _ in range(2):
            assert probe(client, settings, ProbeJob(kept, 50, 0.2)).end_to_end.samples == 10
        with pytest.raises(UsageError, match="not made by a probe"):
            probe(client, settings, ProbeJob(topic, 50, 0.2))
        # What another host has published there stands apart.
        value = {"probe": "x", "n": 1, "host": "elsewhere", "at": 0.0}
        with client.publisher() as publisher:
            publisher.publish(kept, json.dumps(value).encode(), partition=0).wait(30)
    finally:
        admin.delete_topics(settings, [kept])


def test_consume_measures_live_records(topic: str, b: tuple[str, str], settings: Settings, tmp_path: Path) -> None:
    words = ("-t", topic, "-p", "0", "-c", "8", "--latency", "--to", f"{tmp_path}/", "--output", "json", *b)
    with started("consume", *words) as consuming, open_client(settings).publisher() as publisher:
        until(lambda: f"end of {topic} partition 0 at offset 5" in consuming.told, "the old rows are read")
        for _ in range(3):
            publisher.publish(topic, b'{"n":2}', partition=0).wait(60)
        result = json.loads(consuming.stdout.read())["result"]
        assert consuming.end() == 0
    found = result["latency"]
    assert list(found) == ["end_to_end", "older", "earlier", "earlier_ms", "timestamps", "same_clock"]
    assert found["older"] == 5
    assert found["end_to_end"]["samples"] + found["earlier"] == 3
    assert (found["timestamps"], found["same_clock"]) == ("CreateTime", True)


def test_stream_measures_too(
    topic: str, b: tuple[str, str], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--from", topic, "--to", f"{topic}-out", "--create", "--transform", "select", "--set", "columns=n")
    try:
        assert run(["stream", *words, "-e", "--latency", *b]) == 0
        assert "not measured: 10 records that had been published before" in capsys.readouterr().out
    finally:
        admin.delete_topics(settings, [f"{topic}-out", f"{topic}-out_DEAD"])


# Prometheus


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def of_group(text: str, name: str, group: str) -> dict[tuple[str, int], float]:
    found = samples(text).items()
    chosen = ((dict(labels), value) for (each, labels), value in found if each == name)
    return {(one["topic"], int(one["partition"])): value for one, value in chosen if one["consumergroup"] == group}


def as_lag_tells(lag: dict[str, Any], key: str) -> dict[tuple[str, int], float]:
    return {(row["topic"], row["partition"]): row[key] for row in lag["partitions"] if row[key] is not None}


def test_metrics_are_what_lag_tells(topic: str, b: tuple[str, str]) -> None:
    with started("metrics", "--listen", "127.0.0.1:0", "--every", "0.5", *b) as serving:
        until(lambda: "http://" in serving.told, "it tells where it is")
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", serving.told)

        pages: list[str] = []

        def knows_the_group() -> bool:
            with urllib.request.urlopen(url, timeout=60) as answer:
                pages.append(answer.read().decode())
            return of_group(pages[-1], "kafka_consumergroup_lag", topic) == {(topic, 0): 0, (topic, 1): 4}

        # A later page may lack what a broker was late with: this one is kept.
        until(knows_the_group, "the group's lag")
        text, lag = pages[-1], ok("lag", "-g", topic, *b)
        assert as_lag_tells(lag, "lag") == {(topic, 0): 0, (topic, 1): 4}
        assert of_group(text, "kafka_consumergroup_current_offset", topic) == as_lag_tells(lag, "current_offset")
        assert of_group(text, "sensorstream_capture_waiting_rows", topic) == {(topic, 0): 0, (topic, 1): 4}
        found = samples(text)
        assert 1 <= found["kafka_brokers", ()] <= 3, "one that is slow to answer counts as gone"
        assert found["kafka_topic_partitions", (("topic", topic),)] == 2
        assert found["kafka_consumergroup_lag_sum", (("consumergroup", topic), ("topic", topic))] == 4
        serving.process.terminate()
        assert serving.end() == 0


def test_metrics_once_has_jobs_and_goes_to_stdout(
    topic: str, b: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("n\n1\n2\n3\n")
    ok("produce", "--source", f"{topic}=rows.csv", "--delay", "0", "--exactly-once", "--job", topic, *b, cwd=tmp_path)
    assert run(["metrics", "--once", *b]) == 0
    page = capsys.readouterr().out
    rows = {
        dict(labels)["job"]: value
        for (name, labels), value in samples(page).items()
        if name == "sensorstream_replay_rows" and dict(labels)["topic"] == topic
    }
    assert list(rows.values()) == [3]
    assert page.startswith("# HELP ")
