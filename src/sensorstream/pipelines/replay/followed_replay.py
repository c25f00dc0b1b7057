"""Stations 1-4 for one source that is followed: its rows, those that are appended, and those of the next file.

A file that takes the place of the one before is another round: its rows are counted from 0 again.
"""

import threading
import time
from typing import Any, Final

from sensorstream.events import Notice
from sensorstream.pipelines.replay.how import how_published
from sensorstream.pipelines.replay.source_replay import SourceReplay
from sensorstream.pipelines.replay.spec import Rules
from sensorstream.records import SourceRow
from sensorstream.sources.followed import FollowedSource
from sensorstream.sources.rotation import Prefix
from sensorstream.wording import counted

UNFINISHED_S: Final = 5.0
"""After so long the rest of a row that is not whole is missed."""
_LOOK_S: Final = 0.05
_ANSWERS_S: Final = 0.02


def replay_for(rules: Rules) -> type[SourceReplay]:
    """The kind of replay that these rules ask for."""
    return SourceReplay if rules.follow is None else FollowedReplay


class FollowedReplay(SourceReplay):
    """A replay whose source is a :class:`~sensorstream.sources.followed.FollowedSource`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_open = False
        self._is_idle = False
        self._heard_at = time.monotonic()
        self._columns: tuple[str, ...] = ()
        self._told_line = 0
        self._salt = self._rejects.salt
        self._rejects.salt = self._salt_of_round()

    def _salt_of_round(self) -> str:
        return f"{self._salt}/{self.round}" if self.round else self._salt

    @property
    def followed(self) -> FollowedSource:
        """The source of the file that is read now."""
        assert isinstance(self.source, FollowedSource)  # noqa: S101  # for the type checker
        return self.source

    @property
    def idle(self) -> bool:
        """Whether there is nothing to publish now."""
        return self._is_idle

    @property
    def exhausted(self) -> bool:
        """Never: more may come."""
        return False

    def open(self) -> None:
        """Begin to read; a file without a head yet is waited for later. Raises SourceError, UsageError."""
        self.source.open()
        self._look_at_head()

    def begin(self, now: float) -> None:
        """Start the clocks."""
        super().begin(now)
        self._heard_at = now

    def step(self, stop: threading.Event) -> float | None:
        """Publish what is due, as any replay does; None when it ends, be it because nothing has come for too long."""
        if not self._is_open and not self._look_at_head():
            self.outbox.reap()
            return self._finish(stop)
        return super().step(stop)

    def prefix(self) -> Prefix:
        """The file that is read now, and of it what lies before the first row that was not sent."""
        if not self._is_open:
            return self.followed.prefix(1)
        if not self._ready:
            return self.followed.prefix()
        first = self._ready[0]
        line = first.line if isinstance(first, SourceRow) else int(first.rejected.where["line"])
        return self.followed.prefix(line)

    def _look_at_head(self) -> bool:
        self._is_open = self.followed.ready
        if self._is_open:
            before, self._columns = self._columns, self.source.columns
            if before == self._columns:
                self._blocks.forget_columns()
                self._rejects.how = how_published(self.source, self._rules)
                return True
            self._look_at_columns()
            if before:
                self._tell_columns(before)
                self._began = time.monotonic()
        return self._is_open

    def _tell_columns(self, before: tuple[str, ...]) -> None:
        new = [name for name in self._columns if name not in before]
        gone = [name for name in before if name not in self._columns]
        changes = [f"{what} {', '.join(names)}" for what, names in (("new:", new), ("gone:", gone)) if names]
        self._listener(
            Notice(
                f"{self.source.name}: the columns have changed; {'; '.join(changes) or 'their order is another one'}"
            )
        )

    def _next(self) -> SourceRow | None:
        row = super()._next()
        if row is not None:
            self._heard_at = time.monotonic()
        return row

    def _publish_block(self, stop: threading.Event) -> bool:
        published = super()._publish_block(stop)
        if published:
            self.followed.prefix()  # what is behind it need not be kept until the next commit
            self._heard_at = time.monotonic()
            self._is_idle = False
        return published

    def _moment(self, row: SourceRow) -> float:
        due = super()._moment(row)
        late = time.monotonic() - due
        if self._is_idle and late > 0:
            # Time without rows is not made up for: the pace goes on from now.
            self._began += late
            due += late
        return due

    def _publish(self, row: SourceRow) -> None:
        self._is_idle = False
        super()._publish(row)

    def _finish(self, stop: threading.Event) -> float | None:
        self._exhausted = False
        limit, follow = self._rules.limit, self._rules.follow
        if limit is not None and self.taken >= limit:
            return super()._finish(stop)
        now = time.monotonic()
        wait = _ANSWERS_S if self.outbox.open_rows else _LOOK_S
        if self.followed.over:
            if not self.outbox.open_rows:
                self._begin_next_file()
            return now + wait
        if not self.followed.caught_up:
            return now + wait
        self._is_idle = True
        if follow is not None and follow.timeout_s is not None and now - self._heard_at >= follow.timeout_s:
            self._tell_unfinished()
            if not self._columns:
                self.ended = True  # not even a head has come
                return None
            return super()._finish(stop)
        if now - self._heard_at >= UNFINISHED_S:
            self._tell_open_quote()
        self._tell()
        return now + wait

    def _begin_next_file(self) -> None:
        left = self.followed
        self.source = left.successor()
        left.close()
        self.round += 1
        self._next_row = 0
        self._rejects.salt = self._salt_of_round()
        self._told_line = 0
        self._is_open = False
        self.open()

    def _tell_unfinished(self) -> None:
        self._tell_open_quote()
        size = self.followed.half_line
        if size:
            text = (
                f"{self.source.name}: the last line, {counted(size, 'byte')}, has no line end yet and was not published"
            )
            self._listener(Notice(text, "warning"))

    def _tell_open_quote(self) -> None:
        line, count = self.followed.unfinished
        if count and line != self._told_line:
            self._told_line = line
            what = "a quote is open since then; its row and what follows wait for its end"
            self._listener(Notice(f"{self.source.name}, line {line}: {what}", "warning"))
