"""Stations 1-4 for dead letters: publish corrected ones, each exactly once, wherever and whenever this is killed.

A record and its letter's mark are one transaction (see :mod:`~sensorstream.pipelines.rejects.marks`), so the marks say
what was sent, also when the answer to a commit was lost. The files are marked afterwards, from the marks: a run that
was killed in between is finished by the next one, which sends nothing again.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sensorstream.clients.base import Client, Delivery, TransactionalPublisher
from sensorstream.clients.transaction import wait_until_seen
from sensorstream.errors import (
    BrokerError,
    ClusterUnreachable,
    CredentialsRefused,
    DataError,
    DecodeError,
    DeliveryError,
    DeliveryTimeout,
    Fenced,
    Interrupted,
    RecordTooLarge,
    SensorstreamError,
)
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.rejects import marks
from sensorstream.pipelines.rejects.files import BadLine, letters
from sensorstream.pipelines.rejects.mended import Mended, mended
from sensorstream.sinks.dead_letter import DeadLetter
from sensorstream.sinks.rejected import mark

AT_ONCE: Final = 1000
"""Letters of one transaction, at the most."""
_BYTES_AT_ONCE: Final = 16 << 20
GIVE_UP_S: Final = 60.0
"""How long the same letters are tried again."""
_PAUSE_S: Final = 0.5
_LISTED: Final = 1000


@dataclass(frozen=True, slots=True)
class NotSent:
    """A letter that was not sent: its line in the file, from 1, and why."""

    file: str
    line: int
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class RetriedFile:
    """What became of the letters of one file: ``sent`` now, ``already`` retried before, ``not_sent``."""

    path: str
    letters: int
    sent: int
    already: int
    not_sent: int


@dataclass(frozen=True, slots=True)
class RetryResult:
    """What a retry came to. ``not_sent_lines`` lists the first 1,000 letters that were not; ``topics`` says how many
    were sent to each. With ``dry_run`` nothing was sent, and ``sent`` are those that would be."""

    dry_run: bool
    sent: int
    already: int
    not_sent: int
    topics: Mapping[str, int]
    files: tuple[RetriedFile, ...]
    not_sent_lines: tuple[NotSent, ...]


@dataclass(slots=True)
class _Entry:
    """One letter, which may stand in several files."""

    letter: DeadLetter
    places: list[tuple[Path, int]]
    ready: Mended | None = None
    reason: str = ""
    already: bool = False
    tried: bool = False
    sent: bool = False
    mark: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Retry:
    """The letters of some files, read and looked at; nothing has been asked of any broker.

    Raises SourceError for a file that can't be read, DataError naming file and line for a line that is no letter, and
    for a letter that stands there twice with two values.
    """

    paths: Sequence[Path]
    entries: dict[str, _Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in self.paths:
            for line, letter in letters(path):
                if isinstance(letter, BadLine):
                    raise DataError(
                        f"{path} line {line} can't be read: {letter.reason}", hint="correct the line, or delete it"
                    )
                self._take(path, line, letter)
        for entry in self.entries.values():
            if entry.letter.retried is None:
                try:
                    entry.ready = mended(entry.letter)
                except DecodeError as error:
                    entry.reason = error.message

    @property
    def ready(self) -> list[_Entry]:
        """The letters that are to be sent."""
        return [entry for entry in self.entries.values() if entry.ready is not None and not entry.already]

    def result(self, *, dry_run: bool = False) -> RetryResult:
        """The figures as they stand."""
        sent = self.ready if dry_run else [entry for entry in self.entries.values() if entry.sent]
        ids = {entry.letter.id for entry in sent}
        topics: dict[str, int] = {}
        for entry in sent:
            topics[str(entry.letter.topic)] = topics.get(str(entry.letter.topic), 0) + 1
        files = {path: [0, 0, 0, 0] for path in self.paths}
        left: list[NotSent] = []
        for entry in self.entries.values():
            which = 1 if entry.letter.id in ids else 2 if self._is_done(entry) else 3
            for path, line in entry.places:
                files[path][0] += 1
                files[path][which] += 1
                if which == 3 and len(left) < _LISTED:
                    left.append(NotSent(str(path), line, entry.letter.where, entry.reason or "it was not sent"))
        return RetryResult(
            dry_run,
            len(sent),
            sum(self._is_done(entry) and entry.letter.id not in ids for entry in self.entries.values()),
            sum(not self._is_done(entry) and entry.letter.id not in ids for entry in self.entries.values()),
            topics,
            tuple(RetriedFile(str(path), *figures) for path, figures in files.items()),
            tuple(left),
        )

    @staticmethod
    def _is_done(entry: _Entry) -> bool:
        return entry.already or entry.letter.retried is not None

    def _take(self, path: Path, line: int, letter: DeadLetter) -> None:
        entry = self.entries.setdefault(letter.id, _Entry(letter, []))
        entry.places.append((path, line))
        if letter.retried is not None or entry.letter.retried is not None:
            # Retried is retried, in whichever file it is marked.
            entry.letter = letter if letter.retried is not None else entry.letter
        elif (letter.value, letter.key, letter.headers) != (entry.letter.value, entry.letter.key, entry.letter.headers):
            first, at = entry.places[0]
            raise DataError(
                f"{first} line {at} and {path} line {line} are the same entry with two values",
                hint="leave the one that is to be sent",
            )


def retry(
    client: Client,
    work: Retry,
    make_topic: Callable[[], object],
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> RetryResult:
    """Publish the letters that can be used and were not retried before, and mark them in their files.

    ``make_topic`` is called when the topic of marks is missing. Raises UnknownTopic, ClusterUnreachable, BrokerError,
    DeliveryError, Fenced when another retry began meanwhile, SinkError; what was sent by then is known to the cluster,
    and the same call again goes on.
    """
    run = _Retry(client, work, stop or threading.Event(), listener)
    if work.ready:
        if not marks.exists(client, listener):
            make_topic()
        try:
            run.send()
        finally:
            run.mark_files()
    else:
        run.mark_files()
    return work.result()


class _Retry:
    def __init__(self, client: Client, work: Retry, stop: threading.Event, listener: Listener) -> None:
        self._client = client
        self._work = work
        self._stop = stop
        self._listener = listener

    def send(self) -> None:
        """Send what is ready; again and again while it is not known what became of it."""
        failing_since: float | None = None
        at_once = AT_ONCE
        while left := [entry for entry in self._work.ready if not entry.sent and not entry.reason]:
            try:
                self._round(left, at_once)
            except (Fenced, Interrupted, CredentialsRefused):
                raise
            except (DeliveryError, BrokerError, ClusterUnreachable) as error:
                now = time.monotonic()
                failing_since = failing_since or now
                if now - failing_since >= GIVE_UP_S:
                    error.hint = "run the same command again to continue; nothing is sent twice"
                    raise
                if isinstance(error, DeliveryError) and not isinstance(error, DeliveryTimeout):
                    # One of them was refused: alone, so that it is known which one.
                    if at_once == 1:
                        left[0].reason = error.message
                    at_once = 1
                self._listener(Notice(f"a transaction failed and is repeated: {error.message}", "warning"))
                self._stop.wait(_PAUSE_S)
            else:
                failing_since = None

    def _round(self, left: Sequence[_Entry], at_once: int) -> None:
        # Opened first: it fences and ends what was under way, so that the marks tell all.
        with self._client.transactional_publisher(marks.TRANSACTIONAL_ID, listener=self._listener) as publisher:
            known = marks.read(self._client, self._listener)
            for entry in left:
                if entry.letter.id in known:
                    # What this run has tried, and got no answer for, was this run's.
                    entry.sent, entry.already = entry.tried, not entry.tried
                    entry.mark = known[entry.letter.id]
            todo = [entry for entry in left if entry.letter.id not in known]
            counts = publisher.partitions_of({entry.ready.topic for entry in todo if entry.ready})
            while todo:
                if self._stop.is_set():
                    raise Interrupted(
                        "interrupted", hint="run the same command again to continue; nothing is sent twice"
                    )
                batch: list[_Entry] = []
                size = 0
                while todo and len(batch) < at_once and (not batch or size < _BYTES_AT_ONCE):
                    batch.append(todo.pop(0))
                    size += len(batch[-1].letter.value or b"")
                self._transaction(publisher, batch, counts)
            if publisher.ends:
                with suppress(SensorstreamError), self._client.reader(listener=self._listener) as reader:
                    wait_until_seen(reader, publisher.ends, self._listener)

    def _transaction(
        self, publisher: TransactionalPublisher, batch: Sequence[_Entry], counts: Mapping[str, int]
    ) -> None:
        publisher.begin()
        queued: list[tuple[_Entry, Delivery, dict[str, Any]]] = []
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for entry in batch:
            record = entry.ready
            if record is None:
                continue
            partition = record.partition(counts[record.topic])
            try:
                delivery = publisher.publish(
                    record.topic,
                    record.value,
                    partition=partition,
                    key=record.key,
                    timestamp_ms=record.timestamp_ms,
                    headers=record.headers,
                )
            except RecordTooLarge as error:
                entry.reason = error.message
                continue
            told = {"at": now, "topic": record.topic, "partition": partition}
            marks.write(publisher, entry.letter.id, told)
            entry.tried = True
            queued.append((entry, delivery, told))
        publisher.commit()
        for entry, delivery, told in queued:
            offset = delivery.wait(0)
            entry.sent, entry.mark = True, {**told, "offset": offset if offset >= 0 else None}

    def mark_files(self) -> None:
        """Write into the files which of their letters were retried. Raises OSError."""
        done = {
            entry.letter.id: entry.mark if entry.mark is not None else entry.letter.retried or {}
            for entry in self._work.entries.values()
            if entry.sent or entry.already or entry.letter.retried is not None
        }
        if done:
            for path in self._work.paths:
                mark(path, done)
