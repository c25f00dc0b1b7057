"""Stations 1-2: what the sources whose rows are JSON objects of several lines, or made by a plug-in, share."""

from collections.abc import Sequence
from pathlib import Path

from sensorstream.sources.line_files import WHOLE
from sensorstream.sources.line_source import MAX_ROW, LineSource


class ObjectSource(LineSource):
    """A source of objects; the columns are those of :class:`~sensorstream.sources.line_files.JsonlSource`.

    The other options are those of :class:`~sensorstream.sources.line_source.LineSource`.
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
