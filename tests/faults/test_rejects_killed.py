"""A retry of dead letters, killed at random points: each entry is sent once, and all are marked at the end."""

import json
import os
import random
import signal
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from faults.counting import Watch
from running import Started, cli, ok, started, until
from sensorstream.records import ConsumedRecord
from sensorstream.sinks.dead_letter import letter_of, rejected_record

pytestmark = pytest.mark.broker

ENTRIES_A_KILL = 2500


@pytest.mark.parametrize("client", ["librdkafka", "kafka-python"])
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.campaign)])
def test_each_entry_is_sent_once(broker: tuple[str, ...], tmp_path: Path, client: str, kills: int) -> None:
    """One kill in four falls into the start, the others fall on a run whose entries are being seen."""
    b = ["--bootstrap", ",".join(broker)]
    topic, entries = f"mended-{client}-{kills}", ENTRIES_A_KILL * kills
    ok("topics", "create", topic, *b)
    path = tmp_path / "bad.rejected.jsonl"
    with path.open("wb") as file:
        for n in range(entries):
            record = ConsumedRecord(topic, n % 2, n, 1693483200000, b"k%d" % n, b'{"n":%d}' % n, (("h", b"\xff"),))
            file.write(letter_of(rejected_record(record, "it was not JSON")).dump())
    dice = random.Random(10)
    command = ["rejects", "retry", str(path), "--yes", "--client", client, *b]
    watch = Watch(broker, topic)
    with watch.running():
        for _ in range(kills):
            with started(*command) as running:
                if dice.random() < 0.75:
                    until(partial(more_or_ended, watch, len(watch.seen), running), "entries that are sent")
                threading.Event().wait(dice.random() * 0.3)
                os.kill(running.process.pid, signal.SIGKILL)
                running.end()
    assert watch.seen, "kills fall on a retry that is not at its beginning"
    last = ok(*command)
    assert (last["sent"] + last["already"], last["not_sent"]) == (entries, 0)
    assert ok(*command)["already"] == entries
    assert all("retried" in json.loads(line) for line in path.read_bytes().splitlines())
    done = cli("consume", "-t", topic, "-p", "0", "-p", "1", "-o", "beginning", "-e", "-q", "--to", "-", *b)
    assert Counter(done.stdout.splitlines()) == Counter(f'{{"n":{n}}}' for n in range(entries))
    assert done.returncode == 0


def more_or_ended(watch: Watch, before: int, running: Started) -> bool:
    return len(watch.seen) > before or running.process.poll() is not None
