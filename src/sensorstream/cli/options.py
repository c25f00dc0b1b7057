"""The options that several commands share, each declared once.

Short flags follow kcat and rpk: ``-b -t -p -g -o -e -c -X -z -k -q -v``; ``-o`` is always an offset.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sensorstream import producer_options
from sensorstream.cli import panels


class Output(StrEnum):
    """How a result is written to stdout."""

    TEXT = "text"
    JSON = "json"


Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        "-b",
        metavar="HOST:PORT,...",
        help="Brokers to connect to first, or cluster:NAME for one of 'cluster up'. Default: "
        "127.0.0.1:29092,39092,49092.",
        rich_help_panel=panels.CONNECTION,
    ),
]
Properties = Annotated[
    list[str] | None,
    typer.Option(
        "-X",
        metavar="KEY=VALUE",
        help="Client property by its Java name, such as -X linger.ms=5 (repeatable).",
        rich_help_panel=panels.CONNECTION,
    ),
]
CommandConfig = Annotated[
    Path | None,
    typer.Option(
        "--command-config",
        metavar="FILE",
        help="Properties file, as Kafka's own tools take it.",
        rich_help_panel=panels.CONNECTION,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="Profile of sensorstream.toml to use.", rich_help_panel=panels.CONNECTION
    ),
]
ClientName = Annotated[
    str | None,
    typer.Option(
        "--client",
        metavar="NAME",
        help="Kafka client: auto, kafka-python or librdkafka. Default: auto, which is librdkafka where it is "
        "installed.",
        rich_help_panel=panels.CONNECTION,
    ),
]
Compression = Annotated[
    str | None,
    typer.Option(
        "--compression",
        metavar="|".join(producer_options.COMPRESSIONS),
        help=f"Compression of the batches. Default: {producer_options.DEFAULT_COMPRESSION}.",
        show_default=False,
        rich_help_panel=panels.SENDING,
    ),
]
Linger = Annotated[
    int | None,
    typer.Option(
        "--linger",
        metavar="MS",
        help="Milliseconds that a row waits to be sent together with others. Default: 5, or 0 for rows with a pace.",
        show_default=False,
        rich_help_panel=panels.SENDING,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="BYTES",
        help=f"Largest batch for one partition. Default: {producer_options.DEFAULT_BATCH_SIZE}.",
        show_default=False,
        rich_help_panel=panels.SENDING,
    ),
]
Acks = Annotated[
    str | None,
    typer.Option(
        "--acks",
        metavar="|".join(producer_options.ACKS),
        help="Who must have stored a row before it counts as sent: all in-sync replicas, the leader (1), or "
        "nobody (0). Default: all.",
        show_default=False,
        rich_help_panel=panels.SENDING,
    ),
]
Idempotence = Annotated[
    bool | None,
    typer.Option(
        "--idempotence/--no-idempotence",
        help="Let the brokers make sure that no retry duplicates or reorders rows. Default: on.",
        show_default=False,
        rich_help_panel=panels.SENDING,
    ),
]
OutputOption = Annotated[
    Output,
    typer.Option(
        "--output", metavar="text|json", help="Format of the result on stdout.", rich_help_panel=panels.OUTPUT
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Show no progress and no notices on stderr.", rich_help_panel=panels.OUTPUT),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Show more on stderr: client logs, tracebacks.", rich_help_panel=panels.OUTPUT
    ),
]

Topic = Annotated[str, typer.Option("--topic", "-t", metavar="TOPIC", help="Topic to read.")]
Group = Annotated[
    str | None,
    typer.Option("--group", "-g", metavar="GROUP", help="Consumer group. Default: sensor_data_group."),
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="TOPIC=FILE",
        help="A source file and its topic (repeatable). Default: the files of the configured topics, else the "
        "built-in samples.",
    ),
]
Thread = Annotated[
    int | None,
    typer.Option("--thread", metavar="N", help="Number of threads that publish. Default: 3.", show_default=False),
]
Delay = Annotated[
    float | None,
    typer.Option(
        "--delay",
        metavar="S",
        help="Seconds between two rows of a source; 0 for no pause. Default: 10.",
        show_default=False,
    ),
]
ExactlyOnce = Annotated[
    bool | None,
    typer.Option(
        "--exactly-once/--no-exactly-once",
        help="Publish each row exactly once; after an interruption, the same command goes on where it stopped.",
        show_default=False,
    ),
]
JobName = Annotated[
    str | None,
    typer.Option(
        "--job",
        metavar="NAME",
        help="With --exactly-once: name of the job. Default: derived from the file's content, the topic and the rules.",
        show_default=False,
    ),
]
Restart = Annotated[
    bool,
    typer.Option("--restart", help="With --exactly-once: start from the first row, whatever was published before."),
]
Encoding = Annotated[str, typer.Option("--encoding", metavar="NAME", help="Character encoding of the source files.")]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="C",
        help="What separates cells; auto takes what the header uses most. Default: a comma, or another where "
        "the header has no comma; a tab in TSV.",
        show_default=False,
    ),
]
SourceFormat = Annotated[
    str | None,
    typer.Option(
        "--source-format",
        metavar="csv|tsv|jsonl|json|text",
        help="Format of the source files. Default: by their names, else csv.",
        show_default=False,
    ),
]
Quote = Annotated[
    str | None,
    typer.Option(
        "--quote",
        metavar="C|none",
        help="Quote character of cells. Default: '\"'; none in TSV.",
        show_default=False,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME,...",
        rich_help_panel=panels.FILES,
        help="Names of the columns, for CSV and TSV sources without a header.",
        show_default=False,
    ),
]
