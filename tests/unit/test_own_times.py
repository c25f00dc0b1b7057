"""The page and the screen agree on which timestamps are the data's own."""

import time

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.monitor.latency import OWN_TIME_S
from sensorstream.monitor.newest_rows import NewestRows
from sensorstream.monitor.web.latency import LatencyTail
from sensorstream.records import ConsumedRecord, TopicPartition

AIR = TopicPartition("AIR", 0)


def test_both_take_the_same_timestamps_for_the_datas_own() -> None:
    client = MemoryClient(MemoryBroker())
    tail, rows = LatencyTail(lambda: client, "AIR"), NewestRows(lambda: client, "AIR")
    rows._live_from = {AIR: 0}
    now = time.time()
    records = [record(offset, now - ago) for offset, ago in enumerate((1.0, OWN_TIME_S - 60, OWN_TIME_S + 60, 3000.0))]
    try:
        tail.measure(records, now)
    finally:
        tail.close()
    rows._take({AIR: records})
    assert tail.payload()["own_times"] == rows.state.own_times == 2
    assert len(rows.latencies()) == 2


def record(offset: int, at: float) -> ConsumedRecord:
    return ConsumedRecord("AIR", 0, offset, round(at * 1000), None, b"{}", ())
