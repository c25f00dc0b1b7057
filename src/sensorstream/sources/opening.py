"""Station 1: a source's bytes, from a file, a pipe or standard input."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sensorstream.errors import SourceError
from sensorstream.sources.compressed import decompressed, is_compressed
from sensorstream.wording import counted


class Opened(NamedTuple):
    """An open source. ``file`` is to be closed; None for standard input, which is not ours to close.

    ``read_some(n)`` gives up to n bytes, those that are at hand, waiting while there are none; none at the end.
    ``size`` is in bytes, None for a pipe and for what is decompressed.
    """

    file: BinaryIO | None
    read_some: Callable[[int], bytes]
    size: int | None


def open_bytes(path: str | Path, name: str) -> Opened:
    """Open ``path`` ("-": standard input), decompressed; ``name`` is what errors call it. Raises SourceError."""
    opened = open_stored(path, name)
    if opened.file is None or not is_compressed(path):
        return opened
    held = decompressed(path, name, opened.file)
    return Opened(held, held.read, None)


def open_stored(path: str | Path, name: str) -> Opened:
    """The same as it is stored: compressed where it is."""
    if name == "stdin":
        return Opened(None, _stdin_reader(), None)
    try:
        file = Path(path).open("rb", buffering=0)  # noqa: SIM115  # the source closes it
    except FileNotFoundError as error:
        raise SourceError(
            f"there is no file {name}",
            hint="name it with --source TOPIC=FILE, or make one with: sensorstream samples write",
        ) from error
    except IsADirectoryError as error:
        raise SourceError(f"{name} is a folder", hint="name the file in it") from error
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error
    status = os.fstat(file.fileno())  # not the path's: it may be another file's by now, or nobody's

    def read_some(size: int) -> bytes:
        try:
            return file.read(size) or b""
        except (OSError, ValueError) as error:
            raise unreadable(name, error) from error

    return Opened(file, read_some, status.st_size if stat.S_ISREG(status.st_mode) else None)


def _stdin_reader() -> Callable[[int], bytes]:
    """Reads what is there: rows typed into a pipe go out at once."""
    stdin = sys.stdin.buffer
    try:
        number = stdin.fileno()
    except OSError:  # put in place by another program's code
        return getattr(stdin, "read1", stdin.read)
    # Not through the buffer: a thread that waits holds its lock, and the interpreter could not end without it.
    return lambda size: os.read(number, size)


def too_short(name: str, rows: int, first_row: int) -> SourceError:
    """The error of a source that ends before the row that it was to begin with."""
    has = counted(rows, "row")
    return SourceError(
        f"{name} has {has}, there is no row {first_row} to begin at", hint="rows count from 0: look at --from-row"
    )


def unreadable(name: str, error: Exception) -> SourceError:
    """The error of a file that can't be opened or read."""
    reason = getattr(error, "strerror", None) or str(error)
    return SourceError(f"{name} can't be read: {reason}", hint="check the path and its permissions")
