"""Station 1: convert the lines of described files to plain CSV before they are parsed.

A line stays a line: one that is left out becomes a blank one, which readers pass over. So a row keeps its line number,
and the bytes of whole blocks are worked on at once. Several files follow one another as one; the header of each but
the first is left out, and must be the first one's.
"""

import codecs
import csv
import io
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, Final, cast

from sensorstream.description import BLANKS, Description
from sensorstream.errors import SourceError, UsageError
from sensorstream.serde.csv_cells import csv_text
from sensorstream.sources.opening import Opened, open_bytes

DELIMITERS: Final = (",", ";", "\t", "|")
READ_BYTES: Final = 1 << 18
MAX_LINE: Final = 1 << 22
"""A line that is longer is handed on in pieces, in bytes, for the reader to reject."""
_QUOTED: Final = 1 << 20
"""A quote that is open for so many bytes is a stray one."""
_BLANK_RUNS: Final = re.compile(rb"[ \t]+")
_BLANK_CELLS: Final = re.compile(rb'"(?:[^"]|"")*"[^ \t]*|[^ \t]+')


@dataclass(frozen=True, slots=True)
class LineForm:
    """What of a description is done to lines. ``delimiter`` is None where it is to be found out."""

    description: Description
    delimiter: str | None
    quoted: bool
    has_header: bool

    @property
    def needed(self) -> bool:
        """Whether anything has to be done at all."""
        it = self.description
        return bool(
            it.skip_lines
            or it.header_lines > 1
            or it.units_line
            or it.comment
            or it.repeated_header
            or it.trailing_delimiter
            or it.widths
            or it.delimiter == BLANKS
        )

    @property
    def given(self) -> str | None:
        """The delimiter of the lines that are made; None: what it is in the file."""
        return "," if self.description.widths else "\t" if self.description.delimiter == BLANKS else self.delimiter

    @property
    def encoding(self) -> str:
        """The encoding of the lines that are made."""
        return "utf-8" if self.transcoded else self.description.encoding

    @property
    def transcoded(self) -> bool:
        """Whether marks can't be looked for in the bytes of the file as they are."""
        name = self.description.encoding
        try:
            return bool(self.description.widths) or '#,\n"'.encode(name) != b'#,\n"'
        except (LookupError, TypeError, ValueError):
            return False  # the reader says what is wrong with it

    def mark(self, text: str) -> bytes:
        """A mark in the bytes of the lines. Raises UsageError for one that the encoding doesn't have."""
        try:
            return text.encode(self.encoding)
        except (LookupError, UnicodeEncodeError) as error:
            raise UsageError(f"{text!r} can't be written in {self.encoding}") from error


