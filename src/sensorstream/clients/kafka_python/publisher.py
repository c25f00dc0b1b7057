"""Station 4, publish, with kafka-python: idempotent, acknowledged by all in-sync replicas unless the user wants less.

Records go straight into the producer's accumulator: the checks of ``KafkaProducer.send`` are made here once
per topic, and a :class:`RecordDelivery` of two fields stands for the library's future and its callbacks
(8 microseconds a record become 3). The mends of this file, by the fault they mend in kafka-python 3.0.12:

- ``MendedProducer.__init__``: after a delivery timeout the producer drops its id and never asks for a new
  one; nothing is sent any more and ``flush`` waits for ever.
- ``MendedProducer.__init__``: a producer that is closed by force says of records in flight that they were not
  delivered, which nobody knows.
- ``MendedProducer._pause_ms``: its thread takes a whole core while it waits for a broker: a pause in seconds is taken
  for one in milliseconds, and there is none while a connection is being made or has as many requests as it may.
- ``MendedProducer._ready``: so it does while a partition has no leader: each pass asks for metadata, and asking ends
  the pass's wait.
- ``MendedProducer.close``: collecting any producer silences the library's log for the whole process.
- ``KafkaPythonPublisher.flush``: the library's timeout is for each batch, not for all of them together.
- ``KafkaPythonPublisher._end``: ``close(timeout)`` may raise and leave the producer open.
- ``KafkaPythonPublisher._teach``: a topic is looked up by asking one broker, silent or not, after a pause of 100 ms.
- ``KafkaPythonPublisher.publish``: one record over the limit is fatal for an idempotent producer; an unknown
  topic is created on the way; both are looked at before anything is queued.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import kafka.errors as kafka_errors
from kafka.producer.kafka import KafkaProducer
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.transaction_manager import TransactionState
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition as KafkaPartition

from sensorstream.clients import refusals
from sensorstream.clients.kafka_python.broker_watch import BrokerWatch
from sensorstream.clients.kafka_python.delivery import Abandoned, Futures, Part, RecordDelivery, RunDelivery
from sensorstream.clients.kafka_python.net import (
    ASK_S,
    connect,
    describe_topic,
    metadata,
    release,
    wait_for,
)
from sensorstream.clients.kafka_python.records import append_values
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.publisher import BasePublisher
from sensorstream.clients.sizes import BATCH_OVERHEAD, RECORD_OVERHEAD
from sensorstream.errors import BrokerError, DeliveryTimeout
from sensorstream.events import Listener
from sensorstream.producer_options import DEFAULT_BATCH_SIZE, DEFAULT_COMPRESSION
from sensorstream.records import Headers, TopicPartition

DEFAULTS: Final = {
    "acks": -1,
    "enable_idempotence": True,
    "compression_type": DEFAULT_COMPRESSION,
    "linger_ms": 5,
    "batch_size": DEFAULT_BATCH_SIZE,  # one batch is in flight per partition, so this bounds a partition's rate
    "delivery_timeout_ms": 2**31 - 1,  # the caller has deadlines of its own; see the first mend
    "reconnect_backoff_max_ms": 1000,
    "max_block_ms": int(ASK_S * 1000),
    "metrics_enabled": False,
}

LOOK_AGAIN_MS: Final = 100.0
"""How long the sender waits for an event before it looks again at a connection that it can't use."""


class MendedProducer(KafkaProducer):  # type: ignore[misc]  # the library is untyped
    """kafka-python's producer without the faults that lose rows or the log, or take a core."""

    def __init__(self, **configs: Any) -> None:
        super().__init__(**configs)
        self._accumulator.abort_incomplete_batches = self._abandon
        self._sender._client.connection_delay = self._pause_ms
        self._library_ready = self._accumulator.ready
        self._accumulator.ready = self._ready
        transactions = self._transaction_manager
        if transactions is None:
            return
        forget_id = transactions.reset_producer_id

        def reset_producer_id() -> None:
            forget_id()
            transactions._current_state = TransactionState.UNINITIALIZED  # so that the sender asks for a new one

        transactions.reset_producer_id = reset_producer_id

    def _abandon(self) -> None:
        """Give up every batch that has no outcome yet; what has become of its records is unknown."""
        accumulator = self._accumulator
        for batch in accumulator._incomplete.all():
            with suppress(kafka_errors.IllegalStateError):  # it has its outcome, and is about to be struck off
                batch.abort(Abandoned("closed before the acknowledgement came"))
            accumulator.deallocate(batch)
        accumulator._batches.clear()

    def _pause_ms(self, node_id: Any) -> float:
        """How long the sender waits, when nothing happens, before it looks again at a broker that it can't use."""
        manager = self._sender._client._manager
        delay_s: float = manager.connection_delay(node_id)
        if delay_s > 0:
            return delay_s * 1000
        connection = manager._conns.get(node_id)
        if connection is None or connection.closed:
            return 0  # the sender connects next
        return LOOK_AGAIN_MS  # or until the connection's next event: an answer, or its end

    def _ready(self, cluster: Any, now: float | None = None) -> tuple[Any, float, bool]:
        """What can be sent, in how many seconds more, and whether to ask for leaders: not if that is under way."""
        nodes, next_check_s, leaderless = self._library_ready(cluster, now=now)
        return nodes, next_check_s, leaderless and not cluster.need_update

    def close(self, timeout: float | None = None, null_logger: bool = False) -> None:
        """As the library's, but the module keeps its logger."""
        super().close(timeout=timeout)


