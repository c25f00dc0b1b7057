"""Conditions: what is written is what is meant, errors point at their place, and unknown is neither true nor false."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorstream.errors import UsageError
from sensorstream.monitor.conditions import FIGURES, OPERATORS, Comparison, Condition, parse
from sensorstream.monitor.judging import Judge, Verdict, told, value_of
from sensorstream.monitor.lag import GroupLag, PartitionLag
from sensorstream.monitor.snapshot import BrokerState, GroupState, PartitionState, Snapshot, TopicState
from sensorstream.monitor.view import Progress, View

NAMES = st.text(st.characters(exclude_characters="\"'", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
NUMBERS = st.integers(0, 10**9).map(lambda n: n / 1000) | st.integers(0, 10**12).map(float)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    figure = draw(st.sampled_from(sorted(FIGURES)))
    known = FIGURES[figure]
    name = draw(NAMES) if known.of and (known.needed or draw(st.booleans())) else None
    lasting = draw(st.none() | st.integers(0, 10**6).map(lambda n: n / 1000))
    return Comparison(figure, name, draw(st.sampled_from(sorted(OPERATORS))), draw(NUMBERS), lasting)


CONDITIONS = st.lists(st.lists(comparisons(), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(
    lambda parts: Condition("", tuple(parts))
)


@settings(max_examples=60)
@given(CONDITIONS)
def test_what_is_written_is_read_again(condition: Condition) -> None:
    text = str(condition)
    assert parse(text) == replace(condition, text=text)


@given(st.text(max_size=40) | st.text(st.sampled_from("lag()<>=0123456789 sforand\"'AIR"), max_size=40))
def test_any_text_is_a_condition_or_an_error_that_names_a_place(text: str) -> None:
    try:
        parsed = parse(text)
    except UsageError as error:
        assert "\n" not in error.message
        assert "character" in error.message or not text.strip()
    else:
        assert parse(str(parsed)).any_of == parsed.any_of


def test_a_condition_as_people_write_it() -> None:
    parsed = parse("lag > 1000 for 30s and age(AIR)>=2m or brokers<3")
    assert parsed.any_of == (
        (Comparison("lag", None, ">", 1000, 30), Comparison("age", "AIR", ">=", 120)),
        (Comparison("brokers", None, "<", 3),),
    )
    assert parse('lag( "my group" ) == 0').comparisons == (Comparison("lag", "my group", "==", 0),)


@pytest.mark.parametrize(
    ("text", "character", "word", "said"),
    [
        ("lagg > 1", 1, "'lagg'", "did you mean 'lag'?"),
        ("lag >> 1", 5, "'>>'", "> >= < <= == !="),
        ("lag = 1", 5, "'='", "=="),
        ("lag >", 6, "the end", "no number"),
        ("lag > 1,000", 7, "'1,000'", "no number"),
        ("lag > 30s", 7, "'30s'", "lag_age(GROUP)"),
        ("lag > 1000 fro 30s", 12, "'fro'", "'for', 'and', 'or'"),
        ("lag > 1000 for 30", 16, "'30'", "30s"),
        ("lag > 1 for 3s for 4s", 16, "'for'", "'and', 'or' or the end"),
        ("age > 60s", 5, "'>'", "age(AIR)"),
        ("age(AIR) > 60", 12, "'60'", "30s"),
        ("rows() > 1", 6, "')'", "name of a topic"),
        ("lag(a b) > 1", 7, "'b)'", "')'"),
        ("brokers(1) < 3", 8, "'(1)'", "alone"),
        ("lag > 1 and", 12, "the end", "lag_age"),
    ],
)
def test_errors_point_at_the_place(text: str, character: int, word: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert f"character {character}: {word} " in caught.value.message
    assert said in str(caught.value)


def test_an_empty_condition_is_none() -> None:
    with pytest.raises(UsageError, match="empty"):
        parse("  ")


# Judging


def view(
    at: float = 100.0,
    *,
    lag: int | None = 5,
    reachable: bool = True,
    rate: float | None = None,
    age: float | None = None,
    isr: tuple[int, ...] = (1, 2),
    leader: int | None = 1,
) -> View:
    part = PartitionState("AIR", 0, leader, (1, 2), isr, 0, 1440, 9000)
    row = PartitionLag("AIR", 0, "c", "h", lag, 0, 1440)
    group = GroupState(GroupLag("g", "Empty", lag, (row,)), (), None)
    brokers = tuple(BrokerState(number, "h", 1, reachable, False, 0, 0, 0, None) for number in (1, 2))
    snapshot = Snapshot(
        at, 0.1, 3, reachable, brokers=brokers, topics=(TopicState("AIR", False, (part,)),), groups=(group,)
    )
    progress = {"g": Progress(lag, None, None, None, age, "OK")}
    return View(snapshot, topic_rate={"AIR": rate}, group_progress=progress, age_s={"AIR": age})


def judged(text: str, *views: View) -> Verdict:
    judge = Judge(parse(text), "g")
    return [judge.look(one) for one in views][-1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lag > 0", 5),
        ("lag(g) > 0", 5),
        ("lag_age > 0s", 61),
        ("rows(AIR) > 0", 1440),
        ("rate(AIR) > 0", 2.5),
        ("age(AIR) > 0s", 61),
        ("brokers > 0", 2),
        ("under_replicated > 0", 1),
        ("offline > 0", 1),
    ],
)
def test_every_figure_is_read_from_the_view(text: str, value: float) -> None:
    seen = view(rate=2.5, age=61.0, isr=(1,), leader=None)
    (comparison,) = parse(text).comparisons
    assert value_of(comparison, seen, "g") == (value, None)
    assert judged(text, seen).holds is True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lag > 0", "AIR[0]"),
        ("lag(nobody) > 0", "no group nobody"),
        ("lag_age > 0s", "not known"),
        ("rows(WATER) > 0", "no topic WATER"),
        ("rate(AIR) < 10", "two looks"),
        ("rate < 10", "two looks"),
        ("age(AIR) < 10s", "newest row of AIR"),
    ],
)
def test_unknown_neither_holds_nor_fails_and_is_said(text: str, why: str) -> None:
    verdict = judged(text, view(lag=None))
    assert verdict.holds is None
    assert verdict.readings[0].value is None
    assert why in str(verdict.readings[0].unknown)
    assert why in told(verdict)


def test_where_nobody_answers_only_the_number_of_brokers_is_known() -> None:
    away = view(reachable=False)
    assert judged("brokers < 3", away).holds is True
    for text in ("lag >= 0", "under_replicated >= 0", "offline >= 0", "rows(AIR) >= 0"):
        assert judged(text, away).holds is None


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("lag > 9 or lag(x) > 9", None),
        ("lag > 1 or lag(x) > 9", True),
        ("lag > 9 and lag(x) > 9", False),
        ("lag > 1 and lag(x) > 9", None),
        ("lag > 9 and lag(x) > 9 or brokers == 2", True),
    ],
)
def test_and_and_or_know_the_unknown(text: str, holds: bool | None) -> None:
    assert judged(text, view()).holds is holds


def test_for_asks_for_all_of_the_time() -> None:
    text = "lag > 1 for 30s"
    assert judged(text, view(100)).holds is False
    assert judged(text, view(100), view(129)).holds is False
    assert judged(text, view(100), view(130)).holds is True
    for other in (0, None):
        assert judged(text, view(100), view(120, lag=other), view(130), view(150)).holds is False
        assert judged(text, view(100), view(120, lag=other), view(130), view(160)).holds is True


def test_it_is_pending_while_another_look_may_settle_it() -> None:
    judge = Judge(parse("lag > 1 for 30s"), "g")
    assert judge.pending
    judge.look(view(100))
    assert judge.pending
    judge.look(view(110, lag=0))
    assert not judge.pending
    judge = Judge(parse("rate(AIR) < 10"), "g")
    judge.look(view(100))
    assert judge.pending
    judge.look(view(101))
    assert not judge.pending


def test_the_values_are_told() -> None:
    verdict = judged("lag > 1 for 10s and brokers == 2", view(100), view(112))
    assert told(verdict) == "lag > 1 for 10s: 5, held for 12 s; brokers == 2: 2, held for 12 s"
