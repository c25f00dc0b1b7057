"""Rejected files: dead letters, one JSON object per line, created with the first one.

Every writer locks the file for a moment and looks whether it is still the one of that name, so a file that is replaced
by a mended one between two letters is no trap, and several processes may write to one file.
"""

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from sensorstream.errors import DecodeError
from sensorstream.events import Listener, RowRejected
from sensorstream.own_files import open_own
from sensorstream.records import Rejected
from sensorstream.sinks import dead_letter
from sensorstream.sinks.checkpoint import sync_folder, write_all
from sensorstream.sinks.dead_letter import DeadLetter

ENDING: Final = ".rejected.jsonl"
"""What the names of rejected files end with."""
_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)
_sync: Final = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def beside(path: Path) -> Path:
    """The rejected file of a captured file: AIR.csv and AIR.jsonl may lie side by side, each with one of its own."""
    return path.with_name((path.stem if path.suffix == ".csv" else path.name) + ENDING)


def rejection_event(rejected: Rejected, path: Path) -> RowRejected:
    """What the listener is told of a dead letter."""
    where = ", ".join(f"{name} {value}" for name, value in rejected.where.items() if name != "row")
    return RowRejected(where, rejected.reason, str(path))


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """The descriptor of a rejected file, made if need be, at its end; nobody else of us writes to it meanwhile.

    Raises OSError, also for a symbolic link.
    """
    while True:
        descriptor = open_own(path, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_still(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def append(path: Path, line: bytes) -> int:
    """Add a line to a rejected file, which is whole afterwards also when this fails; its new length.

    Raises OSError.
    """
    with locked(path) as descriptor:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # An editor may leave the last line without an end, a crash of the machine may leave half a line.
            line = b"\n" + line
        try:
            write_all(descriptor, line)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    return size + len(line)


def cut(path: Path, keep: Callable[[DeadLetter], bool], length: int) -> int:
    """Take away the letters that are not to be kept; the length of what is left.

    What can't be read is kept, edited badly as it may be, but for half a line at the very end, behind ``length``
    bytes: the write of that one was cut short. Raises OSError.
    """

    def is_kept(begin: int, line: bytes) -> bool:
        try:
            return keep(dead_letter.load(line))
        except DecodeError:
            return line.endswith(b"\n") or begin < length

    with locked(path) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        end = taken = 0
        is_tail = True
        for begin, line in _lines(file):
            if is_kept(begin, line):
                end, is_tail = begin + len(line), not taken
            else:
                taken += 1
        if is_tail:
            # The usual case, which must also do on a disk that is full.
            if taken:
                os.ftruncate(descriptor, end)
            return end
    return rewrite(path, lambda lines: (line for begin, line in lines if is_kept(begin, line)))


def mark(path: Path, retried: Mapping[str, Mapping[str, Any]]) -> None:
    """Say in a file which of its letters, by their ids, were retried; what is said already stays. Raises OSError."""

    def marked(lines: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
        for _, line in lines:
            try:
                letter = dead_letter.load(line)
            except DecodeError:
                yield line
                continue
            if letter.retried is None and letter.id in retried:
                yield replace(letter, retried=retried[letter.id]).dump()
            else:
                yield line

    def is_new(line: bytes) -> bool:
        try:
            letter = dead_letter.load(line)
        except DecodeError:
            return False
        return letter.retried is None and letter.id in retried

    with path.open("rb") as file:
        new = any(map(is_new, file))
    if new:
        rewrite(path, marked)


def rewrite(path: Path, choose: Callable[[Iterator[tuple[int, bytes]]], Iterator[bytes]]) -> int:
    """Put what ``choose`` makes of a rejected file's lines in its place, durably and all at once; its new length.

    ``choose`` gets where each line begins, and the line. Raises OSError.
    """
    fresh = path.with_name(path.name + ".tmp")
    with locked(path) as descriptor, os.fdopen(os.dup(descriptor), "rb") as old:
        old.seek(0)
        new = open_own(fresh, os.O_WRONLY | os.O_TRUNC, like=path)
        try:
            with os.fdopen(new, "wb") as out:
                length = sum(map(out.write, choose(_lines(old))))
                out.flush()
                os.fsync(new)
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    return length


def sync(path: Path) -> None:
    """Make what was appended durable, and the file's name. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | _NO_LINKS)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


class RejectedFile:
    """A rejected file without a position.

    Each dead letter is durable at once. With ``once`` none is until :meth:`sync`, and what is in the file already, from
    this run or an earlier one, is not written again, mended as it may be: for jobs that go back and read rows again.
    ``topic`` is where the rows of a source were to go; set ``how`` when it is known how they are read and published,
    and ``salt`` where rows that look the same are others, as in another file of the same name.
    """

    def __init__(self, path: Path, listener: Listener, *, once: bool = False, topic: str | None = None) -> None:
        self.path = path
        self.how: Mapping[str, Any] = {}
        self.count = 0
        self._listener = listener
        self._once = once
        self._topic = topic
        # Replaying a file a second time rejects its rows a second time.
        self.salt = "" if once else uuid.uuid4().hex
        self._there: set[str] | None = None
        self._told: set[str] = set()
        self._dirty = False

    def add(self, rejected: Rejected) -> bool:
        """Append one dead letter; False where the file has it already. Raises OSError.

        ``count`` counts, and the listener hears of, each row or record once.
        """
        letter = dead_letter.letter_of(rejected, topic=self._topic, how=self.how, salt=self.salt)
        new = not self._once or letter.id not in self._ids()
        if new:
            append(self.path, letter.dump())
            self._dirty = True
        if not self._once:
            self.sync()
        else:
            self._ids().add(letter.id)
            if letter.id in self._told:
                return new
            self._told.add(letter.id)
        self.count += 1
        self._listener(rejection_event(rejected, self.path))
        return new

    def sync(self) -> None:
        """Make what was added durable; nothing to do where nothing was. Raises OSError."""
        if self._dirty:
            sync(self.path)
            self._dirty = False

    def _ids(self) -> set[str]:
        if self._there is None:
            self._there = set()
            try:
                with self.path.open("rb") as file:
                    for line in file:
                        try:
                            self._there.add(dead_letter.load(line).id)
                        except DecodeError:
                            continue  # edited badly, which is told where it is to be used; or half a line
            except FileNotFoundError:
                pass
            # What an earlier run wrote and did not live to make durable must be so before a position passes it.
            self._dirty = bool(self._there)
        return self._there


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    begin = 0
    for line in file:
        yield begin, line
        begin += len(line)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
