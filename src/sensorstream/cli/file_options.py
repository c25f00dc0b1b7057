"""The options that say how source files are written: the same for every command that reads them.

They are made one :class:`~sensorstream.description.Description`; a command takes it as its ``description``.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sensorstream.cli import options

if TYPE_CHECKING:
    from sensorstream.description import Description

PANEL: Final = "How files are written"

_NoHeader = Annotated[
    bool,
    typer.Option("--no-header", help="The sources have no header: columns are column_1 ...", rich_help_panel=PANEL),
]
_SkipLines = Annotated[
    int, typer.Option("--skip-lines", metavar="N", min=0, help="Lines ahead of the header.", rich_help_panel=PANEL)
]
_HeaderLines = Annotated[
    int,
    typer.Option("--header-lines", metavar="N", min=1, help="Lines that name the columns.", rich_help_panel=PANEL),
]
_UnitsLine = Annotated[
    list[int] | None,
    typer.Option(
        "--units-line",
        metavar="N",
        min=1,
        help="The number of a line of units or the like, which is left out (repeatable).",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
_Comment = Annotated[
    str | None,
    typer.Option(
        "--comment",
        metavar="MARK",
        help="What lines begin with that are left out, for example '#'.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
_RepeatedHeader = Annotated[
    bool,
    typer.Option("--repeated-header", help="Leave out lines that are the header once more.", rich_help_panel=PANEL),
]
_TrailingDelimiter = Annotated[
    bool, typer.Option("--trailing-delimiter", help="Every line ends with a delimiter.", rich_help_panel=PANEL)
]
_Widths = Annotated[
    str | None,
    typer.Option(
        "--widths",
        metavar="N,...",
        help="The columns have no delimiter, but these widths in characters.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
_Decimal = Annotated[
    str | None,
    typer.Option(
        "--decimal",
        metavar="C",
        help="The decimal mark of numbers. Default: a point.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
_Thousands = Annotated[
    str | None,
    typer.Option(
        "--thousands",
        metavar="C",
        help="The mark between the thousands of numbers. Default: none.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
_Missing = Annotated[
    list[str] | None,
    typer.Option(
        "--missing",
        metavar="[COLUMN=]VALUE",
        help="A cell that means a missing value, in every column or in one (repeatable).",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
_Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        metavar="COLUMN=TYPE",
        help="The type of a column: number, text, bool or time (repeatable). Default: each cell by its letters.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
_Order = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="name|time",
        help="Of the files of a pattern, such as 'day*.csv': by name, or by when they were written. Default: name.",
        show_default=False,
        rich_help_panel=PANEL,
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
