"""The code under test: it reads measurements, keeps those that are too high, and publishes alarms.

It is written three times, once with each of three client libraries. None of it knows that it is tested.
"""

import asyncio
import json

LIMIT = 35.0


def alarms(value: bytes) -> list[bytes]:
    """What one measurement gives: an alarm, or nothing."""
    row = json.loads(value)
    return [json.dumps({"station": row["Station"], "pm25": row["PM2.5"]}).encode()] if row["PM2.5"] > LIMIT else []


def with_kafka_python(servers: str, source: str, target: str, rows: int) -> None:
    """Read ``rows`` measurements from ``source`` and publish their alarms to ``target``, by kafka-python."""
    from kafka import KafkaConsumer, KafkaProducer

    consumer = KafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id="alarms-kafka-python",
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    producer = KafkaProducer(bootstrap_servers=servers)
    try:
        for _, record in zip(range(rows), consumer, strict=False):
            for alarm in alarms(record.value):
                producer.send(target, alarm).get(timeout=30)
    finally:
        producer.close()
        consumer.close()


def with_confluent_kafka(servers: str, source: str, target: str, rows: int) -> None:
    """The same by confluent-kafka."""
    from confluent_kafka import Consumer, Producer

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "alarms-confluent", "auto.offset.reset": "earliest"})
    producer = Producer({"bootstrap.servers": servers})
    consumer.subscribe([source])
    try:
        read = 0
        while read < rows:
            record = consumer.poll(1.0)
            if record is None or record.error():
                continue
            read += 1
            for alarm in alarms(record.value()):
                producer.produce(target, alarm)
    finally:
        producer.flush(30)
        consumer.close()


def with_aiokafka(servers: str, source: str, target: str, rows: int) -> None:
    """The same by aiokafka."""
    asyncio.run(_with_aiokafka(servers, source, target, rows))


async def _with_aiokafka(servers: str, source: str, target: str, rows: int) -> None:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    consumer = AIOKafkaConsumer(
        source, bootstrap_servers=servers, group_id="alarms-aiokafka", auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await consumer.start()
    await producer.start()
    try:
        for _ in range(rows):
            record = await consumer.getone()
            for alarm in alarms(record.value):
                await producer.send_and_wait(target, alarm)
    finally:
        await producer.stop()
        await consumer.stop()
