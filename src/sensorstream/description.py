"""The layout of a source file, in one frozen object: from options and from a topic's table in ``sensorstream.toml``.

It holds what was said, and checks it; the readers of :mod:`sensorstream.sources` act on it. Keys of the table have the
names of the options, with underscores.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, Self

from sensorstream import plug_ins
from sensorstream.errors import ConfigError, UsageError

FORMATS: Final = ("csv", "tsv", "jsonl", "json", "text")
"""The formats of source files that are built in; a plug-in adds its own."""
TYPES: Final = ("number", "text", "bool", "time")
ORDERS: Final = ("name", "time")
BLANKS: Final = "blanks"
"""The delimiter that is any number of blanks and tabs."""


@dataclass(frozen=True, slots=True)
class Description:
    """How source files are written. What has its default was not said.

    ``format`` is one of FORMATS or the name of a plug-in. None: as the ending of the file says, else CSV (the ending of
    a compression is looked past). ``delimiter`` None: in CSV a comma, or what a header without one shows, in TSV a tab;
    it may be ``auto`` or BLANKS. ``quote`` None: ``"`` in CSV, no quotes at all ("none") in TSV. ``columns`` names the
    columns of files without a header; with ``no_header`` they are called column_1 and so on.

    Lines: ``skip_lines`` at the beginning are left out, then ``header_lines`` name the columns (the cells of several
    are joined by a blank), and lines that begin with ``comment`` are left out anywhere. ``units_line`` are the numbers,
    from 1, of lines of units and the like, which are left out. ``repeated_header``: lines that are the header once more
    are left out. ``trailing_delimiter``: each line ends with a delimiter. ``widths``, in characters, are those of
    columns that have no delimiter.

    Cells: ``decimal`` and ``thousands`` are the marks of numbers. ``missing`` are cells that are null, each VALUE or
    COLUMN=VALUE; ``types`` are COLUMN=TYPE, of TYPES. ``order`` is that of several files, of ORDERS.
    """

    format: str | None = None
    encoding: str = "utf-8"
    delimiter: str | None = None
    quote: str | None = None
    columns: tuple[str, ...] = ()
    no_header: bool = False
    skip_lines: int = 0
    header_lines: int = 1
    units_line: tuple[int, ...] = ()
    comment: str | None = None
    repeated_header: bool = False
    trailing_delimiter: bool = False
    widths: tuple[int, ...] = ()
    decimal: str | None = None
    thousands: str | None = None
    missing: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    order: str | None = None

    @property
    def column_types(self) -> dict[str, str]:
        """The columns that have a type, with it."""
        return {column: kind for column, _, kind in (text.rpartition("=") for text in self.types)}

    @property
    def said(self) -> dict[str, Any]:
        """What was said, by the names of the fields."""
        return {
            one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != _default(one.name)
        }

    @property
    def of_tables(self) -> tuple[str, ...]:
        """The options that were given, and that JSON and text sources have no use for."""
        return tuple(option_of(name) for name in self.said if name not in ("format", "encoding", "order"))

    def over(self, other: "Description") -> Self:
        """This, and what ``other`` says where this says nothing."""
        return type(self)(**{**other.said, **self.said})

    def as_rule(self) -> dict[str, str]:
        """What was said, as text by key: what a job that makes records of a file goes by."""
        return {KEYS_OF.get(name, name): _text(value) for name, value in self.said.items() if name != "order"}

    def check(self) -> None:
        """Raises UsageError for what can't be."""
        if self.format not in FORMATS:
            _one_of("--source-format", self.format, (*FORMATS, *plug_ins.names(plug_ins.SOURCES)))
        _one_of("--order", self.order, ORDERS)
        if self.quote not in (None, '"', "none"):
            raise UsageError(f"--quote {self.quote!r} is not known", hint="it is '\"' or none")
        for at, name in enumerate(self.columns):
            if not name.strip() or name in self.columns[:at]:
                what = "has a column without a name" if not name.strip() else f"names {name!r} twice"
                raise UsageError(f"--columns {','.join(self.columns)!r} {what}", hint="for example --columns id,text")
        for option, mark in (("--decimal", self.decimal), ("--thousands", self.thousands)):
            if mark is not None and (len(mark) != 1 or mark.isalnum() or mark in '+-"\r\n'):
                raise UsageError(f"{option} {mark!r} is not one mark", hint="for example ',' or '.'")
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            raise UsageError(
                f"--thousands {self.thousands!r} is the decimal mark, too", hint="name that one with --decimal"
            )
        if self.comment is not None and (not self.comment.strip() or "\n" in self.comment):
            raise UsageError(f"--comment {self.comment!r} is blank", hint="for example --comment '#'")
        for option, number, least in (
            ("--skip-lines", self.skip_lines, 0),
            ("--header-lines", self.header_lines, 1),
            *(("--units-line", number, 1) for number in self.units_line),
            *(("--widths", number, 1) for number in self.widths),
        ):
            if number < least:
                raise UsageError(f"{option} {number} is less than {least}")
        no_header = bool(self.columns) or self.no_header
        if no_header and (self.header_lines > 1 or self.repeated_header):
            raise UsageError(
                "--header-lines and --repeated-header are for files with a header",
                hint="leave them out, or --columns and --no-header",
            )
        if self.columns and self.no_header:
            raise UsageError("--columns and --no-header can't be used together", hint="--columns alone is enough")
        if self.widths and (self.delimiter is not None or self.trailing_delimiter):
            raise UsageError("columns of --widths have no delimiter", hint="leave one of them out")
        for text in self.types:
            column, _, kind = text.rpartition("=")
            if not column or kind not in TYPES:
                raise UsageError(
                    f"--type {text!r} is not COLUMN=TYPE", hint=f"TYPE is one of {', '.join(TYPES)}: --type pH=number"
                )
        if len(self.column_types) < len(self.types):
            raise UsageError("--type names a column twice", hint="a column has one type")