class PartitionQueue:
    """One partition of one topic: where its records queue."""

    __slots__ = ("batches", "lock", "partition")

    def __init__(self, accumulator: Any, topic: str, partition: int) -> None:
        self.partition = KafkaPartition(topic, partition)
        self.lock = accumulator._tp_lock(self.partition)
        with self.lock:
            self.batches = accumulator._batches[self.partition]


class KafkaPythonPublisher(BasePublisher[RecordDelivery | RunDelivery]):
    """A :class:`~sensorstream.clients.base.Publisher` on kafka-python's producer."""

    def __init__(
        self,
        bootstrap: tuple[str, ...],
        properties: ClientProperties,
        client_id: str,
        listener: Listener,
        **wanted: Any,
    ) -> None:
        """``wanted`` are options that a kind of publisher adds."""
        options = {**DEFAULTS, "client_id": client_id, **properties.for_kafka_python("producer"), **wanted}
        least = options["linger_ms"] + options.get("request_timeout_ms", 30000)
        options["delivery_timeout_ms"] = max(options["delivery_timeout_ms"], least)
        properties.check_publishing("kafka-python", exactly_once="transactional_id" in wanted)
        self.watch = BrokerWatch(listener)
        self._producer = connect(MendedProducer, bootstrap, self.watch, **options)
        if self._producer._transaction_manager is None and options["enable_idempotence"]:
            self._producer.close(timeout=1)
            raise BrokerError("the brokers are too old for idempotent publishing", hint="Kafka 0.11 or later is needed")
        self._accumulator = self._producer._accumulator
        self._manager = self._producer._sender._client._manager
        self._batch_size: int = self._producer.config["batch_size"]
        self._compression: int = self._producer.config["compression_attrs"]
        self._limit: int = self._producer.config["max_request_size"]
        self._surely_small = self._limit - BATCH_OVERHEAD - RECORD_OVERHEAD
        self._queues: dict[str, list[PartitionQueue]] = {}
        self._turns: dict[str, int] = {}
        self._looking_up = threading.Lock()
        self._tracked: set[str] = set()
        self._taught: set[str] = set()

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions."""
        return len(self._queues.get(topic) or self._look_up(topic))

    def partitions_of(self, topics: Iterable[str]) -> dict[str, int]:
        """The number of partitions of each of these topics."""
        names = list(topics)
        self._tracked.update(names)
        return {topic: self.partitions_for(topic) for topic in names}

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
        headers: Headers = (),
    ) -> RecordDelivery:
        """Queue one record."""
        if self._closed or self._stage is not None:
            self._require_open()
        queues = self._queues.get(topic) or self._look_up(topic)
        if partition is None:
            if key is not None:
                queue = queues[partition_for_key(key, len(queues))]
            else:
                queue = queues[self._turns.get(topic, 0) % len(queues)]
        elif 0 <= partition < len(queues):
            queue = queues[partition]
        else:
            queue = self._late_partition(topic, partition)
        size = (0 if value is None else len(value)) + (0 if key is None else len(key))
        if size > self._surely_small or headers:
            self._check_size(topic, key, value, headers)
        self._enlist(queue)
        delivery = self._append(queue, timestamp_ms, key, value, headers)
        if self._deliveries is not None:
            self._deliveries.append(delivery)
        return delivery

    def publish_batch(self, topic: str, values: Sequence[bytes | str], *, partition: int) -> RunDelivery:
        """Queue many records without keys for one partition, in order."""
        if self._closed or self._stage is not None:
            self._require_open()
        queues = self._queues.get(topic) or self._look_up(topic)
        queue = queues[partition] if 0 <= partition < len(queues) else self._late_partition(topic, partition)
        ready: Sequence[bytes] = [value.encode() if isinstance(value, str) else value for value in values]
        if ready and len(max(ready, key=len)) > self._surely_small:
            for value in ready:
                self._check_size(topic, None, value, ())
        self._enlist(queue)
        parts: list[Part] = []
        batches, at, begun = queue.batches, 0, False
        now_ms = int(time.time() * 1000)
        with queue.lock:
            while at < len(ready):
                batch = batches[-1] if batches else None
                taken = append_values(batch.records, ready, at, now_ms) if batch is not None else 0
                if batch is None or not taken:
                    batch = self._new_batch(queue)
                    taken = append_values(batch.records, ready, at, now_ms)
                    batches.append(batch)
                    self._accumulator._incomplete.add(batch)
                    begun = True
                part = Part(batch.produce_future, batch.records._next_offset - taken, taken)
                if not isinstance(batch._record_futures, Futures):
                    batch._record_futures = Futures(batch._record_futures)
                batch._record_futures.extend([part] * taken)
                parts.append(part)
                at += taken
        if begun:
            self._producer._sender.wakeup()
        delivery = RunDelivery(parts, len(ready))
        if self._deliveries is not None:
            self._deliveries.append(delivery)
        return delivery

    def _enlist(self, queue: PartitionQueue) -> None:
        """Called before records are queued for a partition."""

    def _new_batch(self, queue: PartitionQueue) -> Any:
        """An empty batch; it is queued when a record is in it."""
        batch = ProducerBatch(queue.partition, MemoryRecordsBuilder(2, self._compression, self._batch_size))
        batch._record_futures = Futures()
        return batch

    def _append(
        self, queue: PartitionQueue, timestamp_ms: int | None, key: bytes | None, value: bytes | None, headers: Headers
    ) -> RecordDelivery:
        batches = queue.batches
        with queue.lock:
            if batches:
                batch = batches[-1]
                place = batch.records.append(timestamp_ms, key, value, headers)
                if place is not None:
                    delivery = RecordDelivery(batch.produce_future, place.offset)
                    batch._record_futures.append(delivery)
                    return delivery
            batch = self._new_batch(queue)
            place = batch.records.append(timestamp_ms, key, value, headers)
            delivery = RecordDelivery(batch.produce_future, place.offset)
            batch._record_futures.append(delivery)
            batches.append(batch)
            self._accumulator._incomplete.add(batch)
        # Records without a key stay on one partition until its batch is full, then go on to the next.
        self._turns[queue.partition.topic] = queue.partition.partition + 1
        self._producer._sender.wakeup()
        return delivery

    def _check_size(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        size = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, headers)
        if size > self._limit:
            raise refusals.record_too_large(topic, size, self._limit)

    def _look_up(self, topic: str) -> list[PartitionQueue]:
        with self._looking_up:
            count = len(describe_topic(self._manager, topic)[1].partitions)
            self._tracked.add(topic)
            if topic not in self._taught or len(self._manager.cluster.partitions_for_topic(topic) or ()) < count:
                self._teach()
            queues = [PartitionQueue(self._accumulator, topic, number) for number in range(count)]
            self._queues[topic] = queues
            return queues

    def _teach(self) -> None:
        """Let the sender know the leaders of all topics that are written to, and have it keep them up to date.

        The library's own way asks a broker chosen at random, which may be a silent one, and once for each topic, with a
        pause of a tenth of a second in between.
        """
        cluster, names = self._manager.cluster, sorted(self._tracked)
        answer = metadata(self._manager, names)

        def learn() -> None:
            cluster._topics.update(names)
            cluster.update_metadata(answer)

        wait_for(self._manager.call_soon(learn), ASK_S)
        self._taught.update(names)

    def _late_partition(self, topic: str, partition: int) -> PartitionQueue:
        """A partition that was added after the topic was looked up."""
        queues = self._look_up(topic) if partition >= 0 else self._queues[topic]
        if not 0 <= partition < len(queues):
            raise refusals.unknown_partition(TopicPartition(topic, partition), len(queues))
        return queues[partition]

    def flush(self, timeout_s: float) -> None:
        """Wait until every queued record has an outcome."""
        accumulator = self._accumulator
        deadline = time.monotonic() + timeout_s
        accumulator.begin_flush()
        self._producer._sender.wakeup()
        try:
            waiting = list(accumulator._incomplete.all())
            while waiting:
                outcome = waiting[-1].produce_future
                if not outcome.is_done and not outcome.wait(max(0.0, deadline - time.monotonic())):
                    raise DeliveryTimeout(
                        f"some records are still not acknowledged after {timeout_s:.0f} s",
                        hint="look at: sensorstream cluster status",
                    )
                waiting.pop()
                if not outcome.is_done:  # the batch was split, its records are in others now
                    waiting = list(accumulator._incomplete.all())
        finally:
            accumulator._flushes_in_progress.decrement()

    def _end(self, timeout_s: float) -> None:
        self.watch.closing = True
        producer = self._producer
        sender = producer._sender
        try:
            self.flush(timeout_s)
            sender.initiate_close()
        except DeliveryTimeout:
            # It gives up what is open itself: beside it, it might be giving a batch its outcome just now.
            sender.force_close()
        sender.join(2.0)
        if sender.is_alive():
            sender.force_close()
            sender.join(2.0)
        if sender.is_alive():
            producer._abandon()  # it is stuck on the network, and nobody else will
        producer._closed = True
        producer._unregister_cleanup()
        if not sender.is_alive():
            release(sender._client)
