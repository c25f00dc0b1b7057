"""The options that several commands share, each declared once.

Short flags follow kcat and rpk: ``-b -t -p -g -o -e -c -X -z -k -q -v``; ``-o`` is always an offset.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from sensorstream import sending

KAFKA_PANEL: Final = "Connection"
OUTPUT_PANEL: Final = "Output"
SENDING_PANEL: Final = "Sending"


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
        help="Brokers to ask first, or cluster:NAME, a cluster of 'cluster up'. Default: 127.0.0.1:29092,39092,49092.",
        rich_help_panel=KAFKA_PANEL,
    ),
]
Properties = Annotated[
    list[str] | None,
    typer.Option(
        "-X",
        metavar="KEY=VALUE",
        help="A client property under its Java name, for example -X linger.ms=5 (repeatable).",
        rich_help_panel=KAFKA_PANEL,
    ),
]
CommandConfig = Annotated[
    Path | None,
    typer.Option(
        "--command-config",
        metavar="FILE",
        help="A properties file as Kafka's own tools take it.",
        rich_help_panel=KAFKA_PANEL,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="A profile of sensorstream.toml.", rich_help_panel=KAFKA_PANEL),
]
ClientName = Annotated[
    str | None,
    typer.Option(
        "--client",
        metavar="NAME",
        help="auto, kafka-python or librdkafka. Default: auto, librdkafka where it is installed.",
        rich_help_panel=KAFKA_PANEL,
    ),
]
Compression = Annotated[
    str | None,
    typer.Option(
        "--compression",
        metavar="|".join(sending.COMPRESSIONS),
        help=f"What batches are compressed with. Default: {sending.DEFAULT_COMPRESSION}.",
        show_default=False,
        rich_help_panel=SENDING_PANEL,
    ),
]
Linger = Annotated[
    int | None,
    typer.Option(
        "--linger",
        metavar="MS",
        help="Milliseconds that a row waits for others to be sent with. Default: 5; 0 for rows that have a pace.",
        show_default=False,
        rich_help_panel=SENDING_PANEL,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="BYTES",
        help="The most that is sent at once for one partition. Default: 262144; librdkafka 1000000.",
        show_default=False,
        rich_help_panel=SENDING_PANEL,
    ),
]
Acks = Annotated[
    str | None,
    typer.Option(
        "--acks",
        metavar="|".join(sending.ACKS),
        help="Who must have a row before it counts as sent: all in-sync replicas, the leader, nobody. Default: all.",
        show_default=False,
        rich_help_panel=SENDING_PANEL,
    ),
]
Idempotence = Annotated[
    bool | None,
    typer.Option(
        "--idempotence/--no-idempotence",
        help="Whether the brokers see to it that no retry doubles or reorders rows. Default: they do.",
        show_default=False,
        rich_help_panel=SENDING_PANEL,
    ),
]
OutputOption = Annotated[
    Output,
    typer.Option("--output", help="Write the result as text or as JSON.", rich_help_panel=OUTPUT_PANEL),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress and no notices on stderr.", rich_help_panel=OUTPUT_PANEL),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="More on stderr: client logs, tracebacks.", rich_help_panel=OUTPUT_PANEL),
]

Topic = Annotated[str, typer.Option("--topic", "-t", metavar="TOPIC", help="The topic to read.")]
Group = Annotated[
    str | None,
    typer.Option("--group", "-g", metavar="GROUP", help="The consumer group. Default: sensor_data_group."),
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="TOPIC=FILE",
        help="A file for a topic (repeatable). Default: the configured topics' files; the samples built in.",
    ),
]
Thread = Annotated[
    int | None,
    typer.Option("--thread", metavar="N", help="Threads that share the sources. Default: 3.", show_default=False),
]
Delay = Annotated[
    float | None,
    typer.Option(
        "--delay",
        metavar="S",
        help="Seconds between the rows of one source; 0: as fast as it goes. Default: 10.",
        show_default=False,
    ),
]
ExactlyOnce = Annotated[
    bool | None,
    typer.Option(
        "--exactly-once/--no-exactly-once",
        help="Publish each row exactly once: after an interruption, the same command goes on where it was.",
        show_default=False,
    ),
]
JobName = Annotated[
    str | None,
    typer.Option(
        "--job",
        metavar="NAME",
        help="With --exactly-once: the job's name. Default: made from the file's content, the topic and the rules.",
        show_default=False,
    ),
]
Restart = Annotated[
    bool,
    typer.Option("--restart", help="With --exactly-once: publish from the beginning, whatever was published before."),
]
Encoding = Annotated[str, typer.Option("--encoding", metavar="NAME", help="The source files' character encoding.")]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="C",
        help="What separates the cells of a source; auto: what the header uses most. Default: a comma, or what a "
        "header without one shows; in TSV a tab.",
        show_default=False,
    ),
]
SourceFormat = Annotated[
    str | None,
    typer.Option(
        "--source-format",
        metavar="csv|tsv|jsonl|json|text",
        help="What the sources are. Default: what their endings say, else csv.",
        show_default=False,
    ),
]
Quote = Annotated[
    str | None,
    typer.Option(
        "--quote",
        metavar="C|none",
        help="What a cell of a source may be quoted with. Default: '\"', in TSV none.",
        show_default=False,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME,...",
        help="The columns of CSV and TSV sources without a header line.",
        show_default=False,
    ),
]
