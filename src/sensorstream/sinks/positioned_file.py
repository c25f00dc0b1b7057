"""Station 9: an append-only file in which only the bytes up to the last position are valid.

At start the file is locked, compared with its position and cut to it. It is never mended at "the last newline":
a quoted field may hold one. A failed write cuts the file back, so what is on disk is whole at any moment.
"""

import errno
import fcntl
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from sensorstream.errors import SinkError
from sensorstream.events import RowRejected
from sensorstream.own_files import LINK, open_own
from sensorstream.records import Rejected
from sensorstream.sinks import checkpoint as checkpoints
from sensorstream.sinks import rejected as rejected_files
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.checks import no_position
from sensorstream.sinks.dead_letter import letter_of
from sensorstream.sinks.held import Held, new_file
from sensorstream.sinks.rejected import rejection_event
from sensorstream.wording import counted

_READ_SIZE: Final = 1 << 20
_sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class FileBusy(SinkError):
    """Another process is writing the file at this moment."""


class PositionedFile:
    """A data file, its rejected file and its position, opened by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rejected_path = rejected_files.beside(path)
        self.checkpoint: Checkpoint | None = None
        self._data = -1
        self._crc = 0
        self._length = 0
        self._rejected_length = 0
        # Dead letters since the last commit.
        self._letters = 0

    def open(self, wanted: Checkpoint) -> Checkpoint | None:
        """Lock the file and cut it to its position; return that, or None where there is nothing yet.

        ``wanted`` describes the log that will be written. Raises PositionMismatch, FileBusy, SinkError.
        """
        stored = checkpoints.load(self.path)
        if stored is None:
            for there in (self.path, self.rejected_path):
                if there.is_symlink():
                    raise _sink_error(there, OSError(errno.ELOOP, LINK))
                if self._size(there):
                    raise no_position(there, self.path)
            return None
        stored.check_same_log(wanted, self.path)
        with self._translated():
            self._lock()
            # Read once more: the process that held the lock may have moved the position since.
            stored = checkpoints.load(self.path) or stored
            stored = self._finish_replacement(stored)
            self._cut(stored)
        self.checkpoint = stored
        return stored

    def start(self, first: Checkpoint) -> None:
        """Begin a new file. The position is stored before the file exists, so a crash leaves no riddle."""
        with self._translated():
            self._lock()
            if os.fstat(self._data).st_size or checkpoints.load(self.path) is not None:
                self.close()
                raise FileBusy(f"{self.path} was just started by another capture", hint="start again")
            first = replace(first, held=new_file(first.next_offset))
            checkpoints.store(self.path, first)
        self.checkpoint = first
        self._crc = self._length = self._rejected_length = self._letters = 0

    @property
    def end(self) -> int | None:
        """The offset before which the range that the file is to hold ends; None where it has none."""
        return None if self.checkpoint is None else self.checkpoint.range_end

    def append(self, data: bytes) -> None:
        """Add bytes that count from the next commit on. Raises SinkError after cutting the file back."""
        try:
            checkpoints.write_all(self._data, data)
        except OSError as error:
            raise self._cut_back(error) from error
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)

    def append_rejected(self, rejected: Rejected) -> RowRejected:
        """Add a dead letter to the rejected file, which is made by the first; return what to tell of it."""
        try:
            self._rejected_length = rejected_files.append(self.rejected_path, letter_of(rejected).dump())
        except OSError as error:
            raise self._cut_back(error) from error
        self._letters += 1
        return rejection_event(rejected, self.rejected_path)

    def commit(self, position: int, columns: tuple[str, ...] = (), state: str = "") -> None:
        """Make all that was appended durable, with the next offset to read and the writer's own ``state``."""
        before = self._current()
        after = replace(
            before,
            next_offset=position,
            length=self._length,
            crc=self._crc,
            rejected_length=self._rejected_length,
            columns=columns,
            state=state,
        )
        if after == before:
            return
        try:
            if after.length != before.length:
                _sync(self._data)
            if self._letters:
                rejected_files.sync(self.rejected_path)
            checkpoints.store(self.path, after)
        except OSError as error:
            raise self._cut_back(error) from error
        self.checkpoint = after
        self._letters = 0

    @property
    def held(self) -> Held | None:
        """Which offsets the file holds; None where an earlier version began it."""
        return None if self.checkpoint is None else self.checkpoint.held

    def skip(self, position: int, state: str = "") -> None:
        """Go on at ``position``: what is before it is in other files. All that was appended must be committed."""
        before = self._current()
        held = before.held
        held = new_file(position) if held is None else held.behind(before.next_offset, position)
        after = replace(before, next_offset=position, held=held, state=state)
        try:
            checkpoints.store(self.path, after)
        except OSError as error:
            raise self._cut_back(error) from error
        self.checkpoint = after

    def empty(self, state: str) -> None:
        """Store a position without data, which was put elsewhere, and cut the file to it; all must be committed.

        A crash after the position is stored leaves data that the next start cuts.
        """
        before = self._current()
        after = replace(before, length=0, crc=0, state=state)
        try:
            checkpoints.store(self.path, after)
        except OSError as error:
            raise self._cut_back(error) from error
        self.checkpoint = after
        try:
            self._truncate()
        except OSError as error:
            raise _sink_error(self.path, error) from error

    def replace_data(self, rewrite: Callable[[BinaryIO, BinaryIO], None], columns: tuple[str, ...]) -> None:
        """Put a rewritten file in the place of the data file; all that was appended must be committed.

        ``rewrite`` reads the old file and writes the new one. The position names the finished new file before
        it takes its place, so a crash at any moment leaves either the old file or the means to finish.
        """
        before = self._current()
        fresh = self.path.with_name(self.path.name + ".rewrite")
        descriptor = -1
        try:
            descriptor = open_own(fresh, os.O_RDWR, like=self.path)
            os.ftruncate(descriptor, 0)
            with self.path.open("rb") as old, os.fdopen(os.dup(descriptor), "wb") as new:
                rewrite(old, new)
            os.fsync(descriptor)
            # The new file is locked before it gets the name, or another capture could take it in between.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            length = os.fstat(descriptor).st_size
            after = replace(before, length=length, crc=_crc_of(fresh, length), columns=columns, replacement=fresh.name)
            checkpoints.store(self.path, after)
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            raise self._cut_back(error) from error
        # From here on there is no way back: the stored position speaks of the new file.
        os.close(self._data)
        self._data = descriptor
        self._length, self._crc = after.length, after.crc
        try:
            self.checkpoint = self._finish_replacement(after)
        except OSError as error:
            self.checkpoint = None
            raise _sink_error(self.path, error) from error
        os.lseek(descriptor, 0, os.SEEK_END)

    def close(self) -> None:
        """Cut what was not committed and release the lock."""
        if self._data >= 0 and self.checkpoint is not None:
            self._truncate()
        if self._data >= 0:
            os.close(self._data)
        self._data = -1

    def _current(self) -> Checkpoint:
        if self.checkpoint is None:
            raise SinkError(f"{self.path} was not started")
        return self.checkpoint

    def _lock(self) -> None:
        while True:
            self._data = self._open(self.path)
            try:
                fcntl.flock(self._data, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(self._data)
                self._data = -1
                raise FileBusy(
                    f"{self.path} is being written by another capture",
                    hint="stop that one, or give another --to",
                ) from error
            # The name may have gone to a rewritten file between open and lock.
            if os.fstat(self._data).st_ino == self.path.stat().st_ino:
                return
            os.close(self._data)

    def _open(self, path: Path) -> int:
        return open_own(path, os.O_RDWR)

    def _finish_replacement(self, stored: Checkpoint) -> Checkpoint:
        fresh = self.path.with_name(self.path.name + ".rewrite")
        if stored.replacement is None:
            fresh.unlink(missing_ok=True)
            return stored
        if fresh.exists():
            fresh.replace(self.path)
            checkpoints.sync_folder(self.path.parent)
            if self.checkpoint is None:
                os.close(self._data)
                self._lock()
        settled = replace(stored, replacement=None)
        checkpoints.store(self.path, settled)
        return settled

    def _cut(self, stored: Checkpoint) -> None:
        """Cut the files to ``stored`` after checking that they hold at least that, unchanged."""
        size = os.fstat(self._data).st_size
        if size < stored.length or _crc_of(self.path, stored.length) != stored.crc:
            raise SinkError(
                f"{self.path} was changed since its position was stored ({counted(size, 'byte')} there, "
                f"{stored.length:,} expected)",
                hint="put it back, or move it and its .position away to start a new capture",
            )
        os.ftruncate(self._data, stored.length)
        os.lseek(self._data, 0, os.SEEK_END)
        self._rejected_length = self._cut_rejected(stored)
        self._length, self._crc, self._letters = stored.length, stored.crc, 0

    def _truncate(self) -> None:
        kept = self._current()
        os.ftruncate(self._data, kept.length)
        os.lseek(self._data, 0, os.SEEK_END)
        if self._letters:
            self._rejected_length = self._cut_rejected(kept)
        self._length, self._crc, self._letters = kept.length, kept.crc, 0

    def _cut_rejected(self, kept: Checkpoint) -> int:
        """Take away the letters from the position on, which will come again; the length of what is left.

        The others are the user's, who may have mended them or thrown them away.
        """
        if not self._size(self.rejected_path):
            return 0
        return rejected_files.cut(
            self.rejected_path,
            lambda letter: letter.offset is None or letter.offset < kept.next_offset,
            kept.rejected_length,
        )

    def _cut_back(self, error: OSError) -> SinkError:
        if self.checkpoint is not None:
            self._truncate()
        return _sink_error(self.path, error)

    def _size(self, path: Path) -> int:
        try:
            return path.lstat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise _sink_error(path, error) from error

    def _translated(self) -> "_Translated":
        return _Translated(self)


class _Translated:
    """Turns the OSErrors of opening into SinkErrors and lets go of what was opened."""

    def __init__(self, file: PositionedFile) -> None:
        self._file = file

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        self._file.checkpoint = None
        self._file.close()
        if isinstance(error, OSError):
            raise _sink_error(self._file.path, error) from error


def _sink_error(path: Path, error: OSError) -> SinkError:
    if error.errno == errno.ELOOP:
        return SinkError(f"{path} is a symbolic link", hint="give the file that it points to")
    if error.errno == errno.ENOSPC:
        return SinkError(
            f"no space left for {path}; it is whole up to its last position",
            hint="make room and start the same command again",
        )
    if error.errno == errno.ENAMETOOLONG:
        return SinkError(f"the file name {path.name[:40]}... is too long", hint="give a shorter one with --to FILE")
    return SinkError(f"{path} can't be written: {error.strerror or error}", hint="give another --to")


def _crc_of(path: Path, length: int) -> int:
    """CRC-32 (as zlib and PNG have it) of the first ``length`` bytes."""
    crc = 0
    with path.open("rb") as file:
        while length > 0 and (block := file.read(min(_READ_SIZE, length))):
            crc = zlib.crc32(block, crc)
            length -= len(block)
    return crc
