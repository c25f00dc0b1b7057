"""Files and folders that the program creates for data: private to their owner, never behind a symbolic link.

What is made anew has mode 0600, a folder 0700; the umask can only take more away. In a folder with the set-group-ID bit
that its group may read (``chmod g+rxs``), which says that it is a group's, files get 0640 and folders 0750. What is
there already keeps its mode, also when a new file takes its place.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)
_GROUPS: Final = stat.S_ISGID | stat.S_IRGRP | stat.S_IXGRP
LINK: Final = "it is a symbolic link, which is not followed: give the file that it points to"


def open_own(path: Path, flags: int, *, like: Path | None = None) -> int:
    """The descriptor of a file of ours, made where it is missing; ``like`` is the file whose place it is to take.

    Raises OSError, for a symbolic link one that says so.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | _NO_LINKS, 0o640 if _is_a_groups(path.parent) else 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise OSError(errno.ELOOP, LINK, str(path)) from error
        raise
    if like is not None:
        # Where it can't have that mode, it has that of a new file.
        with suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(like.stat().st_mode) & 0o666)
    return descriptor


@contextmanager
def durable(path: Path, *, like: Path | None = None) -> Iterator[BinaryIO]:
    """A new file of ours that is on the disk when the block is left; see :func:`open_own`. Raises OSError."""
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_TRUNC, like=like), "wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` in place of what is at ``path``, whole or not at all; see :func:`durable`. Raises OSError."""
    # Nobody can have put a link there before, and the name is not longer than the target's may be.
    beside = path.with_name(f".{path.name[:20]}.{secrets.token_hex(8)}")
    try:
        with durable(beside, like=path if path.exists() else None) as out:
            out.write(content)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing; what is there keeps its mode.

    Raises OSError: FileExistsError where something else has its name, NotADirectoryError where that stands above it.
    """
    wanted = path
    missing = []
    while not path.is_dir():
        missing.append(path)
        if path == path.parent:
            break
        path = path.parent
    for folder in reversed(missing):
        try:
            folder.mkdir(mode=0o750 if _is_a_groups(folder.parent) else 0o700)
        except FileExistsError:
            if folder.is_dir():
                continue
            # What has just been deleted is no hindrance: whoever tries again may have the name.
            if folder != wanted and folder.exists():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
            raise


def _is_a_groups(folder: Path) -> bool:
    try:
        return folder.stat().st_mode & _GROUPS == _GROUPS
    except OSError:
        return False
