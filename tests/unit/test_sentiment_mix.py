"""What ``demo --sentiment`` proves and shows: the comparison finds every fault, the picture has its figures."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sensorstream.cli.app import run
from sensorstream.cli.sentiment.demo import show_mix
from sensorstream.lab.mix import PageMix, Trend, as_svg, cells, page_mixes
from sensorstream.lab.scored_once import ScoredOnce, check_scored
from sensorstream.pipelines.stream.records import Letter, RecordTransformer, Route
from sensorstream.records import ConsumedRecord
from sensorstream.sentiment.transform import make

LINES = [
    *(f'{{"id":"p{n}","page":"a","text":"a {word} day, the best"}}'.encode() for n, word in enumerate(("good", "bad"))),
    b'{"id":"p2","page":"b","text":""}',
    b'{"id":"p3","page":"b"}',
    b"no json at all",
    b'{"id":"p5","page":"b","text":"never bad"}',
]
Records = list[ConsumedRecord]


def transformer() -> RecordTransformer:
    return RecordTransformer(make({"language": "off"}), Route("P", 2, "S", 2, "D", 2))


def streamed() -> tuple[Records, Records, Records]:
    """The posts, and what a stream has made of them."""
    posts = [ConsumedRecord("P", n % 2, n // 2, 1000 + n, b"k", line) for n, line in enumerate(LINES)]
    ends: dict[tuple[str, int], int] = {}
    made: dict[str, Records] = {"S": [], "D": []}
    for one in transformer().make(posts):
        for letter in one.letters:
            made[letter.topic].append(_stored(letter, ends))
    return posts, made["S"], made["D"]


def _stored(letter: Letter, ends: dict[tuple[str, int], int]) -> ConsumedRecord:
    topic, partition, key, value, stamp, headers = letter
    assert partition is not None and stamp is not None
    offset = ends[topic, partition] = ends.get((topic, partition), -1) + 1
    return ConsumedRecord(topic, partition, offset, stamp, key, value, headers)


def checked(posts: Records, scored: Records, dead: Records) -> ScoredOnce:
    return check_scored(LINES, posts, scored, dead, transformer())


def test_a_whole_topic_is_exactly_once_whenever_it_was_scored() -> None:
    posts, scored, dead = streamed()
    later = [
        one._replace(value=re.sub(rb'"scored_at":"[^"]+"', b'"scored_at":"x"', one.value or b"")) for one in scored
    ]
    assert [one.value for one in later] != [one.value for one in scored]
    found = checked(posts, later, dead)
    assert (found.posts, found.published, found.scored, found.dead_letters) == (6, 6, 4, 2)
    assert found.exactly_once
    assert found.differences == ()


FAULTS: dict[str, Callable[[Records, Records, Records], object]] = {
    "lost: a scored one": lambda posts, scored, dead: scored.pop(),
    "lost: a dead letter": lambda posts, scored, dead: dead.pop(),
    "doubled: a scored one": lambda posts, scored, dead: scored.append(scored[-1]._replace(offset=99)),
    "doubled: a dead letter": lambda posts, scored, dead: dead.append(dead[-1]._replace(offset=99)),
    "foreign: from another topic": lambda posts, scored, dead: scored.append(
        scored[0]._replace(value=(scored[0].value or b"").replace(b'"source_topic":"P"', b'"source_topic":"Q"'))
    ),
    "foreign: no JSON": lambda posts, scored, dead: scored.append(scored[0]._replace(value=b"hello")),
    "foreign: no value": lambda posts, scored, dead: scored.append(scored[0]._replace(value=None)),
    "changed: the score": lambda posts, scored, dead: scored.__setitem__(
        0, scored[0]._replace(value=re.sub(rb'"compound":[-.0-9]+', b'"compound":0.1', scored[0].value or b""))
    ),
    "changed: a number made text": lambda posts, scored, dead: scored.__setitem__(
        0, scored[0]._replace(value=(scored[0].value or b"").replace(b'"neg":0.0', b'"neg":"0.0"'))
    ),
    "changed: the key": lambda posts, scored, dead: scored.__setitem__(0, scored[0]._replace(key=b"other")),
    "changed: the time": lambda posts, scored, dead: scored.__setitem__(0, scored[0]._replace(timestamp_ms=5)),
    "changed: the partition": lambda posts, scored, dead: scored.__setitem__(0, scored[0]._replace(partition=7)),
    "changed: a dead letter": lambda posts, scored, dead: dead.__setitem__(0, dead[0]._replace(value=b"{}")),
    "moved: two in another order": lambda posts, scored, dead: scored.sort(key=lambda one: -one.offset),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found_and_told(fault: str) -> None:
    posts, scored, dead = streamed()
    FAULTS[fault](posts, scored, dead)
    found = checked(posts, scored, dead)
    assert not found.exactly_once
    kind = fault.partition(":")[0]
    counts = {name: getattr(found, name) for name in ("lost", "doubled", "foreign", "changed", "moved")}
    assert counts == {**dict.fromkeys(counts, 0), kind: counts[kind]}
    assert counts[kind] >= 1
    assert found.differences


def test_what_was_not_published_as_it_stands_in_the_file_is_found() -> None:
    posts, scored, dead = streamed()
    lines = [*LINES[1:], b'{"id":"new"}']
    found = check_scored(lines, [*posts, posts[1]._replace(offset=9)], scored, dead, transformer())
    # The first is in the topic only, the last in the file only; the second is there twice and was scored once.
    assert (found.foreign, found.lost, found.doubled) == (1, 2, 1)
    assert len(found.differences) == 4


# The mix


def window(
    start: str, page: str, count: int, mean: float | None, missing: int = 0, **shares: float
) -> dict[str, object]:
    return {
        "window_start": start,
        "page": page,
        "count": count,
        "compound_mean": mean,
        "label_shares": shares,
        "label_missing": missing,
    }


WINDOWS = [
    window("06:00", "b", 4, 0.5, 1, positive=2 / 3, negative=1 / 3),
    window("09:00", "b", 1, -0.25, negative=1.0),
    window("09:00", "a", 2, None, 2),
]


def test_pages_are_made_of_their_windows() -> None:
    a, b = page_mixes(WINDOWS)
    assert (a.page, a.posts, a.parts, a.mean) == ("a", 2, (0, 0, 0, 2), None)
    assert a.trend == (Trend("06:00", 0, None), Trend("09:00", 2, None))
    assert (b.page, b.posts, b.parts) == ("b", 5, (2, 0, 2, 1))
    assert b.mean == pytest.approx((3 * 0.5 - 0.25) / 4, abs=1e-4)
    assert b.trend == (Trend("06:00", 4, 0.5), Trend("09:00", 1, -0.25))
    assert page_mixes(()) == ()
    assert page_mixes([{**WINDOWS[0], "label_shares": json.dumps(WINDOWS[0]["label_shares"])}])[0].parts == (2, 0, 1, 1)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6), st.integers(0, 200))
def test_a_bar_is_full_and_no_part_is_off_by_a_cell(parts: list[int], width: int) -> None:
    given_cells = cells(parts, width)
    if not sum(parts):
        assert not any(given_cells)
        return
    assert sum(given_cells) == width
    assert all(abs(cell - part * width / sum(parts)) < 1 for cell, part in zip(given_cells, parts, strict=True))


def shown(mixes: tuple[PageMix, ...], *, terminal: bool, width: int = 200) -> str:
    out = io.StringIO()
    show_mix(Console(file=out, force_terminal=terminal, width=width, highlight=False, markup=False), mixes, every="3h")
    return out.getvalue()


def test_where_nothing_but_letters_can_be_shown_the_bars_are_letters() -> None:
    text = shown(page_mixes(WINDOWS), terminal=False)
    assert "\x1b" not in text
    assert re.search(rf"^ b +5 +{re.escape('+' * 16 + '-' * 16 + '?' * 8)} +\+0\.31 +\+- *$", text, re.MULTILINE)
    assert re.search(rf"^ a +2 +{re.escape('?' * 40)} +- ", text, re.MULTILINE)
    assert "not scored" in text


def test_a_terminal_has_colours_and_a_narrow_one_no_broken_lines() -> None:
    text = shown(page_mixes(WINDOWS), terminal=True, width=60)
    assert "\x1b[32m█" in text and "\x1b[31m█" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(len(line) for line in plain.splitlines()) <= 60


def test_a_page_can_not_move_the_terminal_nor_break_the_picture() -> None:
    (mix,) = page_mixes([window("<t>", "\x1b[31m<b>&", 1, 0.9, positive=1.0)])
    assert "\\x1b[31m<b>&" in shown((mix,), terminal=False)
    drawn = as_svg((PageMix("<b>&", *(1, 1, 0, 0, 0), 0.9, mix.trend),), "a < b")
    ElementTree.fromstring(drawn)


def test_the_picture_has_a_part_for_each_label_in_proportion() -> None:
    drawn = ElementTree.fromstring(as_svg(page_mixes(WINDOWS), "the mix"))
    name = "{http://www.w3.org/2000/svg}"
    parts = {rect.findtext(f"{name}title"): float(rect.get("width", "0")) for rect in drawn.iter(f"{name}rect")}
    assert parts["b: 2 of 5 positive"] == parts["b: 2 of 5 negative"] == 2 * parts["b: 1 of 5 not scored"]
    assert "a: 2 of 2 not scored" in parts
    assert "06:00: +0.50, 4 posts" in parts
    assert as_svg((), "nothing").endswith("</svg>\n")


def test_to_is_for_sentiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--to", "x"]) == 2
    assert "--sentiment" in capsys.readouterr().err


def test_a_place_that_can_not_be_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(["demo", "--sentiment", "--to", str(tmp_path / "file" / "x")]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "--to" in err
