"""Several sources on one clock, with a clock that the tests turn: the order of all rows, and when each is due."""

import heapq
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.events import Event, Notice
from sensorstream.records import SourceRow
from sensorstream.sources.common_clock import CommonClock, OnClock, Said
from sensorstream.sources.row_times import FirstTimes, RowTimes
from sensorstream.sources.times import TimeRule

START = 1000.0
STEP = 0.0001
"""How long it takes to look at a source."""
POLL = 0.025
"""So late a row may be where others had still to say something."""


class Sent(NamedTuple):
    at: float
    source: int
    round: int
    time: str


class Desk:
    """Sources with the times of their rows (in seconds; a text without a number is no time), replayed in turned time.

    ``processes`` says which process a source is in, each with a clock of its own; ``slow`` sources lose a second at
    each of their rows, ``begin`` are round and row to begin with.
    """

    def __init__(
        self,
        *sources: Sequence[object],
        speed: float = 1.0,
        max_gap: float | None = None,
        rounds: int = 1,
        processes: Sequence[int] = (),
        newest_first: Mapping[int, bool | None] | None = None,
        begin: Mapping[int, tuple[int, int]] | None = None,
        slow: Sequence[int] = (),
    ) -> None:
        self.now = START
        self.events: list[Event] = []
        self.sources = [[str(time) for time in times] for times in sources]
        homes = processes or [0] * len(sources)
        names = [f"s{at}" for at in range(len(sources))]
        self.clocks = [
            CommonClock(names, speed=speed, max_gap=max_gap, listener=self.events.append, now=lambda: self.now)
            for _ in set(homes)
        ]
        for clock in self.clocks:
            clock.tell = partial(self.pass_on, clock)
        self.places = []
        for at in range(len(sources)):
            times = [float(time) for time in self.sources[at] if time.replace(".", "").isdecimal()]
            backwards = (times[0] > times[-1]) if len(set(times)) > 1 else None
            backwards = (newest_first or {}).get(at, backwards)
            rows = RowTimes(FirstTimes(TimeRule("t", "epoch-s"), backwards), (0,))
            clock = self.clocks[homes[at]]
            self.places.append(OnClock(clock, at, rows, name=names[at], listener=self.events.append))
        self.at = [(begin or {}).get(at, (0, 0)) for at in range(len(sources))]
        self.rounds = rounds
        self.slow = slow

    def pass_on(self, by: CommonClock, said: Said) -> None:
        for clock in self.clocks:
            if clock is not by:
                clock.hear(Said(*said))

    def run(self) -> list[Sent]:
        for place, (number, _) in zip(self.places, self.at, strict=True):
            assert place.start(self.now, number) == START
        ticket, sent = count(), list[Sent]()
        heap = [(START, next(ticket), at) for at in range(len(self.places))]
        steps = 0
        while heap:
            steps += 1
            assert steps < 20_000, "it turns without going on"
            wake, _, at = heapq.heappop(heap)
            self.now = max(self.now + STEP, wake)
            due = self.step(at, sent)
            if due is not None:
                heapq.heappush(heap, (due, next(ticket), at))
        return sent

    def step(self, at: int, sent: list[Sent]) -> float | None:
        """As a lane does it; when to come again."""
        place = self.places[at]
        while True:
            number, row = self.at[at]
            if row == len(self.sources[at]):
                if number + 1 == self.rounds:
                    place.end()
                    return None
                place.restart()
                self.at[at] = (number + 1, 0)
                return self.now
            source_row = self.row(at, number, row)
            held = place.held(source_row)
            if held is not None:
                return START + held
            due = START + place.due(source_row)
            if due > self.now:
                return due
            sent.append(Sent(self.now - START, at, number, self.sources[at][row]))
            self.at[at] = (number, row + 1)
            if at in self.slow:
                self.now += 1.0

    def row(self, at: int, number: int, row: int) -> SourceRow:
        if not hasattr(self, "rows"):
            self.rows: dict[tuple[int, int, int], SourceRow] = {}
        return self.rows.setdefault((at, number, row), SourceRow(row, row + 2, [self.sources[at][row]]))

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Notice)]