class DescribedLines:
    """The bytes of one or several files as lines of plain CSV; what a source opens in place of a file.

    ``name`` is what errors call it, where they speak of no single file. Raises SourceError.
    """

    def __init__(
        self, paths: Sequence[str], form: LineForm, *, opened: Callable[[str | Path, str], Opened] = open_bytes
    ) -> None:
        self._paths = tuple(paths)
        self._form = form
        self._it = form.description
        self._open = opened
        self._comment = form.mark(self._it.comment) if self._it.comment else b""
        self._comment_line = (
            re.compile(rb"(?m)^[ \t]*" + re.escape(self._comment) + rb"[^\n]*") if self._comment else None
        )
        self._has_header = form.has_header
        self._header: bytes | None = None
        self._repeated: re.Pattern[bytes] | None = None
        self._head_lines: list[bytes] = []
        known = form.delimiter or (None if form.has_header else ",")
        self._trailing = form.mark(known) if known and self._it.trailing_delimiter else b""
        self._inside = 0  # bytes since a quote was opened, while it is
        self._file: BinaryIO | None = None
        self._first: Opened | None = None
        self._lines = 0
        self._starts: list[int] = []
        self._rest = b""
        self._pieces = self._all_pieces()

    def open(self) -> Opened:
        """Open the first file. Raises SourceError."""
        first = self._open(self._paths[0], _name_of(self._paths[0]))
        self._first, self._file = first, first.file
        size = first.size
        for path in self._paths[1:]:
            try:
                size = None if size is None else size + Path(path).stat().st_size
            except OSError:
                size = None  # opening it will say what is wrong with it
        return Opened(cast("BinaryIO", self), self.read, size)

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        some, self._rest = self._rest[:size], self._rest[size:]
        return some

    def close(self) -> None:
        """Close the file that is open; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def place(self, line: int) -> tuple[str, int]:
        """The file, and the line in it, of a line of what is read; both count from 1."""
        at = max(bisect_right(self._starts, line - 1) - 1, 0)
        return _name_of(self._paths[at]), line - (self._starts[at] if self._starts else 0)

    def _all_pieces(self) -> Iterator[bytes]:
        for at, path in enumerate(self._paths):
            self._starts.append(self._lines)
            self._inside = 0
            last = at == len(self._paths) - 1
            whole = True
            for piece in self._of_file(path, first=at == 0):
                self._lines += piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")
                whole = piece.endswith(b"\n")
                yield piece
            if not whole and not last:
                self._lines += 1
                yield b"\n"
            self.close()

    def _of_file(self, path: str, *, first: bool) -> Iterator[bytes]:
        name = _name_of(path)
        opened = self._first if first and self._first is not None else self._open(path, name)
        self._file = opened.file
        chunks = self._chunks(self._decoded(opened.read_some, name))
        number, wanted = 0, self._it.header_lines if self._has_header else 0
        last_special = max((self._it.skip_lines, *self._it.units_line))
        header: list[bytes] = []
        for chunk in chunks:
            at, head = 0, b""
            while (wanted or number < last_special) and at < len(chunk):
                end = chunk.find(b"\n", at) + 1 or len(chunk)
                line, at, number = chunk[at:end], end, number + 1
                if number <= self._it.skip_lines or number in self._it.units_line or self._is_comment(line):
                    head += _end_of(line)
                elif wanted and line.strip():
                    header.append(line)
                    wanted -= 1
                    head += _end_of(line) if wanted else self._take_header(header, path, first=first)
                else:
                    head += self._shaped(line)
            body = self._without(chunk[at:]) if at else self._without(chunk)
            yield head + self._shaped(body)
        if wanted and header:
            raise SourceError(
                f"{path} ends within its header: {self._it.header_lines} lines are expected",
                hint="look at --header-lines",
            )

    def _take_header(self, lines: list[bytes], path: str, *, first: bool) -> bytes:
        """The header in one line, blank in each file but the first. Raises SourceError where it is another one."""
        if self._it.trailing_delimiter and not self._trailing:
            self._trailing = lines[0].rstrip(b"\r\n")[-1:]
            if self._trailing not in [mark.encode() for mark in DELIMITERS]:
                raise SourceError(
                    f"{path}: the header does not end with a delimiter",
                    hint="leave out --trailing-delimiter, or name the delimiter with --delimiter",
                )
        if self._it.repeated_header:
            texts = b"|".join(re.escape(line.rstrip(b"\r\n")) for line in lines)
            self._repeated = re.compile(rb"(?m)^(?:" + texts + rb")\r?$")
        shaped = [self._shaped(line) for line in lines]
        end = _end_of(lines[-1])
        header = shaped[0].rstrip(b"\r\n") if len(shaped) == 1 else self._joined(shaped)
        if first:
            self._header = header
            return header + end
        if header != self._header:
            raise SourceError(
                f"{path} has another header than {self._paths[0]}: {_shown(header)}, not {_shown(self._header or b'')}",
                hint="the files of one source have the same columns; publish the others with a --source of their own",
            )
        return end

    def _joined(self, lines: list[bytes]) -> bytes:
        """Several header lines as one: the cells of a column joined by a blank."""
        texts = [line.decode(self._form.encoding).rstrip("\r\n") for line in lines]
        mark = self._form.given or max(DELIMITERS, key=texts[0].count)
        quoting: Final = csv.QUOTE_MINIMAL if self._form.quoted else csv.QUOTE_NONE
        rows = [next(csv.reader([text], delimiter=mark, quoting=quoting), []) for text in texts]
        names = [" ".join(cell.strip() for cell in cells if cell.strip()) for cells in zip_longest(*rows, fillvalue="")]
        text = io.StringIO(newline="")
        if not self._form.quoted:
            return mark.join(names).encode(self._form.encoding)
        csv.writer(text, delimiter=mark, lineterminator="").writerow(names)
        return text.getvalue().encode(self._form.encoding)

    def _is_comment(self, line: bytes) -> bool:
        return bool(self._comment) and line.lstrip(b" \t").startswith(self._comment)

    def _without(self, data: bytes) -> bytes:
        """Whole lines, those blank that are left out."""
        found = bool(self._comment) and self._comment in data
        if self._repeated is None and not self._comment:
            return data
        if self._form.quoted and (self._inside or b'"' in data):
            return self._without_quoted(data)
        if found and self._comment_line is not None:
            data = self._comment_line.sub(_line_end, data)
        return data if self._repeated is None else self._repeated.sub(_line_end, data)

    def _without_quoted(self, data: bytes) -> bytes:
        """The same, line by line: within quotes, over several lines, everything is part of a cell."""
        lines = []
        for line in _lines_of(data):
            inside = 0 < self._inside <= _QUOTED
            if not inside and (
                self._is_comment(line) or (self._repeated is not None and self._repeated.match(line.rstrip(b"\n")))
            ):
                lines.append(_end_of(line))
                continue
            lines.append(line)
            odd = line.count(b'"') % 2 == 1
            self._inside = (0 if inside else len(line)) if odd else (self._inside + len(line) if inside else 0)
        return b"".join(lines)

    def _shaped(self, data: bytes) -> bytes:
        """Lines with their cells set apart as in CSV."""
        if self._it.widths:
            return _cut(data.decode(), self._it.widths).encode()
        if self._it.delimiter == BLANKS:
            if b'"' in data and self._form.quoted:
                return b"".join(
                    b"\t".join(_BLANK_CELLS.findall(line.rstrip(b"\r\n"))) + _end_of(line) for line in _lines_of(data)
                )
            data = _BLANK_RUNS.sub(b"\t", data)
            data = data.replace(b"\n\t", b"\n").replace(b"\t\n", b"\n").replace(b"\t\r\n", b"\r\n")
            return data.removeprefix(b"\t").removesuffix(b"\t")
        if self._trailing:
            mark = self._trailing
            return data.replace(mark + b"\n", b"\n").replace(mark + b"\r\n", b"\r\n").removesuffix(mark)
        return data

    def _chunks(self, read_some: Callable[[int], bytes]) -> Iterator[bytes]:
        """Whole lines, as many as are at hand; the last one may lack its end."""
        rest = b""
        while some := read_some(READ_BYTES):
            rest += some
            end = rest.rfind(b"\n") + 1
            if end == 0 and len(rest) > MAX_LINE:
                end = len(rest)
            if end:
                yield rest[:end]
                rest = rest[end:]
        if rest:
            yield rest

    def _decoded(self, read_some: Callable[[int], bytes], name: str) -> Callable[[int], bytes]:
        """The bytes of a file without a byte-order mark, in UTF-8 where its marks can't be looked for otherwise."""
        encoding = self._form.description.encoding
        if not self._form.transcoded:
            at_start = codecs.lookup(encoding).name == "utf-8"

            def plain(size: int) -> bytes:
                nonlocal at_start
                data = read_some(size)
                while at_start and 0 < len(data) < len(codecs.BOM_UTF8) and codecs.BOM_UTF8.startswith(data):
                    more = read_some(size)
                    if not more:
                        break
                    data += more
                if at_start and data:
                    at_start = False
                    data = data.removeprefix(codecs.BOM_UTF8) or read_some(size)
                return data

            return plain
        decoder = codecs.getincrementaldecoder(encoding)()
        done = lines = 0

        def transcoded(size: int) -> bytes:
            nonlocal done, lines
            while True:
                data = read_some(size)
                try:
                    text = decoder.decode(data, final=not data)
                except UnicodeError as error:
                    place = f"{name}, line {lines + 1} or later"
                    raise SourceError(
                        f"{place}: bytes after offset {done} are not {encoding}", hint="name the file's encoding"
                    ) from error
                if done == 0:
                    text = text.removeprefix("\ufeff")
                done += len(data)
                lines += text.count("\n")
                if text or not data:
                    return text.encode("utf-8", "surrogatepass")

        return transcoded


def _cut(text: str, widths: Sequence[int]) -> str:
    """Lines of columns of fixed widths as CSV; what stands behind the last column is a cell too many."""
    ends = [sum(widths[: at + 1]) for at in range(len(widths))]
    begins = [0, *ends[:-1]]
    rows = []
    for raw in io.StringIO(text, newline="\n"):
        line = raw.rstrip("\r\n")
        cells = [line[begin:end].strip() for begin, end in zip(begins, ends, strict=True)] if line.strip() else []
        if over := line[ends[-1] :].strip():
            cells.append(over)
        rows.append(cells)
    made = csv_text(rows)
    return made if text.endswith("\n") else made.removesuffix("\n")


def _name_of(path: str) -> str:
    return "stdin" if path == "-" else path


def _lines_of(data: bytes) -> list[bytes]:
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _end_of(line: bytes) -> bytes:
    return b"\r\n" if line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""


def _line_end(match: re.Match[bytes]) -> bytes:
    return b"\r" if match[0].endswith(b"\r") else b""


def _shown(header: bytes) -> str:
    text = header.decode("utf-8", "replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")
