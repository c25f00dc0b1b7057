"""What the fault cases of streams share: a feed of numbered posts, a group's progress, and the count at the end."""

import json
import operator
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from faults.counting import Count, compare
from running import Started, cli, ok, started, until
from sensorstream.clients import open_client
from sensorstream.clients.base import Reader
from sensorstream.clients.transaction import TRANSACTION_S
from sensorstream.config import Settings
from sensorstream.errors import ClusterUnreachable
from sensorstream.records import ConsumedRecord, TopicPartition

PARTITIONS = 4
BROKEN_EVERY = 40
EVERY_S = 0.05
"""How often a handful of posts comes. Each worker makes a transaction of its share, so nearly always one is open."""


def is_broken(n: int) -> bool:
    return n % BROKEN_EVERY == 7


class Feed:
    """Publishes posts, numbered from 0, some of them broken, until it is told to stop."""

    def __init__(self, bootstrap: tuple[str, ...], topic: str) -> None:
        self._client = open_client(Settings(bootstrap=bootstrap, client="librdkafka"))
        self._topic = topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def _run(self) -> None:
        with self._client.publisher() as publisher:
            while not self._stop.wait(EVERY_S):
                for n in range(self.sent, self.sent + 10):
                    value = b"broken %d" % n if is_broken(n) else b'{"id":%d,"text":"a great day, number %d"}' % (n, n)
                    publisher.publish(self._topic, value, partition=n % PARTITIONS)
                self.sent += 10
            publisher.flush(60)

    @contextmanager
    def running(self) -> Iterator["Feed"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()


def read(bootstrap: tuple[str, ...], topic: str) -> list[ConsumedRecord]:
    """Everything that a read_committed reader sees, partition by partition."""
    records: list[ConsumedRecord] = []
    with open_client(Settings(bootstrap=bootstrap, client="librdkafka")).reader() as reader:
        where = [TopicPartition(topic, number) for number in range(reader.partitions_for(topic))]
        ends = reader.end_offsets(where)
        reader.assign(dict.fromkeys(where, 0))

        def done() -> bool:
            for batch in reader.poll(0.2).values():
                records.extend(batch)
            return all(reader.position(one) >= ends[one] for one in where)

        until(done, f"the end of {topic}")
    return sorted(records, key=lambda record: (record.partition, record.offset))


def count(bootstrap: tuple[str, ...], sent: int, source: str, target: str) -> Count:
    """Count over output and dead letters together: each record of the source is in one of them, once.

    The source is counted first, so that what its feed has done is not taken for the stream's fault. A worker that was
    killed, and whose place nobody has taken, has left a transaction open: for as long as the brokers leave it so,
    readers do not see what was committed behind it. It is late then, not lost.
    """
    fed = _compare(read(bootstrap, source), sent)
    assert fed.is_zero, f"the feed, not the stream: {fed}"
    deadline = time.monotonic() + TRANSACTION_S + 60
    while (found := _count(bootstrap, sent, target)).lost and time.monotonic() < deadline:
        time.sleep(1)
    return found


def _count(bootstrap: tuple[str, ...], sent: int, target: str) -> Count:
    return _compare([*read(bootstrap, target), *read(bootstrap, f"{target}_DEAD")], sent)


def _compare(records: list[ConsumedRecord], sent: int) -> Count:
    """Compare posts with those that were sent, the good ones and the broken ones apart."""
    good: dict[int, list[int]] = {}
    broken: dict[int, list[int]] = {}
    for record in records:
        value = record.value or b""
        if value.startswith(b"broken "):
            broken.setdefault(record.partition, []).append(int(value.split()[1]))
        else:
            good.setdefault(record.partition, []).append(int(json.loads(value)["id"]))
    return compare(good, [n for n in range(sent) if not is_broken(n)], PARTITIONS) + compare(
        broken, [n for n in range(sent) if is_broken(n)], PARTITIONS
    )


class Progress:
    """How far a group is in the feed's topic, in records: nothing else is in it."""

    def __init__(self, reader: Reader, topic: str) -> None:
        self._reader = reader
        self._where = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        self._seen = 0

    def until_there_is_some(self) -> None:
        """Wait until the group has committed more than it had at the last call."""
        until(lambda: sum(self._now()) > self._seen, "some progress", 120)
        self._seen = sum(self._now())

    def until_there_is_some_in_each(self) -> None:
        """Wait until the group has committed more of each partition than it has now."""
        before = self._now()
        until(lambda: all(map(operator.gt, self._now(), before)), "progress in each partition", 120)

    def _now(self) -> list[int]:
        while True:
            # A worker that is frozen can leave a transaction open, and the offsets unsettled until it times out.
            with suppress(ClusterUnreachable):
                return [offset or 0 for offset in self._reader.committed_offsets(self._where).values()]


@contextmanager
def progress(bootstrap: tuple[str, ...], group: str, topic: str) -> Iterator[Progress]:
    with open_client(Settings(bootstrap=bootstrap, client="librdkafka")).reader(group=group) as reader:
        yield Progress(reader, topic)


class FedStream:
    """A ``sentiment stream`` of one client, with its own topics, group and feed; all of it ends with ``stack``."""

    def __init__(self, stack: ExitStack, bootstrap: tuple[str, ...], client: str, name: str) -> None:
        self.topic, self.group, self._target = (f"{name}-{what}-{client}" for what in ("posts", "group", "scored"))
        b = ["--bootstrap", ",".join(bootstrap), "--client", client]
        ok("topics", "create", self.topic, self._target, "--partitions", str(PARTITIONS), *b)
        self._command = ["sentiment", "stream", "--from", self.topic, "--to", self._target, "--group", self.group, *b]
        self._stack = stack
        self._bootstrap = bootstrap
        self.feed = stack.enter_context(Feed(bootstrap, self.topic).running())
        self.progress = stack.enter_context(progress(bootstrap, self.group, self.topic))

    def start(self, *options: str) -> Started:
        """Start a process of it."""
        return self._stack.enter_context(started(*self._command, *options))

    def complete(self) -> Count:
        """When all has ended: process what is left, and count everything."""
        done = cli(*self._command, "--exit", "--output", "json")
        assert done.returncode in (0, 1), done.stderr
        return count(self._bootstrap, self.feed.sent, self.topic, self._target)


def end(*running: Started) -> None:
    """Have processes of streams end, all at once; dead letters are no failure."""
    for one in running:
        one.signal(signal.SIGTERM)
    for one in running:
        assert one.end() in (0, 1), one.told