def test_sources_interleave_as_they_were_recorded() -> None:
    sent = Desk([100, 160, 220], [130, 190], [100, 205, 206], speed=10.0).run()
    assert [(row.source, row.time) for row in sent] == [
        (0, "100"), (2, "100"), (1, "130"), (0, "160"), (1, "190"), (2, "205"), (2, "206"), (0, "220"),
    ]  # fmt: skip
    assert [row.at for row in sent] == pytest.approx([(float(row.time) - 100) / 10 for row in sent], abs=POLL)


def test_newest_first() -> None:
    sent = Desk([220, 160, 100], [190, 130]).run()
    assert [row.time for row in sent] == ["220", "190", "160", "130", "100"]
    assert [row.at for row in sent] == pytest.approx([0, 30, 60, 90, 120], abs=POLL)


@given(
    st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=12), min_size=2, max_size=4),
    st.sampled_from([1.0, 50.0, 1e6]),
    st.booleans(),
    st.integers(0, 3),
)
def test_all_rows_are_in_order_however_late_one_source_is(
    times: list[list[int]], speed: float, backwards: bool, slow: int
) -> None:
    sources = [sorted(each, reverse=backwards) for each in times]
    sent = Desk(*sources, speed=speed, newest_first=dict.fromkeys(range(4), backwards), slow=[slow]).run()
    found = [int(row.time) for row in sent]
    assert found == sorted(found, reverse=backwards)
    assert len(sent) == sum(map(len, times))
    assert all(row.at >= abs(int(row.time) - found[0]) / speed - 1e-6 for row in sent)


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=12), min_size=2, max_size=4), st.integers(1, 3))
def test_several_processes_work_out_the_same(times: list[list[int]], rounds: int) -> None:
    sources = [sorted(each) for each in times]
    directions = dict.fromkeys(range(4), False)
    one = Desk(*sources, rounds=rounds, newest_first=directions).run()
    many = Desk(*sources, rounds=rounds, newest_first=directions, processes=range(len(sources))).run()
    assert len(one) == len(many)
    for at in range(len(sources)):
        of_one, of_many = ([row for row in sent if row.source == at] for sent in (one, many))
        assert [row.time for row in of_one] == [row.time for row in of_many]
        assert [row.at for row in of_one] == pytest.approx([row.at for row in of_many], abs=2 * rounds * POLL)


def test_each_round_of_a_loop_begins_for_all_together() -> None:
    sent = Desk([0, 10], [5, 40], rounds=3).run()
    assert [(row.round, row.source, row.time) for row in sent] == [
        (number, source, time) for number in range(3) for source, time in ((0, "0"), (1, "5"), (0, "10"), (1, "40"))
    ]
    expected = [40 * number + offset for number in range(3) for offset in (0, 5, 10, 40)]
    assert [row.at for row in sent] == pytest.approx(expected, abs=4 * POLL)


def test_a_replay_that_goes_on_begins_where_the_first_of_its_sources_does() -> None:
    sent = Desk([0, 10, 20, 30], [5, 15, 25], [1, 2], begin={0: (0, 2), 1: (0, 1), 2: (0, 2)}).run()
    assert [row.time for row in sent] == ["15", "20", "25", "30"]
    assert [row.at for row in sent] == pytest.approx([0, 5, 10, 15], abs=POLL)


def test_who_is_a_round_ahead_waits_for_the_others() -> None:
    sent = Desk([0, 10], [5, 40], begin={0: (1, 1), 1: (0, 1)}, rounds=2).run()
    assert [(row.round, row.time) for row in sent] == [(0, "40"), (1, "5"), (1, "10"), (1, "40")]
    assert [row.at for row in sent] == pytest.approx([0, 0, 5, 35], abs=2 * POLL)


def test_a_source_that_has_nothing_to_do_is_not_waited_for() -> None:
    desk = Desk([1, 2], [], [3])
    desk.clocks[0].leave(1)
    assert [row.time for row in desk.run()] == ["1", "2", "3"]


