"""Station 1: the bytes of a growing file, in whole lines, until another file replaces it.

A line is whole when its LF or CRLF is there. The file is looked at every POLL_S. It stays open, so that it can be read
to its end when it was renamed. It is over

- when another file of its name has something in it and this one has not grown for LAST_S: its writer may need a moment
  to notice, and what is written until then belongs to it, also a last line without an end;
- when it was truncated. Where a rotated copy of it is found, the copy is read to its end first.
"""

import hashlib
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, Literal

from sensorstream.errors import SourceError
from sensorstream.events import Listener, Notice
from sensorstream.sources.opening import Opened, open_bytes, unreadable
from sensorstream.sources.rotation import Found, Prefix, find_copy, is_same, successor
from sensorstream.wording import counted

POLL_S: Final = 0.1
LAST_S: Final = 1.0
_MAX_LINE_BYTES: Final = 1 << 23
"""A line of which so much is there is handed out before its end comes: its reader rejects it."""
_SCAN_BYTES: Final = 1 << 16
_SEAM_BYTES: Final = 1 << 10


class FollowedFile:
    """One file of a followed name. ``open_source`` is for the source that reads it, the rest for its owner.

    ``path`` is the name. ``find`` says what to read, where that may be another file, rotated already. ``keep``:
    :meth:`prefix` will be asked for. ``left`` is the file that was read before.
    """

    def __init__(
        self,
        path: Path,
        listener: Listener,
        *,
        find: Callable[[], Found] | None = None,
        keep: bool = False,
        left: "FollowedFile | None" = None,
    ) -> None:
        self.path = path
        self.waiting = False
        """Whether everything that was there has been read."""
        self.half_line = 0
        """How many bytes of a line without an end wait for the rest."""
        self.over = False
        """Whether all of it was read and another file is to be read now."""
        self._find = find or (lambda: Found(path, None))
        self._read_from = path
        self._listener = listener
        self._keep = keep
        self._left = left
        self._closing = threading.Event()
        self._is_left_alone = False
        self._changed = threading.Condition()
        self._file: BinaryIO | None = None
        self._status: os.stat_result | None = None
        self._told: set[str] = set()
        self._offset = 0  # of the first byte that was not handed out
        self._whole_to = 0  # up to here all lines are whole, or may be handed out in any case
        self._size = self._mtime = 0  # when it was looked at last
        self._seam = b""  # the bytes before _offset
        self._grown_at = 0.0
        self._is_last_look = False
        self._digest = hashlib.sha256()
        # What was handed out and is not published yet, and before it: how many bytes and lines, and their digest.
        self._pieces: deque[bytes] = deque()
        self._before = (0, 0, hashlib.sha256())
        self._lock = threading.Lock()

    # For the source that reads it

    def open_source(self, _path: str | Path, _name: str) -> Opened:
        """In place of the source's own way to open its file."""
        return Opened(None, self._read_some, None)

    def must_wait(self) -> bool:
        """Whether no whole line is known to be there."""
        return self._offset >= self._whole_to

    def _read_some(self, size: int) -> bytes:
        """Up to ``size`` bytes of whole lines; waits while there are none. Nothing when it is over or closed."""
        while not self._closing.is_set():
            if self._offset >= self._whole_to:
                self._look()
            if self._offset < self._whole_to:
                data = self._read_at(self._offset, min(size, self._whole_to - self._offset))
                if data:
                    self._hand_out(data)
                    return data
            if self._is_last_look:
                self.over = True
                return b""
            self._wait()
        return b""

    def _wait(self) -> None:
        with self._changed:
            self.waiting = True
            self._changed.notify_all()
        self._closing.wait(POLL_S)

    def _hand_out(self, data: bytes) -> None:
        with self._lock:
            self.waiting = False
            self._offset += len(data)
            self._digest.update(data)
            self._seam = (self._seam + data)[-_SEAM_BYTES:]
            if self._keep:
                self._pieces.append(data)

    # Looking at the file

    def _look(self) -> None:
        """Find out what has become of the file since the last look. Raises SourceError."""
        if self._file is None and not self._open():
            return
        assert self._file is not None  # noqa: S101  # for the type checker
        try:
            status = self._status = os.fstat(self._file.fileno())
        except OSError as error:
            raise unreadable(str(self._read_from), error) from error
        changed = (status.st_size, status.st_mtime_ns) != (self._size, self._mtime)
        if changed and (status.st_size < self._offset or not self._seam_holds()):
            self._was_truncated(status)
            return
        if status.st_size > self._size:
            self._grown_at = time.monotonic()
        if changed:
            self._size, self._mtime = status.st_size, status.st_mtime_ns
            self._whole_to = max(self._offset, self._last_line_end())
            self.half_line = self._size - self._whole_to
            if self.half_line > _MAX_LINE_BYTES:
                self._whole_to = self._size
        if self._offset >= self._whole_to:
            self._look_at_name(status)
        self._look_at_left()

    def _open(self) -> bool:
        try:
            while self._file is None:
                self._read_from, status = self._find()
                file = open_bytes(self._read_from, str(self._read_from)).file
                assert file is not None  # noqa: S101  # for the type checker
                if status is None or is_same(os.fstat(file.fileno()), status):
                    self._file = file
                else:
                    file.close()  # it was rotated between the two
        except SourceError as error:
            is_missing = isinstance(error.__cause__, FileNotFoundError) and self._read_from == self.path
            if not is_missing or not self.path.parent.is_dir():
                raise
            self._tell_once(f"there is no file {self.path} yet: waiting for it")
            return False
        self._grown_at = time.monotonic()
        return True

    def _last_line_end(self) -> int:
        """The offset behind the last line end."""
        end = self._size
        while end > self._offset:
            begin = max(self._offset, end - _SCAN_BYTES)
            at = self._read_at(begin, end - begin).rfind(b"\n")
            if at >= 0:
                return begin + at + 1
            end = begin
        return self._offset

    def _seam_holds(self) -> bool:
        """Whether the bytes that were read last are still where they were."""
        return self._read_at(self._offset - len(self._seam), len(self._seam)) == self._seam

    def _look_at_name(self, status: os.stat_result) -> None:
        """Whether another file has the name now, and this one is not written any more."""
        try:
            named = self.path.stat()
        except FileNotFoundError:
            self._tell_once(f"{self.path} is gone: what is still written to it is read, and a new one is waited for")
            return
        except OSError:
            return  # what can't be looked at now is looked at again
        if is_same(named, status) or not named.st_size:
            return
        if self._tell_once(f"{self.path} was rotated: the old file is read to its end, then the next one"):
            self._grown_at = time.monotonic()
        if time.monotonic() - self._grown_at >= LAST_S:
            self._whole_to = self._size
            self._is_last_look = True

    def _was_truncated(self, status: os.stat_result) -> None:
        copy = find_copy(self.path, Prefix(self._offset, self._digest.hexdigest()), status)
        what = f"{self.path} was truncated"
        if copy is not None:
            self._tell_once(f"{what}: {copy.name} is read to its end, then {self.path.name} from its first line")
            self.close_file()
            self._find, self._size, self._mtime = (lambda: Found(copy, None)), 0, 0
            return
        half = f"; so is a line without an end, {counted(self.half_line, 'byte')}" if self.half_line else ""
        self._tell_once(
            f"{what}: it is read from its first line again, what was not read before is gone{half}", "warning"
        )
        self._whole_to, self.half_line, self._is_last_look = self._offset, 0, True

    def _look_at_left(self) -> None:
        """Say so when something comes into the file that was left."""
        left = self._left
        if left is None or left._file is None:
            return
        try:
            late = os.fstat(left._file.fileno()).st_size - left._size
        except OSError:
            late = 0
        if late > 0:
            what = f"not published: {counted(late, 'byte')} written to the rotated {self.path.name}"
            self._tell_once(f"{what} when the next one had been begun", "warning")
            left.close_file()

    def _read_at(self, offset: int, size: int) -> bytes:
        assert self._file is not None  # noqa: S101  # for the type checker
        try:
            return os.pread(self._file.fileno(), size, offset)
        except OSError as error:
            raise unreadable(str(self._read_from), error) from error

    def _tell_once(self, text: str, level: Literal["info", "warning"] = "info") -> bool:
        new = text not in self._told
        if new:
            self._told.add(text)
            self._listener(Notice(text, level))
        return new

    # For its owner

    @property
    def handed_out(self) -> int:
        """How many bytes the source has got."""
        return self._offset

    def wait_until_waiting(self, or_else: threading.Event) -> None:
        """Wait until everything that is there was read, the event is set, or nobody reads any more."""
        with self._changed:
            while not self.waiting and not or_else.is_set() and not self._is_left_alone:
                self._changed.wait(POLL_S)

    def prefix(self, line: int | None) -> Prefix:
        """The beginning of the file before this line, counted from 1; None: all that was handed out.

        Asked for with lines that never grow less.
        """
        with self._lock:
            size, lines, digest = self._before
            while self._pieces:
                piece = self._pieces[0]
                count = _line_ends(piece)
                if line is not None and lines + count >= line:
                    break
                digest.update(piece)
                size, lines = size + len(piece), lines + count
                self._pieces.popleft()
            self._before = (size, lines, digest)
            if line is not None and self._pieces:
                head = self._pieces[0][: _nth_line(self._pieces[0], max(0, line - 1 - lines))]
                size, digest = size + len(head), digest.copy()
                digest.update(head)
            inode = None if self._status is None else self._status.st_ino
            return Prefix(size, digest.hexdigest(), inode)

    def next_file(self) -> Found:
        """What is to be read after this one."""
        return Found(self.path, None) if self._status is None else successor(self.path, self._status)

    def keep_open(self) -> "FollowedFile":
        """Itself, for the file that is read after it; the one that was read before is closed."""
        left, self._left = self._left, None
        if left is not None:
            left.close_file()
        return self

    def close(self) -> None:
        """Read no more; the file stays open until :meth:`close_file`."""
        self._closing.set()
        self.wake()

    def wake(self) -> None:
        """Nobody reads any more: let who waits look again."""
        with self._changed:
            self._is_left_alone = True
            self._changed.notify_all()

    def close_file(self) -> None:
        """Close the file, and the one before it; may be called twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        if self._left is not None:
            self._left.close_file()


_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


def _line_ends(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def _nth_line(data: bytes, lines: int) -> int:
    """Where the data go on behind so many lines."""
    if not lines:
        return 0
    return next(islice(_LINE_END.finditer(data), lines - 1, None)).end()
