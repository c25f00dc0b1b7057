"""Station 1: rotated files: the one that was read, found by its content, and those after it.

Rotation renames the file and makes a new one of its name, or copies it and cuts it to nothing. The old ones stay beside
it: ``app.log.1`` (a higher number is older), ``app.log.2026-11-26`` or ``app-20261126.log`` (a later date is newer).
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from sensorstream.errors import UsageError

NOTHING: Final = hashlib.sha256().hexdigest()
_READ_BYTES: Final = 1 << 20
_MARK: Final = re.compile(r"[._-](\d[\dT:._-]*)")
_LONGEST_NUMBER: Final = 5
"""A longer mark is a date."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of a file, as far as it was published: ``size`` bytes and their SHA-256; and the file's inode."""

    size: int = 0
    sha256: str = NOTHING
    inode: int | None = None


def is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether both are the same file, whatever its name."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def status_of(path: Path) -> os.stat_result | None:
    """The status of a regular file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def rotated(path: Path) -> list[Path]:
    """The files beside ``path`` that its rotation has made, the oldest first; packed ones are none of them."""
    found: list[tuple[bool, int, str, Path]] = []
    for file in _files_of(path.parent):
        mark = _mark(path, file.name)
        if mark is None:
            continue
        is_number = mark.isdecimal() and len(mark) <= _LONGEST_NUMBER
        found.append((is_number, -int(mark) if is_number else 0, "" if is_number else mark, file))
    return [file for *_, file in sorted(found)]


def _mark(path: Path, name: str) -> str | None:
    for begin, end in ((path.name, ""), (path.stem, path.suffix)):
        if name.startswith(begin) and name.endswith(end) and len(name) > len(begin) + len(end):
            match = _MARK.fullmatch(name[len(begin) : len(name) - len(end)])
            if match is not None:
                return match[1]
    return None


def _files_of(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from [folder / entry.name for entry in entries if entry.is_file()]
    except OSError:
        return


class Found(NamedTuple):
    """A file, and which one it was when it was found: its name may be another one's a moment later.

    ``status`` None: it was not there.
    """

    path: Path
    status: os.stat_result | None


def successor(path: Path, left: os.stat_result) -> Found:
    """The file to be read after the one that is ``left``: ``path``, or one that came and was rotated in between."""
    named = status_of(path)
    files = rotated(path)
    ours = next((at for at, file in enumerate(files) if _is(file, left)), len(files))
    for file in files[ours + 1 :]:
        status = status_of(file)
        # Whatever has come after ours was written to after it; a name alone may deceive.
        if status is not None and status.st_size and status.st_mtime_ns >= left.st_mtime_ns:
            return Found(file, status)
    return Found(path, named)


def _is(file: Path, known: os.stat_result) -> bool:
    status = status_of(file)
    return status is not None and is_same(status, known)


def find(path: Path, prefix: Prefix) -> Found:
    """The file that begins with what was published: ``path``, or the one that it was renamed or copied to.

    Raises UsageError, with the reason, where there is none.
    """
    status = status_of(path)
    if status is not None and status.st_ino == prefix.inode and begins_with(path, prefix):
        return Found(path, status)
    beside = rotated(path)
    folders = dict.fromkeys((path.parent, path.resolve().parent))
    named_otherwise = [file for folder in folders for file in _files_of(folder) if file not in beside and file != path]
    for file in (*reversed(beside), *named_otherwise):
        known = status_of(file)
        if known is not None and known.st_ino == prefix.inode and begins_with(file, prefix):
            return Found(file, known)
    if (status is None and not prefix.size) or (status is not None and begins_with(path, prefix)):
        return Found(path, status)
    for file in reversed(beside):
        known = status_of(file)
        if begins_with(file, prefix):
            return Found(file, known)
    difference = _difference(path, status, prefix)
    raise UsageError(
        f"{path} can't be followed further: {difference}, and no file beside it begins with them",
        hint="put the old file back into its folder, uncompressed, or publish the new one from its beginning "
        "with --restart",
    )


def find_copy(path: Path, prefix: Prefix, but: os.stat_result) -> Path | None:
    """The copy of a file that was cut to nothing: it begins with what was read of it, which is something."""
    for file in reversed(rotated(path)):
        if prefix.size and not _is(file, but) and begins_with(file, prefix):
            return file
    return None


def _difference(path: Path, status: os.stat_result | None, prefix: Prefix) -> str:
    if status is None:
        return f"it is not there, and {prefix.size} bytes of it were published"
    if status.st_size < prefix.size:
        return f"it has {status.st_size} bytes, and {prefix.size} were published"
    return f"its first {prefix.size} bytes are not those that were published"


def begins_with(file: Path, prefix: Prefix) -> bool:
    """Whether the file begins with these bytes; one that can't be read does not."""
    status = status_of(file)
    if status is None or status.st_size < prefix.size:
        return False
    digest = hashlib.sha256()
    left = prefix.size
    try:
        with file.open("rb") as opened:
            while left and (some := opened.read(min(_READ_BYTES, left))):
                digest.update(some)
                left -= len(some)
    except OSError:
        return False
    return not left and digest.hexdigest() == prefix.sha256
