"""A consumer's heartbeat: without it, only time in which the consumer was polled counts."""

import pytest

from sensorstream.clients.librdkafka.heartbeat import SILENT_S, Heartbeat


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def polled(heart: Heartbeat, clock: Clock, times: int, every_s: float) -> bool:
    for _ in range(times):
        clock.now += every_s
        if heart.has_stopped():
            return True
    return False


def test_it_has_stopped_when_it_was_not_felt_while_it_was_polled(clock: Clock) -> None:
    heart = Heartbeat(clock)
    assert not polled(heart, clock, int(SILENT_S / 0.5), 0.5)
    assert polled(heart, clock, 1, 0.5)
    heart.beat()
    assert not polled(heart, clock, int(SILENT_S / 0.5), 0.5)


def test_a_beat_now_and_then_will_do(clock: Clock) -> None:
    heart = Heartbeat(clock)
    for _ in range(20):
        assert not polled(heart, clock, 5, 1.0)
        heart.beat()


def test_a_process_that_was_frozen_or_busy_has_not_waited(clock: Clock) -> None:
    heart = Heartbeat(clock)
    assert not polled(heart, clock, 1, 3600.0)
    assert not polled(heart, clock, int(SILENT_S) - 1, 20.0)
    assert polled(heart, clock, 1, 20.0)


def test_one_that_is_known_to_have_stopped_need_not_be_waited_for(clock: Clock) -> None:
    heart = Heartbeat(clock)
    heart.stop()
    assert polled(heart, clock, 1, 0.0)
    heart.beat()
    assert not polled(heart, clock, 1, 0.0)
