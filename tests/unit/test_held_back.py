"""Records that are kept from librdkafka: when, and in which order they go."""

from typing import Any

import pytest
from confluent_kafka import KafkaError

from sensorstream.clients.librdkafka import held_back
from sensorstream.clients.librdkafka.held_back import ON_THEIR_WAY, SILENT_S, HeldBack, WindowDelivery
from sensorstream.errors import DeliveryError
from sensorstream.records import TopicPartition


class Message:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset


class Bench:
    """In place of a publisher and of librdkafka: ``queued`` are the records that were handed over."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        patch.setattr(f"{held_back.__name__}.time.monotonic", lambda: self.now)
        self.held = HeldBack()
        self.queued: list[tuple[int, int]] = []
        self.deliveries: dict[tuple[int, int], WindowDelivery] = {}
        self.refusing: type[Exception] | None = None

    def pump(self, _: float) -> None: ...

    def death(self) -> KafkaError | None:
        return None

    def failure(self, where: TopicPartition, error: KafkaError) -> DeliveryError:
        return DeliveryError(f"{where}: {error.code()}")

    def send(self, *numbers: int, partition: int = 0) -> None:
        for number in numbers:
            where = TopicPartition("t", partition)
            delivery = self.deliveries[partition, number] = WindowDelivery(self, where, self.held.window(where))
            self.held.send(delivery, self._produce, partition, number=number)

    def _produce(self, partition: int, *, number: int) -> None:
        if self.refusing is not None:
            raise self.refusing
        self.queued.append((partition, number))

    def answer(self, *numbers: int, partition: int = 0) -> None:
        for number in numbers:
            self.deliveries[partition, number](None, Message(number))

    def release(self, **only: Any) -> int:
        return self.held.release(lambda _: KafkaError(KafkaError._FAIL), **only)

    def numbers(self, partition: int = 0) -> list[int]:
        return [number for one, number in self.queued if one == partition]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def silent(bench: Bench) -> None:
    bench.now += 2 * SILENT_S


def test_as_long_as_answers_come_nothing_is_held(bench: Bench) -> None:
    """However many are on their way."""
    bench.send(*range(50))
    for number in range(50, 100):
        bench.now += SILENT_S / 2
        bench.answer(number - 50)
        bench.send(number)
    assert bench.numbers() == list(range(100))
    bench.answer(*range(50, 100))
    bench.now += 10
    bench.send(*range(100, 110))
    assert bench.numbers()[-10:] == list(range(100, 110)), "silence before the first record says nothing"


def test_without_answers_five_are_on_their_way_and_the_rest_follows_in_order(bench: Bench) -> None:
    for number in range(20):
        bench.send(number)
        silent(bench)
    assert bench.numbers() == list(range(ON_THEIR_WAY))
    assert bench.release() == 0
    bench.send(0, partition=1)
    assert bench.numbers(1) == [0], "another partition is another matter"
    bench.answer(0)
    bench.send(20)
    assert bench.numbers() == list(range(ON_THEIR_WAY)), "none overtakes those that are held"
    assert bench.release() == 16
    assert bench.numbers() == list(range(21))
    assert bench.release() == 0
    bench.answer(*range(1, 21))
    assert all(delivery.done() for delivery in bench.deliveries.values() if delivery.where.partition == 0)
    assert bench.deliveries[0, 20].wait(0) == 20


def test_a_batch_behind_them_sends_all_of_its_partition(bench: Bench) -> None:
    for number in range(10):
        bench.send(number)
        bench.send(number, partition=1)
        silent(bench)
    assert bench.release(only=bench.held.window(TopicPartition("t", 1))) == 5
    assert bench.numbers() == list(range(5))
    assert bench.numbers(1) == list(range(10))


def test_what_is_refused_ends_with_that_and_a_full_queue_is_waited_for(bench: Bench) -> None:
    for number in range(8):
        bench.send(number)
        silent(bench)
    bench.answer(0)
    bench.refusing = BufferError
    assert bench.release() == 0
    bench.refusing = ValueError
    assert bench.release() == 3
    for number in (5, 6, 7):
        with pytest.raises(DeliveryError, match=str(KafkaError._FAIL)):
            bench.deliveries[0, number].wait(0)
    bench.refusing = None
    bench.answer(1, 2, 3, 4)
    bench.send(8)
    assert bench.numbers() == [0, 1, 2, 3, 4, 8]


def test_given_up_they_end_as_purged(bench: Bench) -> None:
    for number in range(7):
        bench.send(number)
        silent(bench)
    bench.held.give_up()
    for number in (5, 6):
        with pytest.raises(DeliveryError, match=str(KafkaError._PURGE_QUEUE)):
            bench.deliveries[0, number].wait(0)
    assert bench.deliveries[0, 4].open == 1
    bench.answer(*range(5))
    assert bench.release() == 0
    bench.send(7)
    assert bench.numbers() == [0, 1, 2, 3, 4, 7]
