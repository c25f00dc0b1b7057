"""A retry of dead letters, killed at random points: each entry is sent once, and all are marked at the end."""

import json
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from running import cli, ok, started
from sensorstream.records import ConsumedRecord
from sensorstream.sinks.dead_letter import letter_of, rejected_record

pytestmark = pytest.mark.broker

ENTRIES = 20_000


@pytest.mark.parametrize("client", ["librdkafka", "kafka-python"])
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.campaign)])
def test_each_entry_is_sent_once(broker: tuple[str, ...], tmp_path: Path, client: str, kills: int) -> None:
    b = ["--bootstrap", ",".join(broker)]
    topic = f"mended-{client}-{kills}"
    ok("topics", "create", topic, *b)
    path = tmp_path / "bad.rejected.jsonl"
    with path.open("wb") as file:
        for n in range(ENTRIES):
            record = ConsumedRecord(topic, n % 2, n, 1693483200000, b"k%d" % n, b'{"n":%d}' % n, (("h", b"\xff"),))
            file.write(letter_of(rejected_record(record, "it was not JSON")).dump())
    dice = random.Random(10)
    command = ["rejects", "retry", str(path), "--yes", "--client", client, *b]
    for _ in range(kills):
        with started(*command) as running:
            threading.Event().wait(0.4 + dice.random() * 1.5)
            os.kill(running.process.pid, signal.SIGKILL)
            running.end()
    last = ok(*command)
    assert (last["sent"] + last["already"], last["not_sent"]) == (ENTRIES, 0)
    assert ok(*command)["already"] == ENTRIES
    assert all("retried" in json.loads(line) for line in path.read_bytes().splitlines())
    done = cli("consume", "-t", topic, "-p", "0", "-p", "1", "-o", "beginning", "-e", "-q", "--to", "-", *b)
    assert Counter(done.stdout.splitlines()) == Counter(f'{{"n":{n}}}' for n in range(ENTRIES))
    assert done.returncode == 0
