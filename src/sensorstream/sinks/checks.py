"""Station 9: whether a target can be written, checked before anything is started and without creating anything."""

import os
from pathlib import Path
from typing import Final

from sensorstream.errors import SinkError
from sensorstream.sinks import checkpoint
from sensorstream.sinks.rejected import beside

ELSEWHERE: Final = "give another --to"


def check_folder(folder: Path, hint: str = ELSEWHERE) -> None:
    """Refuse a folder that can't be written; one that is missing is made later. Raises SinkError."""
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise SinkError(f"{nearest} is a file, not a folder", hint=hint)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise SinkError(f"{nearest} can't be written: permission denied", hint=hint)


def check_file(path: Path, hint: str = ELSEWHERE, *, make_folder: bool = True) -> None:
    """Refuse a file that can't be written; ``make_folder``: its folder is made where it is missing.

    Raises SinkError.
    """
    if path.is_symlink():
        raise SinkError(f"{path} is a symbolic link", hint="give the file that it points to")
    if path.is_dir():
        raise SinkError(f"{path} is a folder, not a file", hint=hint)
    if not make_folder and not path.parent.exists():
        raise SinkError(f"{path} can't be written: there is no folder {path.parent}", hint=hint)
    check_folder(path.parent, hint)
    if path.exists() and not os.access(path, os.W_OK):
        raise SinkError(f"{path} can't be written: permission denied", hint=hint)


def check_captured(path: Path) -> None:
    """Refuse a captured file, or its rejected file, that can't be written or is somebody else's. Raises SinkError."""
    check_file(path)
    check_file(beside(path))
    if checkpoint.load(path) is None:
        for there in (path, beside(path)):
            if there.exists() and there.stat().st_size:
                raise no_position(there, path)


def no_position(there: Path, path: Path) -> SinkError:
    """The error of a file that is there and is not known to be ours."""
    return SinkError(
        f"{there} is there already and {path} has no position file", hint="move it away or give another --to"
    )
