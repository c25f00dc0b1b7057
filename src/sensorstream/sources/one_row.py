"""Stations 1-2 for a single row given as text, read by the rules in ``Source.form``."""

import csv
import io
from collections.abc import Mapping
from typing import Any, Literal

from sensorstream.errors import DecodeError, SourceError, UsageError
from sensorstream.serde.json import RowEncoder
from sensorstream.serde.typed_cells import TypedEncoder
from sensorstream.serde.value_rules import rule_of
from sensorstream.sources.cell_rules import of_form
from sensorstream.sources.csv_file import width_reason
from sensorstream.sources.formats import Encoder
from sensorstream.sources.line_files import TextEncoder, WholeEncoder
from sensorstream.sources.object_source import WHOLE, json_cells
from sensorstream.wording import counted


class OneRow:
    """A row read from its text: its cells by their columns, and the value that is published for it.

    ``form`` is that of :class:`~sensorstream.sources.base.Source`; ``fields`` are the columns that will be looked at.
    Raises DecodeError for a text that is no row of that form, and for what is no form.
    """

    def __init__(self, form: Mapping[str, Any], text: str, fields: tuple[str, ...] = ()) -> None:
        kind = form.get("format")
        encoder: Encoder
        if kind == "jsonl":
            columns: tuple[str, ...] = (*dict.fromkeys(fields), WHOLE)
            self.cells = json_cells(text.strip(" \t\r\n"), columns[:-1])
            encoder = WholeEncoder(columns)
        elif kind == "text":
            columns, self.cells = ("text",), [text.removesuffix("\n").removesuffix("\r")]
            encoder = TextEncoder(columns)
        elif kind == "csv":
            columns, self.cells = _csv_row(form, text)
            encoder = RowEncoder(columns)
            if (ruled := of_form(form, columns)) is not None:
                rules, description = ruled
                self.cells = rules(self.cells)
                encoder = TypedEncoder(columns, description.column_types)
        else:
            raise DecodeError("how it was read is not known: its how has no format")
        self.columns = columns
        rule = rule_of(form)
        try:
            made = encoder if rule is None else rule.encoder(columns, encoder, whole=kind == "jsonl")
        except (UsageError, SourceError) as error:
            raise DecodeError(error.message) from error
        self.value = made.encode(self.cells)

    def cell(self, column: str) -> str:
        """The cell of a column. Raises DecodeError where there is no such column."""
        if column not in self.columns:
            raise DecodeError(f"it has no column {column!r}")
        return self.cells[self.columns.index(column)]


def _csv_row(form: Mapping[str, Any], text: str) -> tuple[tuple[str, ...], list[str]]:
    columns, delimiter = form.get("columns"), form.get("delimiter", ",")
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise DecodeError("how it was read is not known: its how has no columns")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise DecodeError("how it was read is not known: the delimiter in its how is not one character")
    quoting: Literal[0, 3] = csv.QUOTE_NONE if form.get("quote") == "none" else csv.QUOTE_MINIMAL
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    try:
        parser = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
        rows = [cells for cells in parser if cells]
    except csv.Error as error:
        reason = "a quote is not closed" if str(error) == "unexpected end of data" else str(error)
        raise DecodeError(reason) from error
    if len(rows) != 1:
        raise DecodeError(f"it is {counted(len(rows), 'row')}, where one is expected")
    if len(rows[0]) != len(columns):
        raise DecodeError(width_reason(len(rows[0]), len(columns)))
    return tuple(columns), rows[0]
