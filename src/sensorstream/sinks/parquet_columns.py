"""Station 9: columns of values as Arrow columns of their type, and back as the original cells.

The kind of a column stands in the file, as metadata of its field: what pandas and DuckDB read is the Arrow type, and
the metadata says from which text a time was made.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sensorstream.errors import UsageError
from sensorstream.records import Value
from sensorstream.serde.csv_cells import to_cell
from sensorstream.serde.typed_values import clean, plain_cell, typed
from sensorstream.sinks.column_kinds import (
    BIGINT,
    BOOL,
    FLOAT,
    INT,
    NULL,
    TEXT,
    TIME,
    has_zone,
    microseconds,
    time_text,
)  # fmt: skip

if TYPE_CHECKING:
    import pyarrow

KIND: Final = b"sensorstream.kind"
NAME: Final = b"sensorstream.name"
Kinds = dict[str, str]
"""Column name to kind, in the order of the columns."""


def need_pyarrow() -> None:
    """Raise UsageError, saying what to install, where pyarrow is missing."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed", hint="pip install 'sensorstream[storage]'"
        ) from error


def schema_of(kinds: Mapping[str, str]) -> "pyarrow.Schema":
    """The Arrow schema of columns of these kinds."""
    import pyarrow

    fields = []
    for name, kind in kinds.items():
        metadata = {KIND: kind.encode(), NAME: name.encode("utf-8", "surrogatepass")}
        fields.append(pyarrow.field(clean(name), _arrow_type(kind), metadata=metadata))
    return pyarrow.schema(fields)


def kinds_of(schema: "pyarrow.Schema") -> Kinds:
    """The kinds of a file's columns. Raises KeyError where it was not made here."""
    return {field.metadata[NAME].decode("utf-8", "surrogatepass"): field.metadata[KIND].decode() for field in schema}


def _arrow_type(kind: str) -> Any:
    import pyarrow

    if kind.startswith(TIME):
        return pyarrow.timestamp("us", "UTC" if has_zone(kind[len(TIME) :]) else None)
    known = {BOOL: pyarrow.bool_(), INT: pyarrow.int64(), BIGINT: pyarrow.int64(), FLOAT: pyarrow.float64()}
    return known.get(kind, pyarrow.string())


def arrow_column(values: Sequence[Value], kind: str) -> "pyarrow.Array[Any]":
    """Decoded values as an Arrow column of a kind that holds them all."""
    import pyarrow

    form = kind[len(TIME) :]
    if kind.startswith(TIME):
        made: list[Any] = [None if value is None else microseconds(form, str(value)) for value in values]
        return pyarrow.array(made, pyarrow.int64()).cast(_arrow_type(kind))
    if kind == FLOAT:
        made = [None if value is None else float(value) for value in values]
    elif kind in (INT, BIGINT):
        made = list(map(typed, values))
    elif kind == BOOL:
        made = list(values)
    else:
        # In a column of texts a number keeps its letters.
        made = [None if value is None else clean(to_cell(value, raw=True)) for value in values]
    return pyarrow.array(made, _arrow_type(kind))


def converted(column: "pyarrow.Array[Any]", kind: str, wanted: str) -> "pyarrow.Array[Any]":
    """A column of one kind as one of a wider kind."""
    import pyarrow

    new = _arrow_type(wanted)
    if kind == wanted or (kind, wanted) == (INT, BIGINT):
        return column
    if kind == NULL:
        return pyarrow.nulls(len(column), new)
    if wanted != TEXT:
        return column.cast(new)
    cell = cell_of(kind)
    return pyarrow.array([None if value is None else cell(value) for value in plain_values(column, kind)], new)


def plain_values(column: "pyarrow.Array[Any]", kind: str) -> list[Any]:
    """The values of a column, as Python has them; times as microseconds."""
    import pyarrow

    return list((column.cast(pyarrow.int64()) if kind.startswith(TIME) else column).to_pylist())


def cell_of(kind: str) -> Callable[[Any], str]:
    """What makes a cell of one of :func:`plain_values`: a time in the letters in which it came."""
    if kind.startswith(TIME):
        form = kind[len(TIME) :]
        return lambda micros: time_text(form, micros)
    return plain_cell
