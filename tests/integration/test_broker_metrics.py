"""What Prometheus reads from a broker that was started with its agent, and where."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from running import ok, until
from sensorstream.cluster import LocalCluster

pytestmark = pytest.mark.broker

LINE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """One broker with an agent, and a topic with rows that were written and read."""
    folder = tmp_path_factory.mktemp("metrics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SENSORSTREAM_STATE_DIR", str(folder / "state"))
        cluster = LocalCluster("measured")
        try:
            cluster.up(brokers=1, ports="auto", metrics=True)
            b = ("-b", *cluster.bootstrap)
            (folder / "rows.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(500)))
            ok("topics", "create", "AIR", "--replication-factor", "1", *b)
            ok("produce", "--source", "AIR=rows.csv", "--delay", "0", *b, cwd=folder)
            ok("consume", "-t", "AIR", "-g", "all", "-e", "--to", f"{folder}/", *b)
            yield cluster
        finally:
            cluster.down(delete_data=True)


def figures(cluster: LocalCluster) -> dict[str, list[tuple[str, float]]]:
    """The page's figures: labels and value, by name."""
    (broker,) = cluster.status().brokers
    assert broker.metrics is not None
    with urllib.request.urlopen(broker.metrics, timeout=60) as page:
        text = page.read().decode()
    found: dict[str, list[tuple[str, float]]] = {}
    for line in LINE.finditer(text):
        found.setdefault(line["name"], []).append((line["labels"] or "", float(line["value"])))
    return found


def test_the_page_has_traffic_times_replication_controller_disk_and_process(measured: LocalCluster) -> None:
    def of_air(name: str) -> float:
        return sum(value for labels, value in figures(measured).get(name, []) if 'topic="AIR"' in labels)

    until(lambda: of_air("kafka_topic_messagesin_total") == 500, "all rows are counted")
    assert of_air("kafka_topic_bytesin_total") > 500
    assert of_air("kafka_topic_bytesout_total") > 500
    assert of_air("kafka_log_size_bytes") > 500
    found = figures(measured)
    times = {labels for labels, _ in found["kafka_request_time_ms"]}
    for request in ("Produce", "FetchConsumer"):
        for quantile in ("0.50", "0.95", "0.99", "0.999"):
            assert f'quantile="{quantile}",request="{request}",' in {label + "," for label in times}
    for name, value in {
        "kafka_replicas_underreplicatedpartitions": 0,
        "kafka_replicas_isrshrinks_total": 0,
        "kafka_controller_activecontrollercount": 1,
        "kafka_controller_offlinepartitionscount": 0,
    }.items():
        assert [each for _, each in found[name]] == [value], name
    assert 1 << 20 < found["jvm_heap_used_bytes"][0][1] < found["jvm_heap_max_bytes"][0][1]
    assert found["jvm_cpu_ns_total"][0][1] > 0


def test_it_listens_on_the_loopback_only_and_stays_where_it_was(measured: LocalCluster) -> None:
    (before,) = measured.status().brokers
    assert before.metrics is not None
    listening = [
        one.laddr for one in psutil.Process(before.pid).net_connections(kind="tcp") if one.status == psutil.CONN_LISTEN
    ]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    measured.stop_broker(1, kill=True)
    after = measured.start_broker(1)
    assert after.metrics == before.metrics
    assert figures(measured)["kafka_controller_activecontrollercount"]


def test_metrics_are_told_by_status_as_text_and_json(measured: LocalCluster) -> None:
    (broker,) = measured.status().brokers
    result = ok("cluster", "status", "--name", "measured")
    assert result["brokers"][0]["metrics"] == broker.metrics


def test_an_unreadable_note_of_the_ports_is_made_anew(tmp_path: Path) -> None:
    from sensorstream.cluster.metrics import Metrics

    metrics = Metrics(tmp_path)
    assert metrics.url(1) is None
    metrics.want()
    for damage in ("", "[]", "{", json.dumps({"x": 1})):
        (tmp_path / "metrics.json").write_text(damage)
        assert metrics.url(1) is None
