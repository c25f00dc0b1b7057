"""Station 2: from local time to UTC, also on days with a clock change.

When clocks go back an hour is there twice. Rows are in an order, and so it is known which of the two is meant: the
second one begins where the time goes back (or comes again, in recordings of one row an hour). When clocks go forward
an hour is missing; a recorder that writes it all the same did not change its clock.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

from sensorstream.errors import DecodeError, UsageError

_NAIVE_EPOCH: Final = datetime(1970, 1, 1)
_PIECE_MS: Final = 900_000
"""Offsets are remembered for a quarter of an hour: clocks change at its ends."""
_PIECES: Final = 1 << 16
_OFFSET: Final = re.compile(r"([+-])(\d{1,2})(?::?(\d{2}))?")


@lru_cache(maxsize=32)
def zone_of(name: str, option: str = "--time-zone") -> tzinfo:
    """The zone of a name such as Europe/Berlin, or of an offset such as +07:00. Raises UsageError."""
    from zoneinfo import ZoneInfo

    if name in ("UTC", "Z"):
        return UTC
    fixed = _OFFSET.fullmatch(name)
    if fixed is not None:
        size = timedelta(hours=int(fixed[2]), minutes=int(fixed[3] or 0))
        if size < timedelta(hours=24) and int(fixed[3] or 0) < 60:
            return timezone(-size if fixed[1] == "-" else size)
    else:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # unknown; no name at all; a folder of names
            pass
    raise UsageError(f"{option} {name!r} is not known", hint=_nearest_zone(name))


def _nearest_zone(name: str) -> str:
    import difflib
    from zoneinfo import available_timezones

    known = {zone.lower(): zone for zone in available_timezones()}
    if not known:
        return "this machine has no list of time zones: pip install tzdata"
    ends = {zone.rpartition("/")[2]: zone for zone in known}
    near = difflib.get_close_matches(name.lower(), known, 1, 0.7) or [
        ends[end] for end in difflib.get_close_matches(name.lower(), ends, 1, 0.7)
    ]
    said = f"did you mean {known[near[0]]!r}? " if near else ""
    return f"{said}it is a name such as Europe/Berlin or an offset such as +07:00"


class LocalTimes:
    """Makes UTC of the local times of one source, which come in the source's order.

    ``newest_first``: the source runs backwards. ``missing`` is called with the two hours, as texts, the first time
    that a local time was skipped by the clock. All times are in milliseconds since 1970.
    """

    def __init__(
        self,
        zone: tzinfo,
        *,
        newest_first: bool = False,
        missing: Callable[[str, str], None] = lambda there, taken: None,
    ) -> None:
        self._zone = zone
        self._fixed: int | None = None
        if isinstance(zone, timezone):
            self._fixed = int(zone.utcoffset(None).total_seconds() * 1000)
        self._sign = -1 if newest_first else 1
        self._missing = missing
        self._told = False
        self._offsets: dict[int, int | None] = {}
        self.restart()

    def restart(self) -> None:
        """The source begins again with its first row."""
        self._last: int | None = None
        self._step = 0  # between the last two times that differ
        self._count = self._count_before = 0  # rows of the last time, and of the one before it
        self.distinct = 0

    @property
    def settled(self) -> bool:
        """Whether enough rows were seen to tell the two passes of a doubled hour."""
        return self.distinct > 2

    def doubled(self, local_ms: int) -> bool:
        """Whether the clock has shown this time twice. Raises DecodeError."""
        if self._fixed is not None or self._piece(local_ms) is not None:
            return False
        before, after = self._both(local_ms)
        return before > after

    def utc(self, local_ms: int) -> int:
        """The UTC of a local time. Raises DecodeError outside of the years that can be written."""
        if self._fixed is not None:
            return local_ms - self._fixed
        offset = self._piece(local_ms)
        if offset is None:
            offset = self._near_a_change(local_ms)
        found = local_ms - offset
        self._note(found)
        return found

    def _near_a_change(self, local_ms: int) -> int:
        """The offset of a time near a change of the clock."""
        before, after = self._both(local_ms)
        if before < after and not self._told:
            self._told = True
            self._missing(_text(local_ms), _text(local_ms - before + after))
        if before <= after:
            return before
        first, second = (before, after) if self._sign > 0 else (after, before)
        return second if self._is_second_pass(local_ms - first, before - after) else first

    def _is_second_pass(self, first: int, length: int) -> bool:
        """Whether a time of a doubled stretch, ``first`` in its first pass, is of the second one, ``length`` later."""
        if self._last is None:
            return False
        ahead = (first - self._last) * self._sign
        if ahead == 0:
            # Of one row an hour the doubled hour is there as two rows of one time; of several stations, twice as many.
            return self._step >= length and self._count >= self._count_before
        return ahead < 0 and abs(ahead + length) <= -ahead

    def _note(self, found: int) -> None:
        if found == self._last:
            self._count += 1
            return
        if self._last is not None:
            self._step = abs(found - self._last)
        self._last = found
        self._count_before, self._count = self._count, 1
        self.distinct += 1

    def _piece(self, local_ms: int) -> int | None:
        """The offset of all times in the same quarter of an hour; None where it is not the same."""
        piece = local_ms // _PIECE_MS
        try:
            return self._offsets[piece]
        except KeyError:
            pass
        ends = (*self._both(piece * _PIECE_MS), *self._both((piece + 1) * _PIECE_MS - 1))
        offset = ends[0] if len(set(ends)) == 1 else None
        if len(self._offsets) >= _PIECES:
            self._offsets.clear()
        self._offsets[piece] = offset
        return offset

    def _both(self, local_ms: int) -> tuple[int, int]:
        """The offsets that hold before and after a change, where a local time lies at one; else twice the same."""
        try:
            local = (_NAIVE_EPOCH + timedelta(milliseconds=local_ms)).replace(tzinfo=self._zone)
            before, after = local.utcoffset(), local.replace(fold=1).utcoffset()
        except (OverflowError, ValueError) as error:
            raise DecodeError("its time lies outside of the years 1 to 9999") from error
        assert before is not None and after is not None  # noqa: S101  # a zone knows its offset
        return int(before.total_seconds() * 1000), int(after.total_seconds() * 1000)


def _text(local_ms: int) -> str:
    return f"{_NAIVE_EPOCH + timedelta(milliseconds=local_ms):%Y-%m-%d %H:%M}"
