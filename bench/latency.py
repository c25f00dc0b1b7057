"""The time of single rows from publishing to being read: ours beside a bare pair of the same client.

Both pairs live in a process of their own each time, publish 100 rows a second on one thread and read on another, so
that one clock serves both ends. ``python -m bench.latency CLIENT ours|bare BOOTSTRAP TOPIC`` prints one run as JSON.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator

RATE = 100.0
ROWS = 800
WARM_UP = 100
VALUE = b'{"Time":"31/08/2023 23:59:00","Station":"SVDT1","Temperature":23.1,"Moisture":92.2,"Light":0,"PM2.5":17.9}'

Publish = Callable[[int], None]
"""Sends the row of this number."""
Poll = Callable[[], Iterator[int]]
"""Waits a while, and gives the numbers of the rows that have come."""


def ours(client: str, bootstrap: str, topic: str) -> tuple[Publish, Poll]:
    """Our publisher and reader, as ``produce`` and ``consume`` use them."""
    from sensorstream.clients import open_client
    from sensorstream.config import Settings
    from sensorstream.pipelines.replay.job import for_single_rows
    from sensorstream.pipelines.replay.outbox import Outbox
    from sensorstream.records import TopicPartition

    settings = Settings(bootstrap=tuple(bootstrap.split(",")), client=client)
    publisher = open_client(for_single_rows(settings)).publisher()
    publisher.partitions_for(topic)
    reader = open_client(settings).reader()
    reader.assign({TopicPartition(topic, 0): 0})
    outbox = Outbox(topic, 60)

    def publish(number: int) -> None:
        outbox.add(number, 1, len(VALUE), publisher.publish(topic, VALUE, partition=0))
        outbox.reap()

    def poll() -> Iterator[int]:
        for batch in reader.poll_values(0.5).values():
            yield from batch.offsets

    return publish, poll


def bare_kafka_python(bootstrap: str, topic: str) -> tuple[Publish, Poll]:
    """kafka-python's own producer and consumer, with the same promises."""
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    servers = bootstrap.split(",")
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=0)
    consumer = KafkaConsumer(
        bootstrap_servers=servers, group_id=None, enable_auto_commit=False, isolation_level="read_committed"
    )
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek(TopicPartition(topic, 0), 0)

    def publish(number: int) -> None:
        producer.send(topic, VALUE, partition=0)

    def poll() -> Iterator[int]:
        for batch in consumer.poll(timeout_ms=500).values():
            yield from (record.offset for record in batch)

    return publish, poll


def bare_librdkafka(bootstrap: str, topic: str) -> tuple[Publish, Poll]:
    """confluent-kafka's own producer and consumer, with the same promises."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 0})
    options = {"group.id": "bench", "enable.auto.commit": False, "isolation.level": "read_committed"}
    consumer = Consumer({"bootstrap.servers": bootstrap, **options})
    consumer.assign([TopicPartition(topic, 0, 0)])

    def publish(number: int) -> None:
        producer.produce(topic, VALUE, partition=0)
        producer.poll(0)

    def poll() -> Iterator[int]:
        message = consumer.poll(0.5)
        offset = None if message is None or message.error() is not None else message.offset()
        if offset is not None:
            yield offset

    return publish, poll


def run(publish: Publish, poll: Poll) -> list[float]:
    """Seconds from publishing to being read, of each row after the first ones."""
    sent, taken = [0.0] * ROWS, [0.0] * ROWS
    done = threading.Event()

    def read() -> None:
        seen = 0
        while seen < ROWS and not done.is_set():
            for number in poll():
                taken[number] = time.perf_counter()
                seen += 1

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    began = time.perf_counter() + 0.5
    for number in range(ROWS):
        pause = began + number / RATE - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        sent[number] = time.perf_counter()
        publish(number)
    thread.join(30)
    done.set()
    if not all(taken):
        raise SystemExit(f"bench: {taken.count(0.0)} of {ROWS} rows did not come back")
    return [after - before for before, after in zip(sent, taken, strict=True)][WARM_UP:]


def main(client: str, kind: str, bootstrap: str, topic: str) -> None:
    """One run, as JSON: p50 and p99 in milliseconds."""
    if kind == "ours":
        pair = ours(client, bootstrap, topic)
    else:
        pair = {"kafka-python": bare_kafka_python, "librdkafka": bare_librdkafka}[client](bootstrap, topic)
    times = sorted(run(*pair))
    found = {"p50": times[len(times) // 2] * 1000, "p99": times[len(times) * 99 // 100] * 1000}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
