"""The rows of files as a table of pandas, read as a replay reads them, and the curves of its columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensorstream.config import nearest
from sensorstream.errors import DecodeError, SourceError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.inspection.inspect import FileFound, described, inspect
from sensorstream.plotting.curves import POINTS, Curve, Panel, Plot
from sensorstream.serde.json import decode
from sensorstream.sources.formats import SourceForm, has_objects
from sensorstream.sources.row_times import FirstTimes, RowTimes
from sensorstream.sources.times import TimeRule

if TYPE_CHECKING:
    import pandas

_BATCH: Final = 5000
_PANELS: Final = 4
"""So many columns are drawn where none is named."""
_CURVES: Final = 8
"""So many curves in a panel can be told apart."""
_LARGEST: Final = 1e300
"""What is larger is not drawn, nor is infinity: such an axis has no length that is a number."""
_X: Final = "\0x"
_BY: Final = "\0by"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn. ``first`` and ``last`` are seconds since 1970, None where the files have no times; ``left_out``
    counts values of ``by`` that have no curve."""

    files: tuple[str, ...]
    columns: tuple[str, ...]
    by: str | None
    rows: int
    first: float | None
    last: float | None
    left_out: int
    out: str | None = None


def read_plot(
    files: Sequence[str], columns: Sequence[str] = (), by: str | None = None, *, listener: Listener = ignore
) -> tuple[Plot, Drawn]:
    """The curves of these columns (none named: the first numbers), one curve for each file and each value of ``by``.

    Raises SourceError, UsageError for a column that is not there or has no numbers.
    """
    import pandas

    found = [inspect(path, listener=listener) for path in files]
    wanted = tuple(columns) or _first_numbers(found[0], by)
    tables = [_read(file, wanted, by, listener) for file in found]
    is_time = all(file.time is not None for file in found)
    curves: dict[str, list[Curve]] = {name: [] for name in wanted}
    left_out = 0
    for file, table in zip(found, tables, strict=True):
        groups: list[tuple[str, pandas.DataFrame]] = [("", table)]
        if by is not None:
            counts = table[_BY].value_counts()
            left_out += max(0, len(counts) - _CURVES)
            groups = [(str(value), table[table[_BY] == value]) for value in sorted(counts.index[:_CURVES])]
        for value, rows in groups:
            name = Path(file.path).name if len(found) > 1 else ""
            label = " ".join(part for part in (name, value) if part)
            for column in wanted:
                x, y = _thinned(rows[_X] if is_time else rows.index.to_series(), rows[column])
                curves[column].append(Curve(label, x, y))
    if left_out:
        listener(Notice(f"{left_out} more values of {by} have no curve: those with the most rows are drawn"))
    units = {column.name: column.unit or "" for column in found[0].columns}
    panels = tuple(Panel(name, tuple(curves[name]), is_time, units.get(name, "")) for name in wanted)
    times = [table[_X].dropna() for table in tables] if is_time else []
    known = [one for one in times if len(one)]
    drawn = Drawn(
        tuple(files),
        wanted,
        by,
        sum(len(table) for table in tables),
        min((float(one.min()) for one in known), default=None),
        max((float(one.max()) for one in known), default=None),
        left_out,
    )
    title = ", ".join(Path(path).name for path in files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return Plot(title, panels), drawn


def _first_numbers(file: FileFound, by: str | None) -> tuple[str, ...]:
    time = set((file.time.column if file.time else "").split(","))
    numbers = [one.name for one in file.columns if one.type == "number" and one.name not in time and one.name != by]
    if not numbers:
        raise UsageError(f"{file.path} has no column of numbers", hint=f"look at it: sensorstream inspect {file.path}")
    return tuple(numbers[:_PANELS])


def _read(file: FileFound, wanted: Sequence[str], by: str | None, listener: Listener) -> "pandas.DataFrame":
    import pandas

    names = [one.name for one in file.columns]
    for name in (*wanted, *([by] if by is not None else [])):
        if name not in names:
            hint = nearest(name, names) or f"there are: {', '.join(names[:12])}"
            raise UsageError(f"{file.path} has no column {name!r}", hint=hint)
    form = SourceForm().over(described(file))
    objects = has_objects(form.of(file.path))
    cells: dict[str, list[Any]] = {name: [] for name in wanted}
    x: list[float] = []
    groups: list[str] = []
    with form.source(file.path, fields=tuple(names) if objects else (), listener=listener) as source:
        places = {name: at for at, name in enumerate(names if objects else source.columns)}
        times = None
        if file.time is not None:
            rule = TimeRule(file.time.column, file.time.format)
            first = FirstTimes(rule, newest_first=file.time.order == "descending")
            times = RowTimes(first, rule.among(tuple(places), source.name))
        while batch := source.read(_BATCH):
            for row in batch.rows:
                values = decode(row.cells[-1].encode()) if objects else None
                for name, column in cells.items():
                    column.append(row.cells[places[name]] if values is None else values.get(name))
                if by is not None:
                    groups.append(str(row.cells[places[by]] if values is None else values.get(by)))
                x.append(_time(times, row))
    table = pandas.DataFrame({name: _numbers(column, name, file.path) for name, column in cells.items()})
    table[_X] = x
    if by is not None:
        table[_BY] = groups
    if not len(table):
        raise SourceError(f"{file.path} has no row to draw")
    return table.sort_values(_X, kind="stable") if times is not None else table


def _time(times: RowTimes | None, row: Any) -> float:
    if times is None:
        return float("nan")
    try:
        return times.of(row) / 1000
    except DecodeError:
        return float("nan")


def _numbers(cells: list[Any], name: str, path: str) -> "pandas.Series[float]":
    import pandas

    # JSON has whole numbers that no float can hold.
    cells = [None if isinstance(cell, int) and abs(cell) >= _LARGEST else cell for cell in cells]
    numbers = pandas.to_numeric(pandas.Series(cells, dtype=object), errors="coerce").astype(float)
    numbers = numbers.where(numbers.abs() < _LARGEST)
    if len(numbers) and numbers.notna().sum() == 0:
        raise UsageError(f"column {name!r} of {path} has no numbers", hint="name another one with --columns")
    return numbers


def _thinned(x: "pandas.Series[float]", y: "pandas.Series[float]") -> tuple[list[float], list[float]]:
    """At most :data:`POINTS` points: of each stretch the smallest and the largest, in the order of the rows."""
    import numpy

    xs, ys = x.to_numpy(dtype=float), y.to_numpy(dtype=float)
    keep = ~numpy.isnan(xs)
    xs, ys = xs[keep], ys[keep]
    if len(ys) <= POINTS:
        return xs.tolist(), ys.tolist()
    chosen: list[int] = []
    for part in numpy.array_split(numpy.arange(len(ys)), POINTS // 2):
        values = ys[part]
        if numpy.isnan(values).all():
            chosen.append(int(part[0]))
            continue
        chosen += sorted({int(part[numpy.nanargmin(values)]), int(part[numpy.nanargmax(values)])})
    return xs[chosen].tolist(), ys[chosen].tolist()
