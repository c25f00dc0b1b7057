"""``query``: ask captured files in SQL."""

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sensorstream.cli import panels
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.pipelines.query.query import Answer, Column
    from sensorstream.pipelines.query.tables import Table

SHOWN: Final = 1000
"""So many rows a table and the JSON result have at the most, unless --rows says otherwise."""
_AT_ONCE: Final = 1000


class Form(StrEnum):
    """How the rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The result of a query; ``complete`` says that ``rows`` are all there are."""

    columns: "tuple[Column, ...]"
    rows: tuple[tuple[Any, ...], ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class TableList:
    """The tables that there are."""

    folder: str
    tables: "tuple[Table, ...]"


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "query", "query", kafka=False)(query)


def query(
    session: Session,
    sql: Annotated[
        str | None,
        typer.Argument(metavar="[SQL]", help="One SELECT; each topic is a table. Without it, the tables are listed."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="Folder with the captured files. Default: the current folder."),
    ] = None,
    *,
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            metavar="table|csv|jsonl",
            rich_help_panel=panels.OUTPUT,
            help="Format of the rows; csv and jsonl have all of them.",
        ),
    ] = Form.TABLE,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="Largest number of rows in a table and in --output json.")
    ] = SHOWN,
    raw: Annotated[
        bool, typer.Option("--raw", help="In CSV, do not protect text that a spreadsheet would take for a formula.")
    ] = False,
    memory: Annotated[
        str, typer.Option("--memory", metavar="SIZE", help="Memory that the query may take before it uses the disk.")
    ] = "1GB",
) -> Outcome:
    """Ask captured files of all kinds in SQL (DuckDB). They are only read.

    Needs an extra: pip install 'sensorstream[storage]'. A folder alone, or nothing, lists the tables.
    """
    from sensorstream.pipelines.query.query import list_tables, need_duckdb
    from sensorstream.pipelines.query.query import query as ask

    if sql is not None and folder is None and " " not in sql.strip() and Path(sql).is_dir():
        folder, sql = Path(sql), None
    folder = folder or Path()
    if sql is None or not sql.strip():
        tables = TableList(str(folder), list_tables(folder))
        return Outcome(tables, lambda console: _show_tables(console, tables))
    if form is not Form.TABLE and session.json:
        raise UsageError("--format and --output json both want stdout", hint="leave one of them out")
    need_duckdb()
    with (
        session.interruptible() as stop,
        ask(sql, folder, memory=memory, stop=stop, listener=session.listener) as answer,
    ):
        if form is not Form.TABLE:
            session.narrator.close()
            _write(answer, form, raw=raw)
            return Outcome(None, None)
        taken = tuple(islice(answer.rows, rows + 1))
    kept = tuple(tuple(_plain(value) for value in row) for row in taken[:rows])
    result = QueryResult(answer.columns, kept, len(taken) <= rows)
    return Outcome(result, lambda console: _show(console, result))


def _plain(value: Any) -> Any:
    """A value as JSON has it: integers stay integers, times are ISO 8601."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _cell(value: Any) -> str:
    """A plain value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _write(answer: "Answer", form: Form, *, raw: bool) -> None:
    from sensorstream.serde.csv_cells import csv_text, to_cell

    names = [column.name for column in answer.columns]

    def cells(values: Iterable[Any]) -> list[str]:
        return [to_cell(value, raw) if isinstance(value, str) else _cell(value) for value in values]

    out = sys.stdout.buffer
    sys.stdout.flush()
    if form is Form.CSV:
        out.write(csv_text([cells(names)]).encode("utf-8", "backslashreplace"))
    while rows := list(islice(answer.rows, _AT_ONCE)):
        plain = [[_plain(value) for value in row] for row in rows]
        if form is Form.CSV:
            text = csv_text([cells(row) for row in plain])
        else:
            text = "".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in plain)
        out.write(text.encode("utf-8", "backslashreplace"))
    out.flush()


def _show(console: "Console", result: QueryResult) -> None:
    from sensorstream.cli.render import counted, table
    from sensorstream.cli.terminal import visible

    numbers = ("INT", "DOUBLE", "FLOAT", "DECIMAL")
    heads = [visible(column.name) for column in result.columns]
    right = tuple(
        head for head, column in zip(heads, result.columns, strict=True) if any(kind in column.type for kind in numbers)
    )
    shown = table(*heads, right=right)
    for row in result.rows:
        shown.add_row(*(visible(_cell(value)) for value in row))
    console.print(shown)
    if not result.complete:
        console.print(f"only the first {counted(len(result.rows), 'row')}; --format csv writes all, --rows N more")


def _show_tables(console: "Console", result: TableList) -> None:
    from sensorstream.cli.render import known, size, table

    rows = table(
        "table", "format", "partitions", "files", "size", "waiting", right=("partitions", "files", "size", "waiting")
    )
    for one in result.tables:
        rows.add_row(
            known(one.table),
            ", ".join(one.formats),
            str(one.partitions),
            f"{one.files:,}",
            size(one.size),
            f"{one.waiting:,}",
        )
    console.print(rows)
