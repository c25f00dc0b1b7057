"""Waiting is never silent: when it is asked why, what is told, how often, and in which words."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from sensorstream.clients import waiting
from sensorstream.clients.causes import (
    Cause,
    NoBroker,
    NoCoordinator,
    NoLeader,
    SilentBroker,
    Throttled,
    TooFewInSync,
    Waited,
    words,
)
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.clients.waiting import AFTER_S, ASK_EVERY_S, ASK_SELDOM_S, TELL_EVERY_S, Open, Waiting
from sensorstream.errors import ClusterUnreachable, CredentialsRefused, DeliveryTimeout, RecordTooLarge, UsageError
from sensorstream.events import Event, Notice
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.spec import ReplayJob, ReplaySource, Rules
from sensorstream.records import TopicPartition
from sensorstream.sources.csv_file import CsvSource
from sensorstream.sources.schedule import make_schedule

SHORT = TooFewInSync(TopicPartition("AIR", 0), 2, 3, (1, 2, 3), (2,))


class Bench:
    """A job and a cluster that a case makes as it needs them, and a clock that it turns on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[tuple[float, Waited]] = []
        self.told: list[str] = []
        self.levels: list[str] = []
        self.open: list[Open] = []
        self.causes: Sequence[Cause] = ()
        self.waiting = Waiting(self.ask, lambda: self.open, self.listen, clock=lambda: self.now)

    def ask(self, waited: Waited) -> Sequence[Cause]:
        self.asked.append((self.now, waited))
        return self.causes

    def listen(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.told.append(event.text)
        self.levels.append(event.level)

    def until(self, end: float) -> None:
        while self.now < end:
            self.now = round(self.now + 0.25, 2)
            self.waiting.turn()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_moves_or_has_not_waited_long_is_not_asked_about(bench: Bench) -> None:
    for rows in range(100):
        bench.open = [Open("acknowledgements of AIR", rows)]
        bench.until(bench.now + AFTER_S - 0.25)
    bench.open = []
    bench.until(bench.now + 60)
    assert not bench.asked
    assert not bench.told


def test_a_cause_is_told_within_five_seconds_once_and_its_end_too(bench: Bench) -> None:
    bench.causes = [SHORT]
    bench.open = [Open("acknowledgements of AIR", 7, Waited(("AIR",), writes=True))]
    bench.until(5)
    why = "AIR[0] has 2 of 3 replicas in sync and must have 3 (min.insync.replicas), broker 2 missing"
    assert len(bench.told) == 1
    assert bench.told[0].startswith("waiting for acknowledgements of AIR, for ")
    assert bench.told[0].endswith(why)
    assert bench.levels == ["warning"]
    assert bench.asked[0][1] == Waited(("AIR",), writes=True)
    assert bench.waiting.why == why
    bench.until(20)
    assert len(bench.told) == 1
    assert len(bench.asked) >= 20 / ASK_EVERY_S - 2
    bench.open = [Open("acknowledgements of AIR", 8)]
    bench.until(21)
    assert bench.told[1].startswith("continuing: the wait for acknowledgements of AIR is over, after ")
    assert not bench.waiting.why


@pytest.mark.parametrize("moved", [True, False])
def test_a_job_that_ends_as_soon_as_it_moves_tells_that_too(bench: Bench, *, moved: bool) -> None:
    bench.causes = [SHORT]
    bench.open = [Open("acknowledgements of AIR", 7)]
    bench.until(5)
    if moved:
        bench.open = []
    bench.waiting.__exit__(None, None, None)
    assert len(bench.told) == (2 if moved else 1)


def test_it_is_told_again_when_the_cause_changes_and_after_a_while(bench: Bench) -> None:
    bench.open = [Open("acknowledgements of AIR", 7)]
    bench.causes = [SilentBroker(2, "b:2")]
    bench.until(5)
    bench.causes = [SHORT]
    bench.until(10)
    bench.until(10 + TELL_EVERY_S)
    assert [told.split(": ", 1)[1] for told in bench.told] == [
        "broker 2 (b:2) does not answer",
        words([SHORT]),
        words([SHORT]),
    ]


def test_where_something_must_come_it_is_also_told_that_no_cause_is_seen(bench: Bench) -> None:
    bench.open = [Open("acknowledgements of AIR", 7), Open("records of EARTH", 3, surely=False)]
    bench.until(5)
    assert bench.told[0].endswith(": the brokers that answer see no cause")
    assert "EARTH" not in bench.told[0]
    assert bench.levels == ["info"]


def test_where_nothing_may_come_for_good_reasons_only_a_cause_is_told_and_it_is_asked_seldom(bench: Bench) -> None:
    bench.open = [Open("records of AIR", 7, surely=False)]
    bench.until(300)
    assert not bench.told
    assert len(bench.asked) < 300 / ASK_SELDOM_S + 5
    bench.causes = [NoLeader(TopicPartition("AIR", 1), (2,))]
    bench.until(300 + ASK_SELDOM_S)
    assert bench.told[0].endswith("AIR[1] has no leader: its replica is on broker 2")
    bench.causes = []
    bench.until(bench.now + ASK_EVERY_S)
    assert bench.told[1].startswith("continuing")


def test_one_source_that_stands_still_is_seen_beside_one_that_moves(bench: Bench) -> None:
    bench.causes = [SHORT]
    for rows in range(30):
        bench.open = [
            Open("acknowledgements of AIR", 0, Waited(("AIR",)), key=0),
            Open("acknowledgements of AIR", rows, Waited(("AIR",)), key=1),
            Open("acknowledgements of EARTH", rows, Waited(("EARTH",)), key=2),
        ]
        bench.until(bench.now + 0.25)
    assert bench.asked[0][1].topics == ("AIR",)
    assert "EARTH" not in bench.told[0]


def test_the_error_at_the_end_has_the_same_words(bench: Bench) -> None:
    bench.causes = [SHORT, NoBroker((("a:1", "refused"),))]
    bench.open = [Open("acknowledgements of AIR", 7)]
    bench.until(5)
    late = DeliveryTimeout("not acknowledged", hint="go on")
    assert str(bench.waiting.explain(late)) == f"not acknowledged: {bench.told[0].split(': ', 1)[1]}; go on"
    assert str(bench.waiting.explain(late)).count("must have 3") == 1
    away = ClusterUnreachable("no broker can be reached (a:1: refused)")
    assert str(bench.waiting.explain(away)) == f"no broker can be reached (a:1: refused): {words([SHORT])}"
    for error in (CredentialsRefused("wrong password"), RecordTooLarge("too large"), UsageError("no"), ValueError("x")):
        before = str(error)
        assert str(bench.waiting.explain(error)) == before


@pytest.mark.parametrize(
    ("causes", "told"),
    [
        ([], ""),
        ([NoBroker((("a:1", "refused"), ("b:2", "silent")))], "no broker answers (a:1: refused and b:2: silent)"),
        ([SilentBroker(None, "a:1")], "the broker at a:1 does not answer"),
        ([SilentBroker(1, "a:1", "coordinates group g")], "broker 1 (a:1), which coordinates group g, does not answer"),
        (
            [NoLeader(TopicPartition("A", number), (1, 2)) for number in range(5)],
            "A[0], A[1], A[2] and 2 more have no leader: their replicas are on brokers 1, 2",
        ),
        (
            [SHORT, TooFewInSync(TopicPartition("AIR", 1), 2, 3, (2, 3, 1), (2,)), NoCoordinator("group g", "none")],
            "AIR[0] and AIR[1] have 2 of 3 replicas in sync and must have 3 (min.insync.replicas), broker 2 missing; "
            "the coordinator of group g can't be reached: none",
        ),
        (
            [Throttled("broker 1 (a:1)", 11.6)],
            "broker 1 (a:1) throttles this client, for 12 s now: it is over its quota",
        ),
    ],
)
def test_causes_in_words(causes: Sequence[Cause], told: str) -> None:
    assert words(causes) == told


def test_a_replay_that_stands_still_says_why_and_its_problem_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AFTER_S", 0.1)
    (tmp_path / "a.csv").write_text("n\n1\n2\n")
    broker = MemoryBroker({"A": 1})
    broker.hold()
    broker.blame(SHORT)
    told: list[str] = []
    heard = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            told.append(event.text)
            if event.text.startswith("waiting for acknowledgements"):
                heard.set()
            if event.text.startswith("waiting for the acknowledgements"):
                broker.release()

    rules = Rules(make_schedule=lambda _: make_schedule(delay=0.0, name="a"), answer_s=1.5)
    source = ReplaySource(
        "A", lambda first: CsvSource(str(tmp_path / "a.csv"), start_row=first), 0, rules, tmp_path / "a.rejected.jsonl"
    )
    result = replay(MemoryClient(broker), ReplayJob([source]), listener=listen)
    assert heard.is_set(), told
    assert result.problem is not None
    assert words([SHORT]) in result.problem
    assert result.problem.startswith("A: row 0 was not acknowledged within 1.5 s: ")
