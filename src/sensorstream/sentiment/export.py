"""Station 9 for display: export the posts that are shown to a file."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sensorstream.errors import SinkError, UsageError
from sensorstream.sentiment.feed import ScoredPost
from sensorstream.serde import json as json_serde
from sensorstream.serde.csv_cells import csv_text, to_cell

ENDINGS: Final = (".csv", ".jsonl", ".ndjson")


def export(path: Path, posts: Iterable[ScoredPost]) -> int:
    """Store posts in the order given, each with all fields of its record: CSV or JSON Lines, by the name's ending.

    A file that is there is replaced when the new one is whole. Gives how many posts were stored. Raises UsageError for
    another ending, SinkError where the file can't be written.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"{path.name} can't be exported to", hint=f"its name ends in one of {', '.join(ENDINGS)}")
    rows = [post.row for post in posts]
    if ending == ".csv":
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines = [[to_cell(name) for name in columns], *([to_cell(row.get(name)) for name in columns] for row in rows)]
        data = csv_text(lines).encode("utf-8", "backslashreplace") if columns else b""
    else:
        data = b"".join(json_serde.encode(row) + b"\n" for row in rows)
    try:
        _replace(path, data)
    except OSError as error:
        raise SinkError(f"{path} can't be written: {error.strerror or error}") from error
    return len(rows)


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
