"""``stream``: transform a topic into another one, exactly once."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorstream.cli import live_latency
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.pipelines.stream.job import StreamResult
    from sensorstream.pipelines.stream.plan import StreamOptions


Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        "-g",
        metavar="GROUP",
        help="Consumer group, which shares the partitions and keeps the position. Default: FROM_to_TO.",
    ),
]

DeadLetters = Annotated[
    str | None,
    typer.Option(
        "--dead-letters",
        metavar="TOPIC",
        help="Topic for records that can't be used; created if missing. Default: the target's name with _DEAD.",
    ),
]
Create = Annotated[
    bool,
    typer.Option(
        "--create",
        help="Create the target if it is missing, with as many partitions as the source; a new topic for dead "
        "letters gets as many, too.",
    ),
]
ExitAtEnd = Annotated[bool, typer.Option("--exit", "-e", help="Stop when all that was there at the start is done.")]
Count = Annotated[int | None, typer.Option("--count", "-c", metavar="N", min=1, help="Stop after N records.")]
Timeout = Annotated[float | None, typer.Option("--timeout", metavar="S", help="Stop after S seconds without a record.")]
CommitEvery = Annotated[
    float,
    typer.Option(
        "--commit-every",
        metavar="S",
        help="Seconds that a transaction may collect records; it is committed at once when none are waiting.",
    ),
]
NumberOfWorkers = Annotated[
    int,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        max=64,
        help="Number of processes that share the partitions.",
    ),
]
Instance = Annotated[
    str | None,
    typer.Option(
        "--instance",
        metavar="NAME",
        help="Name that the transactions are made under: the same after a restart, another on each machine. "
        "Default: the host name.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "stream", "stream", sends="exactly once")(stream)


def stream(
    session: Session,
    *,
    source: Annotated[str, typer.Option("--from", metavar="TOPIC", help="Topic to read.")],
    target: Annotated[str, typer.Option("--to", metavar="TOPIC", help="Topic to write.")],
    transform: Annotated[
        list[str],
        typer.Option(
            "--transform",
            metavar="NAME",
            help="Transform to apply: select, rename, filter, round, score, or a plug-in (repeatable, applied in "
            "order).",
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Option of the transform (repeatable); with several transforms NAME.KEY=VALUE.",
        ),
    ] = None,
    group: Group = None,
    dead_letters: DeadLetters = None,
    create: Create = False,
    exit_at_end: ExitAtEnd = False,
    count: Count = None,
    timeout: Timeout = None,
    commit_every: CommitEvery = 0.5,
    workers: NumberOfWorkers = 1,
    instance: Instance = None,
    latency: live_latency.LatencyOption = False,
) -> Outcome:
    """Transform a topic into another topic, each record exactly once.

    Output, dead letters and the group's position are committed in one transaction. It goes on where the group has
    committed, and runs until Ctrl-C unless -e, -c or --timeout ends it.
    """
    from sensorstream.pipelines.stream.plan import StreamOptions
    from sensorstream.transforms.load import open_chain

    measured = live_latency.arrivals(latency)
    chosen = StreamOptions(
        source,
        target,
        dead_letters,
        instance,
        exit_at_end=exit_at_end,
        count=count,
        timeout=timeout,
        commit_every=commit_every,
        workers=workers,
        create=create,
        arrived=None if measured is None else measured.arrived,
    )
    own = [part for name in transform for part in ("--transform", name)]
    own += [part for pair in set_ or () for part in ("--set", pair)]
    outcome = run(session, chosen, lambda: open_chain(transform, set_ or ()), ["stream", *own], group)
    return live_latency.with_latency(session, outcome, measured, source)


def run(session: Session, chosen: "StreamOptions", make_transform: Any, words: list[str], group: str | None) -> Outcome:
    """Run a stream and tell what it came to; ``words`` are the command and its own options, for the workers."""
    from sensorstream.clients import check_publishing
    from sensorstream.pipelines.stream.plan import default_group
    from sensorstream.pipelines.stream.plan import run as run_stream

    settings = session.settings_with(group=group or default_group(chosen.source, chosen.target))
    check_publishing(settings, session.listener, exactly_once=True)
    words += ["--from", chosen.source, "--to", chosen.target, "--dead-letters", chosen.dead, "--group", settings.group]
    words += ["--commit-every", str(chosen.commit_every), *session.connection_arguments]
    words += session.sending_arguments
    words += ["--exit"] if chosen.exit_at_end else []
    words += ["--timeout", str(chosen.timeout)] if chosen.timeout is not None else []
    words += ["--instance", chosen.instance] if chosen.instance else []
    words += ["--quiet"] if session.quiet else []
    with session.interruptible() as stop:
        result = run_stream(settings, chosen, make_transform, words, stop=stop, listener=session.listener)
    return _outcome(result, bounded=chosen.exit_at_end or chosen.count is not None)


def _outcome(result: "StreamResult", *, bounded: bool) -> Outcome:
    from sensorstream.cli.render import counted

    errors = []
    code = ExitCode.DONE
    if result.dead_letters:
        code = ExitCode.FAILED
        unusable = counted(result.dead_letters, "record")
        errors.append(f"{unusable} could not be used, kept in {result.dead_letters_topic}")
    if bounded and result.ended == "timeout":
        code = ExitCode.FAILED
        errors.append(f"no record came within the --timeout; {result.rows_in} were done")
    if bounded and result.ended == "stopped":
        code = ExitCode.INTERRUPTED
        errors.append("interrupted before the work was complete; start the same command again to go on")
    return Outcome(
        result,
        lambda console: show_stream(console, result),
        status="partial" if errors else "ok",
        exit_code=code,
        errors=errors,
    )


def show_stream(console: "Console", result: "StreamResult") -> None:
    """What was done of each partition, and the line of the whole."""
    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible

    rows = table("topic", "partition", "offsets", "in", "out", "dead", right=("partition", "in", "out", "dead"))
    for part in result.partitions:
        rows.add_row(
            visible(part.topic),
            str(part.partition),
            f"{part.first_offset}..{part.next_offset - 1}" if part.next_offset > part.first_offset else "none",
            f"{part.rows_in:,}",
            f"{part.rows_out:,}",
            f"{part.dead_letters:,}",
        )
    console.print(rows)
    again = f", {result.aborted:,} done again" if result.aborted else ""
    console.print(
        f"{visible(result.source)} to {visible(result.target)}: {result.rows_in:,} in, {result.rows_out:,} out, "
        f"{counted(result.dead_letters, 'dead letter')}, {counted(result.transactions, 'transaction')}{again}"
    )
