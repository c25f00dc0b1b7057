"""The options that say how source files are written: the same for every command that reads them.

They are made one :class:`~sensorstream.description.Description`; a command takes it as its ``description``.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sensorstream.cli import options, panels

if TYPE_CHECKING:
    from sensorstream.description import Description

_NoHeader = Annotated[
    bool,
    typer.Option(
        "--no-header",
        help="The sources have no header; the columns are named column_1, column_2, and so on.",
        rich_help_panel=panels.FILES,
    ),
]
_SkipLines = Annotated[
    int,
    typer.Option(
        "--skip-lines",
        metavar="N",
        min=0,
        help="Number of lines to skip before the header.",
        rich_help_panel=panels.FILES,
    ),
]
_HeaderLines = Annotated[
    int,
    typer.Option(
        "--header-lines",
        metavar="N",
        min=1,
        help="Number of lines that make up the header.",
        rich_help_panel=panels.FILES,
    ),
]
_UnitsLine = Annotated[
    list[int] | None,
    typer.Option(
        "--units-line",
        metavar="N",
        min=1,
        help="Number of a line to skip, such as one with units (repeatable).",
        show_default=False,
        rich_help_panel=panels.FILES,
    ),
]
_Comment = Annotated[
    str | None,
    typer.Option(
        "--comment",
        metavar="MARK",
        help="Skip lines that begin with MARK, such as '#'.",
        show_default=False,
        rich_help_panel=panels.FILES,
    ),
]
_RepeatedHeader = Annotated[
    bool,
    typer.Option("--repeated-header", help="Skip lines that repeat the header.", rich_help_panel=panels.FILES),
]
_TrailingDelimiter = Annotated[
    bool,
    typer.Option("--trailing-delimiter", help="Each line ends with one more delimiter.", rich_help_panel=panels.FILES),
]
_Widths = Annotated[
    str | None,
    typer.Option(
        "--widths",
        metavar="N,...",
        help="Widths of the columns in characters, for files without a delimiter.",
        show_default=False,
        rich_help_panel=panels.FILES,
    ),
]
_Decimal = Annotated[
    str | None,
    typer.Option(
        "--decimal",
        metavar="C",
        help="Decimal mark of numbers. Default: a point.",
        show_default=False,
        rich_help_panel=panels.FILES,
    ),
]
_Thousands = Annotated[
    str | None,
    typer.Option(
        "--thousands",
        metavar="C",
        help="Thousands separator of numbers. Default: none.",
        show_default=False,
        rich_help_panel=panels.FILES,
    ),
]
_Missing = Annotated[
    list[str] | None,
    typer.Option(
        "--missing",
        metavar="[COLUMN=]VALUE",
        help="Cell that means a missing value, in all columns or in one (repeatable).",
        show_default=False,
        rich_help_panel=panels.FILES,
    ),
]
_Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        metavar="COLUMN=TYPE",
        help="Type of a column: number, text, bool or time (repeatable). Default: decided for each cell.",
        show_default=False,
        rich_help_panel=panels.FILES,
    ),
]
_Order = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="name|time",
        help="Order of the files of a pattern such as 'day*.csv': by name, or by modification time. Default: name.",
        show_default=False,
        rich_help_panel=panels.FILES,
    ),
]

OPTIONS: Final[dict[str, tuple[Any, Any]]] = {
    "source_format": (options.SourceFormat, None),
    "encoding": (options.Encoding, "utf-8"),
    "delimiter": (options.Delimiter, None),
    "quote": (options.Quote, None),
    "columns": (options.Columns, None),
    "no_header": (_NoHeader, False),
    "skip_lines": (_SkipLines, 0),
    "header_lines": (_HeaderLines, 1),
    "units_line": (_UnitsLine, None),
    "comment": (_Comment, None),
    "repeated_header": (_RepeatedHeader, False),
    "trailing_delimiter": (_TrailingDelimiter, False),
    "widths": (_Widths, None),
    "decimal": (_Decimal, None),
    "thousands": (_Thousands, None),
    "missing": (_Missing, None),
    "type": (_Types, None),
    "order": (_Order, None),
}


def description(given: dict[str, Any]) -> "Description":
    """The description that the options of :data:`OPTIONS` make, checked. Raises UsageError."""
    from sensorstream.description import Description, column_names, whole_numbers

    made = Description(
        format=given.get("source_format"),
        columns=column_names(given["columns"]),
        units_line=tuple(given["units_line"] or ()),
        widths=whole_numbers(given["widths"], "--widths"),
        missing=tuple(given["missing"] or ()),
        types=tuple(given["type"] or ()),
        order=given.get("order"),
        **{
            name: given[name]
            for name in (
                *("encoding", "delimiter", "quote", "no_header", "skip_lines", "header_lines", "comment"),
                *("repeated_header", "trailing_delimiter", "decimal", "thousands"),
            )
        },
    )
    made.check()
    return made