def test_max_gap_caps_the_pauses_in_which_no_source_has_a_row() -> None:
    sent = Desk([0, 1000, 1010, 5000], [600, 1005, 9000], speed=2.0, max_gap=100.0).run()
    assert [row.time for row in sent] == ["0", "600", "1000", "1005", "1010", "5000", "9000"]
    assert [row.at for row in sent] == pytest.approx([0, 50, 100, 102.5, 105, 155, 205], abs=POLL)


@given(st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=12), min_size=2, max_size=4), st.integers(0, 50))
def test_max_gap_is_that_of_all_rows_together(times: list[list[int]], max_gap: int) -> None:
    sent = Desk(*map(sorted, times), max_gap=float(max_gap), newest_first=dict.fromkeys(range(4), False)).run()
    played, last = 0, int(sent[0].time)
    for row in sent:
        played += min(int(row.time) - last, max_gap)
        last = int(row.time)
        assert row.at == pytest.approx(played, abs=(len(sent) + 2) * POLL)
    assert [int(row.time) for row in sent] == sorted(int(row.time) for row in sent)


def test_rows_out_of_order_and_rows_without_a_time_go_out_behind_the_row_before() -> None:
    desk = Desk(["soon", 0, 20, 5, "x", 40], [10, 30])
    sent = desk.run()
    assert [row.time for row in sent] == ["soon", "0", "10", "20", "5", "x", "30", "40"]
    assert [row.at for row in sent] == pytest.approx([0, 0, 10, 20, 20, 20, 30, 40], abs=POLL)
    assert [text.partition(":")[2] for text in desk.texts if text.startswith("s0: line")] != []
    assert any("line 5: its time is 15 s older" in text for text in desk.texts)
    assert any("2 rows had no time" in text for text in desk.texts)


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_source_without_any_time_holds_nobody_up(rounds: int) -> None:
    sent = Desk(["x", "y"], [0, 10], rounds=rounds).run()
    assert [row.at for row in sent if row.source == 1] == pytest.approx(
        [10 * number + at for number in range(rounds) for at in (0, 10)], abs=3 * POLL
    )
    assert sum(row.source == 0 for row in sent) == 2 * rounds


def test_sources_that_run_against_each_other_go_by_clocks_of_their_own_and_that_is_said() -> None:
    desk = Desk([0, 10, 30], [500, 480, 400])
    sent = desk.run()
    assert sum("s1 has its newest row first and s0 has it last" in text for text in desk.texts) == 1
    assert [row.at for row in sent if row.source == 0] == pytest.approx([0, 10, 30], abs=POLL)
    assert [row.at for row in sent if row.source == 1] == pytest.approx([0, 20, 100], abs=POLL)


def test_a_source_that_begins_late_is_told() -> None:
    desk = Desk([0, 10], [86_400 * 3], speed=3600.0)
    desk.run()
    (text,) = desk.texts
    assert text.startswith("s1 begins 3 days of recorded time after the first source: its first row is due in 72 s")


def test_a_source_that_begins_again_behind_a_failure_goes_first() -> None:
    """As an exactly-once replay does it behind a transaction that failed."""
    desk = Desk([0, 10, 20, 30], [5, 15, 25, 35])
    for place in desk.places:
        place.start(START, 0)
    sent: list[Sent] = []
    for now in (0.0, 0.0, 0.1, 5.0, 10.0, 15.0, 20.0):
        desk.now = START + now
        for at in (0, 1):
            desk.step(at, sent)
    assert [row.time for row in sent] == ["0", "5", "10", "15", "20"]
    desk.places[0].pause()
    desk.now = START + 26
    desk.step(1, sent)
    assert sent[-1].time == "25", "nobody is held up while it is away"
    times = RowTimes(FirstTimes(TimeRule("t", "epoch-s"), False), (0,))
    desk.places[0] = OnClock(desk.clocks[0], 0, times, name="s0", listener=desk.events.append)
    desk.at[0] = (0, 1)
    assert desk.places[0].start(desk.now, 0) == START
    desk.now = START + 50
    desk.step(0, sent)
    desk.step(1, sent)
    assert [row.time for row in sent[6:]] == ["10", "20", "30", "35"]
