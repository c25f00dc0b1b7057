"""Station 1: bytes to lines of text, in bounded memory, for any encoding and line ending."""

import codecs
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from sensorstream.errors import SourceError, UsageError

CHUNK_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line that is longer than allowed: only its beginning is kept."""

    head: str


class LineReader:
    """Reads blocks of whole lines. Lines end with LF, CR or CRLF, in any mixture, and keep their ends.

    ``read_some(n)`` gives up to n bytes, those that are at hand, and none at the end; ``name`` is what errors
    call the file; ``max_line`` is in characters. ``offset`` and ``line`` say how many bytes and lines of the
    file lie ahead of what ``read_some`` gives. Raises UsageError for an unknown encoding.
    """

    def __init__(
        self,
        read_some: Callable[[int], bytes],
        name: str,
        encoding: str,
        max_line: int,
        *,
        offset: int = 0,
        line: int = 0,
    ) -> None:
        try:
            self._decoder = codecs.getincrementaldecoder(encoding)("strict")
            # base64 and its kin are codecs too, but no encodings of text.
            if not isinstance(self._decoder.decode(b""), str):
                raise LookupError(encoding)  # noqa: TRY004
        except (LookupError, TypeError, ValueError) as error:
            raise UsageError(
                f"encoding {encoding!r} is not known", hint="for example utf-8, utf-16 or latin-1"
            ) from error
        self._read_some = read_some
        self._name = name
        self._encoding = encoding
        self._max_line = max_line
        self._fault: tuple[int, str, bytes] | None = None
        self._first_line = line
        self._at_start = offset == 0
        self.bytes_read = offset

    def blocks(self) -> Iterator[list[str] | LongLine]:
        """Non-empty lists of lines; a line that is too long stands by itself. The last line may lack its end.

        Raises SourceError on a byte that is not of the encoding, after the lines ahead of it.
        """
        rest = ""  # the beginning of a line that is not whole yet
        skipping = False
        lines_done = self._first_line
        for text in self._texts():
            lines = _split(rest + text)
            # A CR at the end may be the first half of a CRLF, so it doesn't make a line whole yet.
            rest = "" if lines[-1].endswith("\n") else lines.pop()
            lines_done += len(lines)
            if skipping and lines:
                del lines[0]
                skipping = False
            yield from self._parts(lines)
            if skipping:
                rest = rest[-1:]
            elif len(rest) > self._max_line:
                yield LongLine(rest[: self._max_line])
                rest = rest[-1:]
                skipping = True
        if self._fault is not None:
            if rest.endswith("\r"):
                lines_done += 1
                if not skipping:
                    yield from self._parts([rest])
            raise self._fault_error(lines_done + 1)
        if rest and not skipping:
            yield from self._parts([rest])

    def _parts(self, lines: list[str]) -> Iterator[list[str] | LongLine]:
        """The lines in one block, or cut where one of them is too long."""
        if sum(map(len, lines)) > self._max_line:
            start = 0
            for at, line in enumerate(lines):
                if len(line) > self._max_line:
                    if at > start:
                        yield lines[start:at]
                    yield LongLine(line[: self._max_line])
                    start = at + 1
            lines = lines[start:]
        if lines:
            yield lines

    def _texts(self) -> Iterator[str]:
        """Decoded pieces, none empty, up to the end or to the first fault."""
        at_start = self._at_start
        data = b"-"
        while data and self._fault is None:
            data = self._read_some(CHUNK_BYTES)
            text = self._decode(data)
            self.bytes_read += len(data)
            if at_start and text:
                at_start = False
                text = text.removeprefix("\ufeff")
            if text:
                yield text

    def _decode(self, data: bytes) -> str:
        # The decoder holds back the beginning of a character that is not whole yet.
        held_back = len(self._decoder.getstate()[0])
        base = self.bytes_read - held_back
        try:
            return self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            bad = error.object[error.start : error.start + 1]
            self._fault = (base + error.start, f"byte 0x{bad.hex()}", error.object[:2])
            return self._decoder.decode(error.object[held_back : error.start])
        except UnicodeError:
            # The UTF-16 decoder says so when the byte-order mark is missing.
            self._fault = (base, f"byte 0x{data[:1].hex()}", data[:2])
            return ""

    def _fault_error(self, line: int) -> SourceError:
        assert self._fault is not None  # noqa: S101  # for the type checker
        offset, byte, head = self._fault
        if offset == 0 and head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            hint = "it begins like UTF-16: try --encoding utf-16"
        else:
            hint = "name the file's encoding, for example --encoding latin-1"
        where = f"{self._name}, line {line}: {byte} at offset {offset}"
        return SourceError(f"{where} is not {self._encoding}", hint=hint)


def _split(text: str) -> list[str]:
    """Lines with their ends; not ``str.splitlines``, which also splits at U+2028, form feeds and the like."""
    return io.StringIO(text, newline="").readlines()
