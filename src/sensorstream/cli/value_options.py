"""The options that say what the values of records are, and where their schemas are kept."""

from typing import Annotated

import typer

ValueFormat = Annotated[
    str | None,
    typer.Option(
        "--value-format",
        "--format",
        metavar="json|avro",
        help="What the values are. Default: as the topic's table says, json.",
        show_default=False,
    ),
]
Schema = Annotated[
    str | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="The values' schema: Avro's, found from the source where none is given, or with json a JSON Schema "
        "that every row is checked against.",
        show_default=False,
    ),
]
SchemaRegistry = Annotated[
    str | None,
    typer.Option(
        "--schema-registry",
        metavar="URL",
        help="The registry that keeps the schemas of Avro values. Default: as configured; the cluster keeps them.",
        show_default=False,
    ),
]
