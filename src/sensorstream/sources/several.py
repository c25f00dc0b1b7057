"""Station 1: several files that form one source."""

import glob
import re
from pathlib import Path
from typing import Final

from sensorstream.errors import SourceError

_PATTERN: Final = re.compile(r"[*?\[]")
_DIGITS: Final = re.compile(r"([0-9]+)")


def is_pattern(path: str) -> bool:
    """Whether a path is a pattern of paths (``data/*.csv``), and no file has that very name."""
    return bool(_PATTERN.search(path)) and not Path(path).exists()


def files_of(path: str, order: str | None = None) -> list[str]:
    """The files of a source in their order: the path itself, or all files that a pattern stands for.

    ``order`` "time": the one that was written to first comes first. Else by name, numbers in names by their value:
    ``day2.csv`` comes before ``day10.csv``. ``**`` is any number of folders. Raises SourceError where there is none.
    """
    if not is_pattern(path):
        return [path]
    # Path.glob gives no absolute patterns.
    found = [one for one in glob.glob(path, recursive=True) if not Path(one).is_dir()]  # noqa: PTH207
    if not found:
        raise SourceError(f"there is no file {path}", hint="* stands for any characters; check the pattern")
    found.sort(key=_by_name)
    if order == "time":
        try:
            found.sort(key=lambda one: Path(one).stat().st_mtime_ns)
        except OSError as error:
            raise SourceError(f"{error.filename} can't be read: {error.strerror}") from error
    return found


def _by_name(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() and part.isascii() else (0, part) for part in _DIGITS.split(path)]
