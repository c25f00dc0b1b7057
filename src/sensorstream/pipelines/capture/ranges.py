"""Station 6: the range of a capture, ``-o A:B``: from A up to before B, each as :mod:`sensorstream.pipelines.start_at`
has it.

What B means is settled once, when a file is begun, and stored with its position: a capture that goes on has the same
end, however late that is and whatever has come since.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sensorstream.clients.base import Reader
from sensorstream.errors import UsageError
from sensorstream.pipelines.start_at import StartAt, is_relative, parse, resolve
from sensorstream.records import TopicPartition

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HINT: Final = "it is A:B, each an offset, beginning, end, N, -N or @TIME, or left out; B is not in it"


@dataclass(frozen=True, slots=True)
class Range:
    """From ``start`` up to before ``end`` (None: without end); ``mark`` is how a stored position names it.

    ``mark`` is empty where there is no end: then it is just a beginning.
    """

    start: StartAt
    end: StartAt | None
    mark: str


def parse_range(text: str, now_ms: int | None = None) -> Range:
    """Read the value of ``-o``: one beginning, or ``A:B``, of which one may be left out.

    After a time comes a time: ``@T1:@T2``. ``now_ms`` (default: the clock) is what relative times are relative to.
    Raises UsageError: no range, B before A, a B that lies in the future.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    sides = _sides(text)
    if sides is None:
        return Range(parse(text, now_ms), None, "")
    first, last = sides
    if not first and not last:
        raise UsageError(f"-o {text!r} is no range", hint=_HINT)
    start = parse(first, now_ms) if first else StartAt("beginning")
    if not last:
        return Range(start, None, "")
    end = parse(last, now_ms)
    if end.kind == start.kind and (end.value < start.value if end.kind != "tail" else end.value > start.value):
        raise UsageError(f"-o {text!r} ends before it begins", hint=_HINT)
    if end.kind == "time" and end.value > now_ms:
        raise UsageError(
            f"-o {text!r}: {last} lies in the future", hint="leave it out and stop the capture then, or use --timeout"
        )
    return Range(start, end, f"{_named(first, start)}:{_named(last, end)}")


def range_end(asked: Range, reader: Reader, tp: TopicPartition, position: int, first: int, end: int) -> int | None:
    """The offset before which the range ends in a partition that holds ``first`` up to before ``end``, if it does.

    ``position`` is where it begins: a range that holds nothing ends there.
    """
    if asked.end is None:
        return None
    return max(position, resolve(asked.end, reader, tp, first, end))


def _sides(text: str) -> tuple[str, str] | None:
    """What stands on the two sides of the colon that makes a range of ``text``; None where it is none.

    An ISO time has colons of its own, so behind a time only ``:@`` parts, or a colon at the end.
    """
    if not text.startswith("@"):
        first, colon, last = text.partition(":")
        return (first, last) if colon else None
    first, colon, last = text.partition(":@")
    if colon:
        return first, "@" + last
    return (text[:-1], "") if text.endswith(":") else None


def _named(text: str, side: StartAt) -> str:
    """One side of a range, with one name for what is the same."""
    if side.kind != "time":
        return {"offset": str(side.value), "tail": f"-{side.value}"}.get(side.kind, side.kind)
    if is_relative(text):
        return text
    try:
        moment = _EPOCH + timedelta(milliseconds=side.value)
    except OverflowError:
        return f"@{side.value}"
    return "@" + moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
