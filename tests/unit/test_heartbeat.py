"""A consumer's heartbeat: without an answer, only time in which the consumer was polled counts."""

from concurrent.futures import Future

import pytest

from sensorstream.clients.librdkafka import heartbeat
from sensorstream.clients.librdkafka.heartbeat import EVERY_S, SILENT_S, Heartbeat, questioned
from sensorstream.errors import ClusterUnreachable, UnknownTopic


class Consumer:
    """Polled by the clock; ``asked`` are the questions that its main thread was asked."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[Future[object]] = []
        self.heart = Heartbeat(in_group=False, clock=lambda: self.now)

    def polled(self, times: int, every_s: float) -> bool:
        """Whether it has stopped by one of these polls."""
        for _ in range(times):
            self.now += every_s
            if self.heart.has_stopped(self):
                return True
        return False


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    def ask(consumer: Consumer) -> Future[object]:
        consumer.asked.append(Future())
        return consumer.asked[-1]

    monkeypatch.setattr(heartbeat, "ask", ask)
    return Consumer()


def test_it_has_stopped_when_a_question_stays_open(consumer: Consumer) -> None:
    assert not consumer.polled(int((EVERY_S + SILENT_S) / 0.5), 0.5)
    assert consumer.polled(1, 0.5)
    assert len(consumer.asked) == 1
    consumer.heart.begin()
    assert not consumer.polled(int((EVERY_S + SILENT_S) / 0.5), 0.5)


def test_an_answer_will_do_and_may_be_late(consumer: Consumer) -> None:
    for number in range(1, 20):
        assert not consumer.polled(int(EVERY_S), 1.0)
        assert len(consumer.asked) == number
        assert not consumer.polled(int(SILENT_S), 1.0)
        consumer.asked[-1].set_exception(KeyError("no offset"))
        consumer.now -= SILENT_S  # the next question is due after the same time
        assert not consumer.polled(1, 0.0)


def test_a_process_that_was_frozen_or_busy_has_not_waited(consumer: Consumer) -> None:
    assert not consumer.polled(1, 3600.0)
    assert len(consumer.asked) == 1
    assert not consumer.polled(int(SILENT_S), 20.0)
    assert consumer.polled(1, 20.0)


def test_one_that_does_not_answer_need_not_be_waited_for(consumer: Consumer) -> None:
    assert not consumer.heart.answers(consumer, 0.01)
    assert not consumer.heart.settle(0)
    assert consumer.polled(1, 0.0)
    consumer.heart.begin()
    assert consumer.heart.settle(0)
    assert not consumer.polled(1, 0.0)


def test_in_a_callback_it_is_not_asked(consumer: Consumer) -> None:
    assert consumer.heart.answers(consumer, in_callback=True)
    assert not consumer.asked
    assert not consumer.heart.answers(consumer, 0.01)
    assert not consumer.heart.answers(consumer, in_callback=True)


def test_a_question_without_an_answer_is_looked_into() -> None:
    looked: list[bool] = []

    def answers() -> bool:
        looked.append(True)
        return True

    with pytest.raises(UnknownTopic), questioned(answers):
        raise UnknownTopic("gone")
    assert not looked
    with pytest.raises(ClusterUnreachable), questioned(answers):
        raise ClusterUnreachable("no answer")
    assert looked


def test_it_may_be_closed_when_no_question_is_open(consumer: Consumer) -> None:
    assert consumer.heart.settle(0)
    consumer.polled(1, EVERY_S)
    assert not consumer.heart.settle(0)
    consumer.asked[-1].set_result(None)
    assert consumer.heart.settle(0)
