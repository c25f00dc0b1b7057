"""The layout of a file, detected from its beginning: format, encoding, delimiter, header, comments, number marks.

The guess is a :class:`~sensorstream.sources.formats.SourceForm`, so what reads the file afterwards is what replays it.
The delimiter is the one that cuts the most lines, the header included, into the same number of cells.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sensorstream.description import BLANKS
from sensorstream.inspection.columns import WORDS
from sensorstream.serde.json import is_number
from sensorstream.sources.formats import SourceForm
from sensorstream.sources.opening import open_bytes

SAMPLE_BYTES: Final = 1 << 18
"""So much of a file is looked at for its dialect."""
_DELIMITERS: Final = (",", ";", "\t", "|")
_BYTE_ORDERS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMENTS: Final = ("#", "%", "//")
_EXTRA_HEADERS: Final = 4
_AGREE: Final = 0.9
_YEAR: Final = re.compile(r"(?:1[89]|20)\d\d")
_COMMA_NUMBER: Final = re.compile(r"[+-]?\d+,\d+")
_POINT_NUMBER: Final = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?")
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d+")
_MARKED_NUMBER: Final = re.compile(r"[+-]?\d{1,3}(?:[.,]?\d{3})*(?:[.,]\d+)?")


def guess(path: str) -> SourceForm:
    """How the file is written, as far as it differs from the defaults. Raises SourceError, UsageError."""
    name = "stdin" if path == "-" else path
    opened = open_bytes(path, name)
    try:
        pieces, size = [], 0
        while size < SAMPLE_BYTES and (piece := opened.read_some(SAMPLE_BYTES - size)):
            pieces.append(piece)
            size += len(piece)
    finally:
        if opened.file is not None:
            opened.file.close()
    data = b"".join(pieces)
    encoding, text = _decoded(data, whole=size < SAMPLE_BYTES)
    form = SourceForm(encoding=encoding)
    kind = form.of(path)
    if kind == "csv":
        kind = _kind_of_content(text)
    if kind != form.of(path):
        form = replace(form, format=kind)
    if kind in ("csv", "tsv"):
        form = replace(form, **_table(_lines(text, whole=size < SAMPLE_BYTES), kind))
    return form


def _decoded(data: bytes, *, whole: bool) -> tuple[str, str]:
    for mark, encoding in _BYTE_ORDERS:
        if data.startswith(mark):
            return encoding, data.decode(encoding, "ignore").removeprefix("\ufeff")
    try:
        return "utf-8", codecs.getincrementaldecoder("utf-8")("strict").decode(data, final=whole)
    except UnicodeDecodeError:
        return "latin-1", data.decode("latin-1")


def _kind_of_content(text: str) -> str:
    """What a file without a telling ending holds."""
    start = text.lstrip()
    if start.startswith("{"):
        first = start.partition("\n")[0].rstrip()
        return "jsonl" if first.endswith("}") else "json"
    return "json" if re.match(r"\[\s*[{\]]", start) else "csv"


def _lines(text: str, *, whole: bool) -> list[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    # The last one may be cut off.
    return lines if whole or len(lines) == 1 else lines[:-1]


def _table(lines: Sequence[str], kind: str) -> dict[str, Any]:
    """The fields of a description of these lines, where they are not the defaults."""
    found: dict[str, Any] = {}
    comment = _comment(lines, kind)
    if comment is not None:
        found["comment"] = comment
    numbered = [
        (number, line)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not (comment is not None and line.startswith(comment))
    ]
    if not numbered:
        return found
    delimiter, quoted = ("\t", False) if kind == "tsv" else (_delimiter([line for _, line in numbered]), True)
    rows = [(number, _cut(line, delimiter, quoted=quoted)) for number, line in numbered]
    width = Counter(len(cells) for _, cells in rows).most_common(1)[0][0]
    at = next((place for place, (_, cells) in enumerate(rows) if len(cells) == width), 0)
    if at:
        found["skip_lines"] = rows[at][0] - 1
    if delimiter == BLANKS:
        found["delimiter"] = BLANKS
    elif kind != "tsv" and delimiter != "," and (at or "," in numbered[0][1]):
        found["delimiter"] = delimiter  # the header's own delimiter is found again by itself
    table = [(number, cells) for number, cells in rows[at:] if len(cells) == width]
    head, body = table[0][1], table[1:]
    if width > 1 and not head[-1].strip() and body and all(not cells[-1].strip() for _, cells in body):
        found["trailing_delimiter"] = True
        width -= 1
        head, body = head[:-1], [(number, cells[:-1]) for number, cells in body]
    numeric = _numeric_columns([cells for _, cells in body], width)
    if any(_like_number(cell) and not _YEAR.fullmatch(cell) for cell in head):
        found["no_header"] = True
    else:
        extra: list[int] = []
        for number, cells in body[:_EXTRA_HEADERS]:
            filled = [cells[column] for column in numeric if cells[column].strip()]
            # A first row whose numbers are all missing is a row, not one of units.
            letters = [cell for cell in filled if not _like_number(cell) and cell.strip() not in WORDS]
            told = 2 * len(letters) >= len(numeric) or bool(extra and not filled)
            # A row of data has a digit somewhere, in its time if nowhere else.
            if not numeric or not told or any(letter.isdigit() for cell in cells for letter in cell):
                break
            extra.append(number)
        if extra:
            found["units_line"] = tuple(extra)
        body = body[len(extra) :]
        if any(cells == head for _, cells in body):
            found["repeated_header"] = True
            body = [(number, cells) for number, cells in body if cells != head]
    return found | _marks([cells for _, cells in body], delimiter)


def _comment(lines: Sequence[str], kind: str) -> str | None:
    """The mark of comments: lines that begin with it stand at the head, or are cut otherwise than the others."""
    filled = [line for line in lines if line.strip()]
    for mark in _COMMENTS:
        marked = [line for line in filled if line.startswith(mark)]
        others = [line for line in filled if not line.startswith(mark)]
        if not marked or not others:
            continue
        delimiter = "\t" if kind == "tsv" else _delimiter(others)
        width = Counter(len(_cut(line, delimiter, quoted=kind != "tsv")) for line in others).most_common(1)[0][0]
        like = sum(len(_cut(line, delimiter, quoted=kind != "tsv")) == width for line in marked)
        if filled[0].startswith(mark) or 2 * like < len(marked):
            return mark
    return None


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter that most lines agree on, the comma where none is any good."""
    best, score = ",", (0.0, 0)
    for mark in (*_DELIMITERS, BLANKS):
        widths = Counter(len(_cut(line, mark, quoted=True)) for line in lines)
        width, agreeing = widths.most_common(1)[0]
        if width == 1:
            continue
        share = agreeing / len(lines)
        if share < _AGREE and agreeing < len(lines) - 20:
            continue
        # Of two on which the same lines agree, the one that also cuts the first of them is the delimiter; blanks come
        # last, as texts and times have them, too.
        here = (round(share, 2) - (0.05 if mark == BLANKS else 0), width)
        if here > score:
            best, score = mark, here
    return best


