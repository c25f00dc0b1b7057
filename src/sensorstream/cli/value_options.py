"""The options that say what the values of records are, and where their schemas are kept."""

from typing import Annotated

import typer

from sensorstream.cli import panels

ValueFormat = Annotated[
    str | None,
    typer.Option(
        "--value-format",
        "--format",
        rich_help_panel=panels.RECORDS,
        metavar="json|avro",
        help="Format of the values. Default: the topic's configured one, else json.",
        show_default=False,
    ),
]
Schema = Annotated[
    str | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="Schema of the values: an Avro schema, or with json a JSON Schema that each row must match. "
        "Default: for Avro, derived from the source.",
        show_default=False,
    ),
]
SchemaRegistry = Annotated[
    str | None,
    typer.Option(
        "--schema-registry",
        rich_help_panel=panels.RECORDS,
        metavar="URL",
        help="Schema registry for Avro values. Default: the configured one; without one, the cluster keeps the"
        " schemas.",
        show_default=False,
    ),
]
