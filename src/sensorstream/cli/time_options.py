"""The options that say where rows have their time and how fast a recording is replayed, each declared once."""

from typing import Annotated

import typer

Speed = Annotated[
    float | None,
    typer.Option("--speed", metavar="X", help="Replay by the time column, X times as fast as it was recorded."),
]
MaxGap = Annotated[
    float | None,
    typer.Option("--max-gap", metavar="S", help="With --speed: a pause of the recording counts for S seconds at most."),
]
Clock = Annotated[
    str | None,
    typer.Option(
        "--clock",
        metavar="common|own",
        help="With --speed: one clock for all sources, which interleave as recorded, or one for each. Default: common.",
    ),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time-column",
        metavar="NAME,...",
        help="The column that holds a row's time, or several: Date,Time or year,month,day,hour.",
    ),
]
TimeFormat = Annotated[
    str | None,
    typer.Option(
        "--time-format",
        metavar="FORMAT",
        help="iso, dmy, mdy, ymd, epoch-s, epoch-ms, epoch-us, epoch-ns, epoch, or as for strptime. Default: iso.",
    ),
]
TimeZone = Annotated[
    list[str] | None,
    typer.Option(
        "--time-zone",
        metavar="[TOPIC=]ZONE",
        help="The zone of times without an offset: Europe/Berlin, +07:00 (repeatable with TOPIC=). Default: UTC.",
    ),
]
