"""Station 5: files with secrets: only their owner can ever read them, and they are never written through a link."""

import os
from contextlib import suppress
from pathlib import Path

from sensorstream.errors import LocalClusterError


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner may enter (0700); one that is there gets that mode.

    Raises LocalClusterError when it can't be made, or is a symbolic link.
    """
    if path.is_symlink():
        raise LocalClusterError(
            f"{path} is a symbolic link; secrets are not written through it", hint="remove the link"
        )
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise LocalClusterError(f"the folder {path} can't be made: {error.strerror}") from error
    return path


def write_private(path: Path, content: bytes | str) -> None:
    """Write a file of mode 0600 whole or not at all; a link in its place is replaced, not followed.

    Raises LocalClusterError when it can't be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        # Made anew, so that nobody can have opened it before, and no link be followed.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask has taken away
            file.write(data)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise LocalClusterError(f"{path} can't be written: {error.strerror}") from error