def _cut(line: str, delimiter: str, *, quoted: bool) -> list[str]:
    if delimiter == BLANKS:
        return line.split()
    if not quoted:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return [line]


def _like_number(cell: str) -> bool:
    return is_number(cell) or bool(_MARKED_NUMBER.fullmatch(cell.strip())) or bool(_POINT_NUMBER.fullmatch(cell))


def _numeric_columns(body: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that hold numbers in most of the rows."""
    return [
        column for column in range(width) if 2 * sum(_like_number(cells[column]) for cells in body) > max(1, len(body))
    ]


def _marks(body: Sequence[Sequence[str]], delimiter: str) -> dict[str, str]:
    """The decimal comma and the mark of thousands: there are columns whose cells are all numbers if it is one."""
    if delimiter == "," or not body:
        return {}
    commas = grouped = 0
    for column in range(min(map(len, body))):
        cells = [row[column].strip() for row in body]
        filled = [cell for cell in cells if cell and cell not in WORDS]
        if all(_COMMA_NUMBER.fullmatch(cell) or _GROUPED.fullmatch(cell) or is_number(cell) for cell in filled):
            grouped += sum(bool(_GROUPED.fullmatch(cell)) for cell in filled)
            commas += sum(bool(_COMMA_NUMBER.fullmatch(cell)) for cell in filled)
    if grouped:
        return {"decimal": ",", "thousands": "."}
    return {"decimal": ","} if commas else {}
