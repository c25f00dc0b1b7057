"""Station 4, publish, with librdkafka: idempotent, acknowledged by all in-sync replicas unless the user wants less.

librdkafka calls back for each record, on a thread that polls it. The deliveries poll it themselves when they are
asked, so that the callbacks run on the caller's thread: a polling thread of its own would fight the caller for the
interpreter at every record. A quiet thread polls only while nobody else does, so that events are told in time.

One request at a time is on its way to a broker, though idempotence allows for five (librdkafka 2.16):

- Where the first of two is refused, and the second comes out of its turn, librdkafka numbers anew what is open in *all*
  partitions, also records that are stored already and whose answer was lost: they came twice
  (``rd_kafka_handle_idempotent_Produce_error``, "skipped sequence numbers"). It took brokers that were killed together.
- While five records of a partition are on their way and more are queued, a thread looks for room without a pause
  (``rd_kafka_toppar_producer_serve``): at 20 rows a second a frozen broker took a core of the producer's machine.

It costs little: a broker works on one request of a connection at a time in any case (docs/decisions.md has figures).
"""

import threading
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from sensorstream.clients import refusals
from sensorstream.clients.librdkafka.delivery import THROWN_AWAY, RdDelivery, delivery_error
from sensorstream.clients.librdkafka.failures import error_of
from sensorstream.clients.librdkafka.net import BrokerWatch, connect, count_partitions, create, metadata
from sensorstream.clients.librdkafka.producers import Producers
from sensorstream.clients.own_thread import end_within
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.publisher import BasePublisher
from sensorstream.clients.sizes import BATCH_OVERHEAD, RECORD_LIMIT, RECORD_OVERHEAD, batch_of_one
from sensorstream.errors import DeliveryError, DeliveryTimeout
from sensorstream.events import Listener
from sensorstream.producer_options import DEFAULT_BATCH_SIZE, DEFAULT_COMPRESSION
from sensorstream.records import Headers, TopicPartition

DEFAULTS: Final = {
    "acks": -1,
    "enable.idempotence": True,
    "max.in.flight.requests.per.connection": 1,  # see above
    "compression.type": DEFAULT_COMPRESSION,
    "linger.ms": 5,
    "batch.size": DEFAULT_BATCH_SIZE,
    "batch.num.messages": 100000,
    "queue.buffering.max.messages": 10000000,  # the caller bounds its open records
    "queue.buffering.max.kbytes": 2097151,
    "delivery.timeout.ms": 0,  # for ever: the caller has deadlines of its own
    "message.max.bytes": RECORD_LIMIT,
}
_SLICE_S: Final = 0.05
_IDLE_S: Final = 0.1
_TOLD_S: Final = 2.0