KEYS_OF: Final[Mapping[str, str]] = {"format": "source_format", "types": "type"}
"""Fields whose key of the table has another name."""
_FIELDS: Final = {KEYS_OF.get(one.name, one.name): one.name for one in fields(Description)}
KEYS: Final = tuple(_FIELDS)
"""The keys of a topic's table that describe its source."""
_WHOLE: Final = ("skip_lines", "header_lines")
_TRUTH: Final = ("no_header", "repeated_header", "trailing_delimiter")
_NUMBERS: Final = ("units_line", "widths")
_TEXTS: Final = ("columns", "missing", "types")


def option_of(name: str) -> str:
    """The option of a field."""
    return "--" + KEYS_OF.get(name, name).replace("_", "-")


def description_of(table: Mapping[str, Any], where: str) -> Description:
    """The description in a topic's table, of which other keys are left alone; ``where`` is what errors begin with.

    A list may be written as one value; ``type`` is a table ``{COLUMN = "TYPE"}``. Raises ConfigError.
    """
    values: dict[str, Any] = {}
    for key in KEYS:
        if key in table:
            values[_FIELDS[key]] = _value(key, table[key], where)
    described = Description(**values)
    try:
        described.check()
    except UsageError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error
    return described


def _value(key: str, value: Any, where: str) -> Any:
    name = _FIELDS[key]
    if name == "types" and isinstance(value, dict):
        value = [f"{column}={kind}" for column, kind in value.items()]
    if name in (*_NUMBERS, *_TEXTS):
        several = value if isinstance(value, list) else [value]
        if name in _NUMBERS and all(_is_whole(one) for one in several):
            return tuple(several)
        if name in _TEXTS:
            if name == "missing":
                several = [str(one) if _is_whole(one) else one for one in several]
            if all(isinstance(one, str) for one in several):
                return tuple(several)
        raise ConfigError(f"{where}: {key} = {value!r} is not a list of {'numbers' if name in _NUMBERS else 'texts'}")
    kind = int if name in _WHOLE else bool if name in _TRUTH else str
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        what = {int: "a whole number", bool: "true or false", str: "text"}[kind]
        raise ConfigError(f"{where}: {key} = {value!r} is not {what}")
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_of(option: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise UsageError(f"{option} {value!r} is not known", hint=f"it is one of {', '.join(known)}")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _default(name: str) -> object:
    default = next(one.default for one in fields(Description) if one.name == name)
    assert default is not MISSING  # noqa: S101  # for the type checker
    return default


def column_names(text: str | None) -> tuple[str, ...]:
    """The names of ``--columns a,b,c``."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


def whole_numbers(text: str | None, option: str) -> tuple[int, ...]:
    """The numbers of ``--widths 10,5,8``. Raises UsageError."""
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"{option} {text!r} is no list of numbers", hint=f"for example {option} 10,5,8")
    return tuple(map(int, parts))
