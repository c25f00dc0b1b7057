"""Station 9: captured files in a plug-in's format: one line per record, with a position, exactly once.

A plug-in is a function, registered in the entry-point group ``sensorstream.sinks`` under the name of its format, which
is also the ending of its files::

    def line(row: Mapping[str, Any], record: ConsumedRecord) -> str: ...

It is given a record and its row (plain Python values: a number is an int or a float), and returns the line, without a
line end; a record that it raises ValueError for goes to the rejected file. The same record must always give the same
line. Files, positions, locks and what happens after a crash are not its concern.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from sensorstream import plug_ins
from sensorstream.errors import DecodeError
from sensorstream.events import Listener, ignore
from sensorstream.records import ConsumedRecord
from sensorstream.serde.json import encode
from sensorstream.serde.row_maker import PLAIN, RowMaker
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.jsonl_file import JsonlFileSink

LineWriter: TypeAlias = Callable[[Mapping[str, Any], ConsumedRecord], str]
"""What a plug-in is."""


class PlugInFileSink(JsonlFileSink):
    """Captures the records of one partition as the lines that a plug-in makes of them."""

    def __init__(
        self, write_line: LineWriter, path: Path, log: Checkpoint, listener: Listener = ignore, rows: RowMaker = PLAIN
    ) -> None:
        super().__init__(path, log, listener, rows)
        self._write_line = write_line

    def _line(self, record: ConsumedRecord) -> bytes:
        row = json.loads(encode(self._maker.row(record)))
        try:
            line = self._write_line(row, record)
            if not isinstance(line, str) or "\n" in line or "\r" in line:
                raise ValueError("the plug-in did not return a line")
            return line.encode()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise DecodeError(
                reason if isinstance(error, ValueError) and reason else f"{type(error).__name__}: {reason}"
            ) from error


def open_plug_in(name: str, path: Path, log: Checkpoint, listener: Listener, rows: RowMaker) -> PlugInFileSink:
    """The sink of the plug-in of this name. Raises UsageError where it can't be loaded."""
    return PlugInFileSink(plug_ins.load(plug_ins.SINKS, name), path, log, listener, rows)