class LibrdkafkaPublisher(BasePublisher[RdDelivery]):
    """A :class:`~sensorstream.clients.base.Publisher` on librdkafka's producer."""

    def __init__(
        self,
        bootstrap: tuple[str, ...],
        properties: ClientProperties,
        client_id: str,
        listener: Listener,
        **wanted: Any,
    ) -> None:
        """``wanted`` are options that a kind of publisher adds."""
        properties.check_publishing("librdkafka", exactly_once="transactional.id" in wanted)
        options = {**DEFAULTS, "client.id": client_id, **properties.for_librdkafka("producer"), **wanted}
        self._limit: int = options["message.max.bytes"]
        self._surely_small = self._limit - BATCH_OVERHEAD - RECORD_OVERHEAD
        if "socket.timeout.ms" in options:
            options["request.timeout.ms"] = options["socket.timeout.ms"]
        self.watch = BrokerWatch(listener)
        options["allow.auto.create.topics"] = False
        self._producer = connect(Producer, bootstrap, self.watch, options)
        self._producers = Producers(
            self._producer,
            partial(create, Producer, bootstrap, self.watch, options),
            spread="transactional.id" not in options,
        )
        self._counts: dict[str, int] = {}
        self._turns: dict[str, int] = {}
        self._polling = threading.Lock()
        self.fatal: KafkaError | None = None
        self._polled = time.monotonic()
        self._ended = threading.Event()
        threading.Thread(target=self._poll_when_idle, name="sensorstream-publisher", daemon=True).start()

    def pump(self, timeout_s: float) -> None:
        """Let librdkafka call back, unless another thread does so already; then wait for that one."""
        if not self._polling.acquire(timeout=timeout_s) if timeout_s else not self._polling.acquire(blocking=False):
            return
        try:
            self._polled = time.monotonic()
            if not self._ended.is_set():
                self._producers.poll(timeout_s)
            elif timeout_s:
                time.sleep(timeout_s)
        except (KafkaException, SystemError) as error:
            self._note_death(error)
        finally:
            self._polling.release()

    def _note_death(self, error: BaseException) -> None:
        """The binding raises a fatal error from whatever call comes next, and may lose callbacks over it."""
        inner = error_of(error) or (None if error.__cause__ is None else error_of(error.__cause__))
        if inner is not None and not inner.fatal():
            return
        if inner is not None or self.fatal is None:
            self.fatal = inner or KafkaError(KafkaError._FATAL, str(error))

    def failure(self, where: TopicPartition, error: KafkaError) -> DeliveryError:
        """What a record ended with, as ours; what the producer died of where the error says no more than that."""
        if error.code() in THROWN_AWAY and not self._closed:
            # It may be told behind what it did to the records.
            deadline = time.monotonic() + (_TOLD_S if error.code() == KafkaError._FATAL else _SLICE_S)
            while self.fatal is None and time.monotonic() < deadline:
                self.pump(_SLICE_S)
            error = self.fatal or error
        return delivery_error(where, error)

    def death(self) -> KafkaError | None:
        """What the producer died of, when no callback will come any more; None while it lives."""
        return self.fatal if self.fatal is not None and (self._ended.is_set() or not len(self._producers)) else None

    def _poll_when_idle(self) -> None:
        while not self._ended.wait(_IDLE_S):
            if time.monotonic() - self._polled > _IDLE_S:
                self.pump(0)

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions."""
        return self._counts.get(topic) or self._look_up(topic)

    def partitions_of(self, topics: Iterable[str]) -> dict[str, int]:
        """The number of partitions of each of these topics."""
        names = list(topics)
        if len(names) > 1:
            # One answer for all; what it does not have is looked up by itself, and waited for.
            self._counts |= {
                name: len(found.partitions)
                for name, found in metadata(self._producer).topics.items()
                if name in names and found.error is None and found.partitions
            }
        return {topic: self.partitions_for(topic) for topic in names}

    def _look_up(self, topic: str) -> int:
        count = count_partitions(self._producer, topic)
        self._counts[topic] = count
        return count

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
        headers: Headers = (),
    ) -> RdDelivery:
        """Queue one record."""
        if self._closed or self._stage is not None:
            self._require_open()
        count = self._counts.get(topic) or self._look_up(topic)
        if partition is None:
            # Without a key, a few dozen records in a row go to the same partition, so that batches fill.
            turn = self._turns[topic] = self._turns.get(topic, 0) + 1
            partition = (turn >> 6) % count if key is None else partition_for_key(key, count)
        elif not 0 <= partition < count:
            self._late_partition(topic, partition)
        size = (0 if value is None else len(value)) + (0 if key is None else len(key))
        if size > self._surely_small or headers:
            self._check_size(topic, size, headers)
        delivery = RdDelivery(self, TopicPartition(topic, partition), 1)
        # librdkafka takes 0 for "now"; the nearest to 1970-01-01 that it can send is a millisecond later.
        stamp = 0 if timestamp_ms is None else timestamp_ms or 1
        producer = self._producers.of(topic, partition, count)
        while True:
            try:
                producer.produce(
                    topic, value, key, partition, on_delivery=delivery, timestamp=stamp, headers=list(headers)
                )
            except BufferError:
                self.pump(_SLICE_S)
            except (KafkaException, SystemError) as error:
                self._note_death(error)
                raise self._not_queued(TopicPartition(topic, partition), error) from error
            else:
                if self._deliveries is not None:
                    self._deliveries.append(delivery)
                return delivery

    def publish_batch(self, topic: str, values: Sequence[bytes | str], *, partition: int) -> RdDelivery:
        """Queue many records without keys for one partition, in order."""
        if self._closed or self._stage is not None:
            self._require_open()
        count = self._counts.get(topic) or self._look_up(topic)
        if not 0 <= partition < count:
            self._late_partition(topic, partition)
        if values:
            self._check_sizes(topic, values)
        delivery, each = self._batch_delivery(TopicPartition(topic, partition), len(values))
        messages: list[dict[str, Any]] = [{"value": value} for value in values]
        if messages and each is None:
            messages[-1]["callback"] = delivery
        producer = self._producers.of(topic, partition, count)
        while messages:
            try:
                queued = producer.produce_batch(topic, messages, partition, on_delivery=each)
            except (KafkaException, SystemError) as error:
                self._note_death(error)
                raise self._not_queued(TopicPartition(topic, partition), error) from error
            if queued == len(messages):
                break
            messages = self._not_taken(messages, delivery)
        if self._deliveries is not None:
            self._deliveries.append(delivery)
        return delivery

    def _batch_delivery(self, where: TopicPartition, count: int) -> tuple[RdDelivery, RdDelivery | None]:
        """What tells the fate of a batch, and what is called for each record; None: it is called for the last one."""
        delivery = RdDelivery(self, where, count)
        return delivery, delivery

    def _not_queued(self, where: TopicPartition, error: BaseException) -> DeliveryError:
        inner = self.fatal or error_of(error)
        return self.failure(where, inner) if inner is not None else DeliveryError(f"{where}: {error}")

    def _not_taken(self, messages: list[dict[str, Any]], delivery: RdDelivery) -> list[dict[str, Any]]:
        """The messages that the full queue did not take; those that were refused are counted as failed."""
        left = []
        for message in messages:
            error = message.pop("_error", None)
            if error is None:
                continue
            if error.code() == KafkaError._QUEUE_FULL:
                left.append(message)
            else:
                delivery(error, None)
        if left:
            self.pump(_SLICE_S)
        return left

    def _check_sizes(self, topic: str, values: Sequence[bytes | str]) -> None:
        longest = max(values, key=len)
        # A character is at most four bytes of UTF-8.
        if len(longest) * (4 if isinstance(longest, str) else 1) <= self._surely_small:
            return
        for value in values:
            size = len(value.encode()) if isinstance(value, str) else len(value)
            if size > self._surely_small:
                self._check_size(topic, size, ())

    def _check_size(self, topic: str, content: int, headers: Headers) -> None:
        size = batch_of_one(content, headers)
        if size > self._limit:
            raise refusals.record_too_large(topic, size, self._limit)

    def _late_partition(self, topic: str, partition: int) -> None:
        """A partition that may have been added after the topic was looked up."""
        count = self._look_up(topic) if partition >= 0 else self._counts[topic]
        if not 0 <= partition < count:
            raise refusals.unknown_partition(TopicPartition(topic, partition), count)

    def _check_open(self) -> None:
        """Raises DeliveryError where it is known already that the open records will not be stored."""

    def flush(self, timeout_s: float) -> None:
        """Wait until every queued record has an outcome."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            with self._polling:
                self._polled = time.monotonic()
                try:
                    if self._ended.is_set() or not self._producers.flush(max(0.0, min(left, 0.5))):
                        return
                except (KafkaException, SystemError) as error:
                    self._note_death(error)
                    if not len(self._producers):
                        return
            self._check_open()
            if left <= 0:
                raise DeliveryTimeout(
                    f"some records are still not acknowledged after {timeout_s:.0f} s",
                    hint="look at: sensorstream cluster status",
                )

    def _end(self, timeout_s: float) -> None:
        self.watch.close()
        try:
            self.flush(timeout_s)
        except DeliveryTimeout:
            with self._polling, suppress(KafkaException, SystemError):
                self._producers.purge()
                self._producers.flush(1.0)
        with self._polling:
            self._ended.set()
        end_within(2.0, "sensorstream-publisher-close", self._let_go)

    def _let_go(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a fenced producer can't abort any more
            self._producers.close()
