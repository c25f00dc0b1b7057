"""The matching of captured rows with expected ones, against mishaps made on purpose."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.pipelines.verify import matching
from sensorstream.pipelines.verify.matching import CapturedRows, Matcher, Tally


def compare(expected: list[str], *captured: list[str]) -> Tally[str]:
    def rows(file: list[str]) -> Iterator[tuple[int, str]]:
        yield from enumerate(file, start=2)

    streams = [CapturedRows(f"file {at}", rows(file)) for at, file in enumerate(captured)]
    matcher: Matcher[str] = Matcher(streams, hash, lambda a, b: a.split("/")[0] == b.split("/")[0])
    for index, row in enumerate(expected):
        matcher.expect(index, index + 2, row)
    return matcher.finish()


def figures(tally: Tally[str]) -> tuple[int, int, int, int]:
    return tally.missing, tally.surplus_rows, tally.reordered, tally.different


ROWS = [str(number) for number in range(200)]


def test_equal_files_are_equal() -> None:
    tally = compare(ROWS, ROWS)
    assert figures(tally) == (0, 0, 0, 0)
    assert (tally.expected, tally.captured, tally.first) == (200, 200, None)


@pytest.mark.parametrize("at", [0, 1, 100, 198, 199])
def test_one_lost_row(at: int) -> None:
    tally = compare(ROWS, ROWS[:at] + ROWS[at + 1 :])
    assert figures(tally) == (1, 0, 0, 0)
    assert tally.first is not None
    assert (tally.first.kind, tally.first.source_line) == ("missing", at + 2)


@pytest.mark.parametrize("at", [0, 1, 100, 198, 199])
def test_one_doubled_row(at: int) -> None:
    tally = compare(ROWS, ROWS[: at + 1] + ROWS[at:])
    assert figures(tally) == (0, 1, 0, 0)
    assert tally.first is not None
    assert (tally.first.kind, tally.first.captured_line) == ("surplus", at + 3)


@pytest.mark.parametrize(("taken", "put"), [(50, 51), (51, 50), (10, 150), (150, 10), (0, 199), (199, 0)])
def test_one_moved_row(taken: int, put: int) -> None:
    captured = ROWS.copy()
    captured.insert(put, captured.pop(taken))
    tally = compare(ROWS, captured)
    assert figures(tally) == (0, 0, 1, 0)


@pytest.mark.parametrize("at", [0, 1, 100, 198, 199])
def test_one_changed_row(at: int) -> None:
    captured = ROWS.copy()
    captured[at] += "/changed"
    tally = compare(ROWS, captured)
    assert figures(tally) == (0, 0, 0, 1)
    assert tally.first is not None
    assert (tally.first.source_line, tally.first.captured_line) == (at + 2, at + 2)
    assert (tally.first.expected, tally.first.captured) == (str(at), f"{at}/changed")


def test_all_rows_changed() -> None:
    assert figures(compare(ROWS, [f"{row}/x" for row in ROWS])) == (0, 0, 0, 200)


def test_one_row_replaced_by_a_foreign_one() -> None:
    assert figures(compare(ROWS, [*ROWS[:50], "foreign", *ROWS[51:]])) == (1, 1, 0, 0)


def test_an_empty_capture_and_one_without_a_source() -> None:
    assert figures(compare(ROWS, [])) == (200, 0, 0, 0)
    assert figures(compare(ROWS)) == (200, 0, 0, 0)
    assert figures(compare([], ROWS)) == (0, 200, 0, 0)


def test_a_swapped_pair_of_halves_is_told_as_moved_rows() -> None:
    tally = compare(ROWS, ROWS[100:] + ROWS[:100])
    assert tally.missing == tally.surplus_rows == tally.different == 0
    assert tally.reordered == 100


def test_a_lost_run_longer_than_the_pools_is_still_just_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "POOL", 20)
    rows = [str(number) for number in range(1000)]
    assert figures(compare(rows, rows[:100] + rows[600:])) == (500, 0, 0, 0)
    assert figures(compare(rows, rows[600:])) == (600, 0, 0, 0)
    assert figures(compare(rows, rows[:400])) == (600, 0, 0, 0)
    assert figures(compare(rows, rows + rows)) == (0, 1000, 0, 0)
    assert figures(compare(rows, [f"{row}/x" for row in rows])) == (0, 0, 0, 1000)


@given(st.lists(st.integers(0, 30).map(str), max_size=60), st.lists(st.integers(0, 30).map(str), max_size=60))
def test_nothing_is_counted_away(expected: list[str], captured: list[str]) -> None:
    tally = compare(expected, captured)
    lost, extra = Counter(expected) - Counter(captured), Counter(captured) - Counter(expected)
    assert tally.missing == lost.total()
    assert tally.surplus_rows == extra.total() == sum(tally.surplus.values())
    assert (tally.expected, tally.captured) == (len(expected), len(captured))
    assert (tally.first is None) == (expected == captured)


@given(st.permutations(range(40)))
def test_every_disorder_is_seen(order: list[int]) -> None:
    rows = [str(number) for number in range(40)]
    tally = compare(rows, [str(number) for number in order])
    assert (tally.missing, tally.surplus_rows) == (0, 0)
    assert (tally.reordered == 0) == (order == sorted(order))


@given(st.lists(st.integers(0, 2), max_size=80), st.integers(0, 2**32))
def test_any_partition_will_do_when_the_order_within_holds(shares: list[int], seed: int) -> None:
    rows = [str(number) for number in range(len(shares))]
    files: list[list[str]] = [[], [], []]
    for row, share in zip(rows, shares, strict=True):
        files[share].append(row)
    assert figures(compare(rows, *files)) == (0, 0, 0, 0)
    chosen = random.Random(seed)
    filled = [file for file in files if file]
    if filled:
        file = chosen.choice(filled)
        at = chosen.randrange(len(file))
        lost = file.pop(at)
        assert figures(compare(rows, *files)) == (1, 0, 0, 0)
        file.insert(at, lost)
        file.insert(at, lost)
        assert figures(compare(rows, *files)) == (0, 1, 0, 0)
