"""What Prometheus reads: the names of the common exporters, whole labels, and nothing where nothing is known."""

import urllib.error
import urllib.request
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sensorstream.admin import GroupMember
from sensorstream.errors import UsageError
from sensorstream.monitor import prometheus
from sensorstream.monitor.lag import GroupLag, PartitionLag
from sensorstream.monitor.metrics_page import Page
from sensorstream.monitor.prometheus import Collector, text_of
from sensorstream.monitor.snapshot import BrokerState, GroupState, PartitionState, Snapshot, TopicState
from sensorstream.monitor.view import Progress, View
from sensorstream.pipelines.replay.jobs import Job
from sensorstream.records import TopicPartition

Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]
NAME = 'AIR"\\\n<script>[red]'


def read(view: View | None, *jobs: Job) -> Found:
    text = text_of(Collector(lambda: view, lambda: jobs))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Found, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a name, by their labels' values in the order of the labels' names."""
    return {tuple(value for _, value in labels): number for (each, labels), number in found.items() if each == name}


def view(topic: str = "AIR", *, reachable: bool = True) -> View:
    parts = (
        PartitionState(topic, 0, 1, (1, 2), (1, 2), 10, 1440, 900),
        PartitionState(topic, 1, 2, (1, 2), (2,), 0, 100, 100),
        PartitionState(topic, 2, None, (2, 1), (), None, None, None),
    )
    member = GroupMember("m-1", "sensorstream-77", "h", (TopicPartition(topic, 1),))
    other = GroupMember("m-2", "somebody", "h", (TopicPartition(topic, 2),))
    rows = (
        PartitionLag(topic, 0, "AIR_Consumer_0", "laptop", 40, 1400, 1440),
        PartitionLag(topic, 1, "m-1", "h", 0, 100, 100),
        PartitionLag(topic, 2, "m-2", "h", None, None, None),
    )
    groups = (GroupState(GroupLag("g", "Stable", None, rows), (member, other), 2),)
    brokers = (
        BrokerState(1, "127.0.0.1", 9092, True, True, 1, 3, 1, 4000),
        BrokerState(2, "::1", 9093, True, False, 1, 3, 2, None),
        BrokerState(3, None, None, False, False, 0, 0, 0, None),
    )
    snapshot = Snapshot(
        1000.5, 0.25, 7, reachable, "cid", "4.2", 1, brokers, (TopicState(topic, False, parts),), groups, ("x",)
    )
    where = TopicPartition(topic, 0)
    progress: Mapping[tuple[str, TopicPartition], Progress] = {("g", where): Progress(40, 1, 2, 40, 12.5, "OK")}
    return View(snapshot, progress=progress, group_progress={"g": Progress(40, 1, 2, 40, 12.5, "WARN")},
                age_s={topic: 3.5})  # fmt: skip


JOB = Job("AIR/1", "AIR", "a.csv", "laptop", 1, "0", 2, 1, {}, 1438, 2, 0, 1440, True, "2026-01-01T00:00:00Z",
          "2026-01-01T00:00:10Z", None, None)  # fmt: skip


def test_brokers_and_topics_have_the_names_of_kafka_exporter() -> None:
    found = read(view())
    assert of(found, "kafka_brokers") == {(): 2}
    assert of(found, "kafka_broker_info") == {("127.0.0.1:9092", "1"): 1, ("[::1]:9093", "2"): 1}
    assert of(found, "kafka_topic_partitions") == {("AIR",): 3}
    assert of(found, "kafka_topic_partition_current_offset") == {("0", "AIR"): 1440, ("1", "AIR"): 100}
    assert of(found, "kafka_topic_partition_oldest_offset") == {("0", "AIR"): 10, ("1", "AIR"): 0}
    assert of(found, "kafka_topic_partition_leader") == {("0", "AIR"): 1, ("1", "AIR"): 2}
    assert of(found, "kafka_topic_partition_leader_is_preferred") == {("0", "AIR"): 1, ("1", "AIR"): 0}
    assert of(found, "kafka_topic_partition_replicas") == {(str(n), "AIR"): 2 for n in range(3)}
    assert of(found, "kafka_topic_partition_in_sync_replica") == {("0", "AIR"): 2, ("1", "AIR"): 1, ("2", "AIR"): 0}
    under = of(found, "kafka_topic_partition_under_replicated_partition")
    assert under == {("0", "AIR"): 0, ("1", "AIR"): 1, ("2", "AIR"): 1}


def test_groups_have_the_names_of_kafka_exporter_and_unknown_is_absent() -> None:
    found = read(view())
    assert of(found, "kafka_consumergroup_lag") == {("g", "0", "AIR"): 40, ("g", "1", "AIR"): 0}
    assert of(found, "kafka_consumergroup_current_offset") == {("g", "0", "AIR"): 1400, ("g", "1", "AIR"): 100}
    assert of(found, "kafka_consumergroup_lag_sum") == {}, "one of the three is not known"
    assert of(found, "kafka_consumergroup_members") == {("g",): 2}


def test_what_only_kminion_tells_has_its_names() -> None:
    found = read(view())
    assert of(found, "kminion_kafka_cluster_info") == {("2", "cid", "4.2", "1"): 1}
    assert of(found, "kminion_kafka_consumer_group_info") == {("2", "g", "Stable"): 1}
    assert of(found, "kminion_kafka_broker_log_dir_size_total_bytes") == {("127.0.0.1", "1", "9092"): 4000}
    assert of(found, "kminion_kafka_topic_info") == {("3", "2", "AIR"): 1}


def test_what_nobody_else_tells_is_ours() -> None:
    found = read(view(), JOB)
    assert of(found, "sensorstream_cluster_up") == {(): 1}
    assert of(found, "sensorstream_broker_up") == {("1",): 1, ("2",): 1, ("3",): 0}
    assert of(found, "sensorstream_consumergroup_lag_seconds") == {("g", "0", "AIR"): 12.5}
    assert of(found, "sensorstream_consumergroup_status") == {("g", "WARN"): 1}
    assert of(found, "sensorstream_topic_age_seconds") == {("AIR",): 3.5}
    assert of(found, "sensorstream_snapshot_timestamp_seconds") == {(): 1000.5}
    # A pinned capture is known by its note, a member of a group by its client id; somebody else is none.
    assert of(found, "sensorstream_capture_next_offset") == {("g", "0", "AIR"): 1400, ("g", "1", "AIR"): 100}
    assert of(found, "sensorstream_capture_waiting_rows") == {("g", "0", "AIR"): 40, ("g", "1", "AIR"): 0}
    assert of(found, "sensorstream_capture_info") == {("g", "laptop", "0", "AIR"): 1, ("g", "h", "1", "AIR"): 1}
    assert of(found, "sensorstream_replay_rows") == {("AIR/1", "AIR"): 1438}
    assert of(found, "sensorstream_replay_rejected_rows") == {("AIR/1", "AIR"): 2}
    assert of(found, "sensorstream_replay_finished") == {("AIR/1", "AIR"): 1}
    assert of(found, "sensorstream_replay_last_commit_timestamp_seconds") == {("AIR/1", "AIR"): 1_767_225_610}


def test_names_of_all_kinds_come_through_whole() -> None:
    assert of(read(view(NAME)), "kafka_topic_partitions") == {(NAME,): 3}


def test_a_cluster_that_does_not_answer_has_no_figures_but_that() -> None:
    away = view(reachable=False)
    found = read(away)
    assert {name for name, _ in found} == {"sensorstream_cluster_up", "kafka_brokers"}
    assert of(found, "sensorstream_cluster_up") == {(): 0}
    assert read(None) == {}


def test_samples_are_bounded_and_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MOST_SAMPLES", 2)
    found = read(view())
    assert len(of(found, "kafka_topic_partition_replicas")) == 2
    assert of(found, "sensorstream_samples_left_out")[("kafka_topic_partition_replicas",)] == 1


def test_no_label_is_new_with_each_start() -> None:
    text = text_of(Collector(view, lambda: [JOB]))
    for changing in ("m-1", "m-2", "sensorstream-77", "AIR_Consumer_0"):
        assert changing not in text


# The page


def test_the_page_is_read_only_and_counts() -> None:
    with Page(Collector(view), "127.0.0.1", 0) as page:
        with urllib.request.urlopen(page.url, timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert b"kafka_brokers 2.0" in answer.read()
        for url, data in ((page.url.removesuffix("metrics"), None), (page.url, b"x")):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(url, data, timeout=30)
            assert caught.value.code == 404
        assert page.served == 1
        taken = int(page.url.split(":")[-1].split("/")[0])
        with pytest.raises(UsageError, match=str(taken)), Page(Collector(view), "127.0.0.1", taken):
            pass


def test_a_name_that_was_pointed_at_the_loopback_is_not_answered() -> None:
    with Page(Collector(view), "127.0.0.1", 0) as page:
        for host, code in (("evil.example", 421), ("localhost:1", 200), ("127.0.0.1", 200)):
            asked = urllib.request.Request(page.url, headers={"Host": host})
            try:
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    assert answer.status == code
            except urllib.error.HTTPError as error:
                assert error.code == code
    with Page(Collector(view), "0.0.0.0", 0) as page:
        url = page.url.replace("0.0.0.0", "127.0.0.1")
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": "scraped"}), timeout=30) as answer:
            assert answer.status == 200, "a container is asked by its service's name"


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_name_that_is_none_is_an_error_of_the_user(host: str) -> None:
    with pytest.raises(UsageError, match="--listen"), Page(Collector(view), host, 0):
        pass
