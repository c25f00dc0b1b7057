"""Stations 7 and 9: a decoded value as a cell of a captured CSV file, and back.

A text that a spreadsheet would run as a formula (OWASP, "CSV Injection": it begins with ``=``, ``+``, ``-``,
``@``, tab or carriage return) is written with an apostrophe in front; numbers such as ``-3.2`` never are. A
text that begins with apostrophes and then such a character gets one more, so that the way back is exact.
"""

import csv
import io
import re
from collections.abc import Sequence
from typing import Final

from sensorstream.records import Json, Number, Value

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED: Final = re.compile(r"'+[=+\-@\t\r]")
_FIRST: Final = frozenset("'=+-@\t\r")


def to_cell(value: Value, raw: bool = False) -> str:
    """The cell for a value, in the value's own letters; missing is empty. ``raw``: no apostrophe in front."""
    if value is None:
        return ""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if raw or not value or value[0] not in _FIRST or type(value) is Number or type(value) is Json:
        return str(value)
    return "'" + value if _FORMULA.match(value) else value


def source_cell(cell: str, raw: bool = False) -> str:
    """The source's cell for a captured one: the inverse of :func:`to_cell` for what came from CSV."""
    if not raw and cell.startswith("'") and _ESCAPED.match(cell):
        return cell[1:]
    return cell


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as CSV text (RFC 4180 with ``\\n`` as the line end), whatever the cells hold."""
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    plain.writerows(rows)
    if "\r" not in text.getvalue():
        return text.getvalue()
    # Before Python 3.13 the writer does not quote a bare carriage return, at which every reader ends the row.
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        writer = quoting if any("\r" in cell for cell in row) else plain
        writer.writerow(row)
    return text.getvalue()
