"""Stations 1-2: what the sources share whose rows are objects: JSON in one line or in several, or made by a plug-in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sensorstream.errors import DecodeError
from sensorstream.records import Value
from sensorstream.serde.json import decode
from sensorstream.sources.line_source import MAX_ROW, LineSource

WHOLE: Final = "(the whole object)"
"""The name of the column that holds the object itself."""


class ObjectSource(LineSource):
    """A source of objects.

    The columns are those of ``fields``, whose cells are the texts of the object's own fields of these names (a number
    in its letters, ``true`` or ``false``, nested JSON as it stands; empty where the object has none, or null), and
    last the whole object under :data:`WHOLE`. The other options are those of
    :class:`~sensorstream.sources.line_source.LineSource`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fields: Sequence[str] = (),
        encoding: str = "utf-8",
        start_row: int = 0,
        max_row: int = MAX_ROW,
    ) -> None:
        super().__init__(path, encoding=encoding, start_row=start_row, max_row=max_row)
        self._fields = tuple(dict.fromkeys(fields))
        self.columns = (*self._fields, WHOLE)

    @property
    def form(self) -> dict[str, str | list[str]]:
        """The format of a row, ``jsonl``: an object in one line."""
        return {"format": "jsonl"}

    def text_of(self, cells: Sequence[str]) -> str:
        """The object itself."""
        return cells[-1]


def json_cells(text: str, fields: Sequence[str]) -> list[str]:
    """The cells of an object in one line: its ``fields``, and last the whole. Raises DecodeError."""
    try:
        values = decode(text.encode())
    except UnicodeEncodeError as error:
        raise DecodeError(f"character {error.start} can't be written in UTF-8") from error
    return [*(_cell(name, values.get(name)) for name in fields), text]


def _cell(name: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # JSON can say "\ud800", which is half a character and no text.
        raise DecodeError(f"its {name} holds half a surrogate pair") from error
    return str(value)
