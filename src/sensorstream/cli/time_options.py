"""The options that say where rows have their time and how fast a recording is replayed, each declared once."""

from typing import Annotated

import typer

Speed = Annotated[
    float | None,
    typer.Option(
        "--speed",
        metavar="X",
        help="Replay by the time column, X times as fast as recorded: with 60, an hour takes a minute.",
    ),
]
MaxGap = Annotated[
    float | None,
    typer.Option("--max-gap", metavar="S", help="With --speed: treat a longer gap in the recording as S seconds."),
]
Clock = Annotated[
    str | None,
    typer.Option(
        "--clock",
        metavar="common|own",
        help="With --speed: one clock for all sources, so that they interleave as recorded (common), or one "
        "for each (own). Default: common.",
    ),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time-column",
        metavar="NAME,...",
        help="Column with the row's time, or several that make it: Date,Time or year,month,day,hour.",
    ),
]
TimeFormat = Annotated[
    str | None,
    typer.Option(
        "--time-format",
        metavar="FORMAT",
        help="Format of the times: iso, dmy, mdy, ymd, epoch-s, epoch-ms, epoch-us, epoch-ns, epoch, or a "
        "strptime format. Default: iso.",
    ),
]
TimeZone = Annotated[
    list[str] | None,
    typer.Option(
        "--time-zone",
        metavar="[TOPIC=]ZONE",
        help="Time zone of times that name none: Europe/Berlin, +07:00 (repeatable with TOPIC=). Default: UTC.",
    ),
]
