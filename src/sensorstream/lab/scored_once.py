"""Verification of a scored topic, by value: every post of the file is published once and scored once.

What must be in the scored topic and among the dead letters is made anew, in this process, from what is in the topic of
the posts; then both are compared, record by record, with all their fields. Only the time of scoring may differ.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sensorstream.errors import DecodeError
from sensorstream.pipelines.stream.records import HEADER, Letter, RecordTransformer
from sensorstream.records import ConsumedRecord, Row
from sensorstream.serde.json import decode
from sensorstream.wording import counted

SHOWN: Final = 5
_TIME_OF_SCORING: Final = "scored_at"

_Origin: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class ScoredOnce:
    """The verdict. ``posts`` are the file's, ``published`` those in their topic.

    ``lost``, ``doubled`` and ``foreign`` count, over both legs of the way, records that should be there and are not,
    that are there once more, and that come from nowhere; ``changed`` ones have other values than they should, ``moved``
    ones stand before one that they should follow. ``differences`` tells the first of them, one line each.
    """

    posts: int
    published: int
    scored: int
    dead_letters: int
    lost: int
    doubled: int
    foreign: int
    changed: int
    moved: int
    exactly_once: bool
    differences: tuple[str, ...]


def check_scored(
    lines: Iterable[bytes],
    posts: Sequence[ConsumedRecord],
    scored: Sequence[ConsumedRecord],
    dead: Sequence[ConsumedRecord],
    transformer: RecordTransformer,
) -> ScoredOnce:
    """Compare: the file's ``lines`` with ``posts``, and these with ``scored`` and ``dead`` letters.

    ``transformer`` is one as the stream had it. Records of one partition must be in the order of their offsets.
    """
    check = _Check()
    file = Counter(lines)
    check.published(file, Counter(record.value or b"" for record in posts))
    wanted: dict[_Origin, Letter] = {}
    for made in transformer.make(posts):
        record = made.record
        for letter in made.letters:
            wanted[record.topic, record.partition, record.offset] = letter
    check.found(
        wanted, [*((_origin_of_row(one), one) for one in scored), *((_origin_of_dead(one), one) for one in dead)]
    )
    return check.verdict(file.total(), len(posts), len(scored), len(dead))


class _Check:
    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._differences: list[str] = []

    def published(self, file: Counter[bytes], topic: Counter[bytes]) -> None:
        for line, count in file.items():
            there = topic[line]
            if there < count:
                self._tell("lost", f"not published: {_short(line)}", count - there)
            elif there > count:
                self._tell("doubled", f"published {counted(there, 'time')}: {_short(line)}", there - count)
        for line, count in topic.items():
            if line not in file:
                self._tell("foreign", f"published, and not in the file: {_short(line)}", count)

    def found(self, wanted: dict[_Origin, Letter], records: Sequence[tuple[_Origin | None, ConsumedRecord]]) -> None:
        seen: set[_Origin] = set()
        last: dict[tuple[str, int], _Origin] = {}
        for origin, record in records:
            where = f"{record.topic}[{record.partition}] offset {record.offset}"
            letter = None if origin is None else wanted.get(origin)
            if origin is None or letter is None:
                self._tell("foreign", f"{where} does not come from any post")
                continue
            if origin in seen:
                self._tell("doubled", f"{where}: {_named(origin)} is there already")
                continue
            seen.add(origin)
            if not _same(letter, record):
                self._tell("changed", f"{where} is not the expected result for {_named(origin)}")
            before = last.get((record.topic, record.partition))
            if before is not None and before[:2] == origin[:2] and before[2] > origin[2]:
                self._tell("moved", f"{where}: {_named(origin)} stands after {_named(before)}")
            last[record.topic, record.partition] = origin
        for origin in wanted:
            if origin not in seen:
                self._tell("lost", f"{_named(origin)} is neither scored nor a dead letter")

    def verdict(self, posts: int, published: int, scored: int, dead: int) -> ScoredOnce:
        counts = {name: self._counts[name] for name in ("lost", "doubled", "foreign", "changed", "moved")}
        return ScoredOnce(
            posts,
            published,
            scored,
            dead,
            **counts,
            exactly_once=not any(counts.values()),
            differences=tuple(self._differences),
        )

    def _tell(self, what: str, line: str, times: int = 1) -> None:
        self._counts[what] += times
        if len(self._differences) < SHOWN:
            self._differences.append(line)


def _same(letter: Letter, record: ConsumedRecord) -> bool:
    if (letter.topic, letter.key, letter.timestamp_ms) != (record.topic, record.key, record.timestamp_ms):
        return False
    if letter.partition is not None and letter.partition != record.partition:
        return False
    if letter.headers:  # a dead letter: the record itself, unchanged
        return (letter.value, letter.headers) == (record.value, record.headers)
    return _without_time(letter.value) == _without_time(record.value)


def _without_time(value: bytes | None) -> dict[str, object] | None:
    row = _row(value)
    return None if row is None else {name: (type(one), one) for name, one in row.items() if name != _TIME_OF_SCORING}


def _origin_of_row(record: ConsumedRecord) -> _Origin | None:
    row = _row(record.value)
    if row is None:
        return None
    return _origin(row.get("source_topic"), row.get("source_partition"), row.get("source_offset"))


def _origin_of_dead(record: ConsumedRecord) -> _Origin | None:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    return _origin(*(headers.get(HEADER + name) for name in ("topic", "partition", "offset")))


def _origin(topic: object, partition: object, offset: object) -> _Origin | None:
    try:
        return str(topic), int(str(partition)), int(str(offset))
    except ValueError:
        return None


def _row(value: bytes | None) -> Row | None:
    try:
        return None if value is None else decode(value)
    except DecodeError:
        return None


def _named(origin: _Origin) -> str:
    topic, partition, offset = origin
    return f"{topic}[{partition}] offset {offset}"


def _short(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return text if len(text) <= 80 else text[:77] + "..."
