"""``rejects``: what is in rejected files, and publishing what was mended."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.confirming import confirm
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.pipelines.rejects.files import RejectedFiles
    from sensorstream.pipelines.rejects.retry import RetryResult

rejects = typer.Typer(
    name="rejects", help="Look at rejected rows and records, and send them once they are mended.", no_args_is_help=True
)

LISTED = 3
_VALUE_SHOWN = 200


@command(rejects, "list", "rejects list", kafka=False)
def list_(
    session: Session,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER|FILE]...",
            help="Rejected files, or folders of them. Default: the current folder.",
            show_default=False,
        ),
    ] = None,
) -> Outcome:
    """Say what rejected files hold: how many entries, how many are open, and why.

    Exit code 4: a line can't be read; it is named.
    """
    from sensorstream.pipelines.rejects.files import summarise

    result = summarise(paths or [Path()])
    errors = [
        f"{file.path} line {bad.line} can't be read: {bad.reason}"
        for file in result.files
        for bad in file.bad_lines[:LISTED]
    ]
    return Outcome(
        result,
        lambda console: _show_list(console, result),
        status="partial" if errors else "ok",
        exit_code=ExitCode.WRONG_DATA if errors else ExitCode.DONE,
        errors=errors,
    )


def _show_list(console: "Console", result: "RejectedFiles") -> None:
    from sensorstream.cli.render import known, shown_path, table

    if not result.files:
        console.print("There are no rejected files.")
        return
    figures = ("ENTRIES", "OPEN", "RETRIED")
    rows = table("FILE", *figures, "TOPIC", "MOST FREQUENT REASON", right=figures)
    for file in result.files:
        reason = file.reasons[0].reason if file.reasons else ""
        topics = ", ".join(file.topics[:LISTED]) + ("..." if len(file.topics) > LISTED else "")
        figures_of = (f"{file.letters:,}", f"{file.open:,}", f"{file.retried:,}")
        rows.add_row(shown_path(file.path), *figures_of, known(topics), known(reason[:100]))
    console.print(rows)


@command(rejects, "show", "rejects show", kafka=False)
def show(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rejected file.")],
    *,
    all_: Annotated[bool, typer.Option("--all", help="Show entries that were retried, too.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="Show at most N entries.")] = 20,
    whole: Annotated[
        bool, typer.Option("--whole", help=f"Show values in full, not only their first {_VALUE_SHOWN} characters.")
    ] = False,
) -> Outcome:
    """Show the open entries of a rejected file: their origin, reason and content.

    Exit code 4: a line can't be read; it is named.
    """
    from sensorstream.pipelines.rejects.files import BadLine, letters

    entries: list[dict[str, Any]] = []
    errors: list[str] = []
    more = bad_lines = 0
    for number, letter in letters(file):
        if isinstance(letter, BadLine):
            bad_lines += 1
            if len(errors) < LISTED:
                errors.append(f"{file} line {number} can't be read: {letter.reason}")
        elif letter.retried is None or all_:
            if len(entries) < limit:
                entries.append({"line_of_file": number, "where": letter.where, "entry": letter.document()})
            else:
                more += 1
    result = {"path": str(file), "entries": entries, "more": more, "bad_lines": bad_lines}

    def text(console: "Console") -> None:
        from sensorstream.cli.terminal import visible

        for one in entries:
            for line in _entry_lines(one, whole=whole):
                console.print(visible(line))
        if more:
            console.print(f"and {more:,} more; --limit N shows more of them")
        if not entries:
            console.print(f"There is nothing open in {visible(str(file))}.")

    return Outcome(
        result,
        text,
        status="partial" if errors else "ok",
        exit_code=ExitCode.WRONG_DATA if errors else ExitCode.DONE,
        errors=errors,
    )


def _entry_lines(one: dict[str, Any], *, whole: bool) -> list[str]:
    entry = one["entry"]
    to = f" for {entry['topic']}" if "file" in entry and entry["topic"] else ""
    lines = [f"line {one['line_of_file']}: {one['where']}{to}: {entry['reason']}"]
    if entry.get("timestamp_ms") is not None:
        lines.append(f"  time     {_time(entry['timestamp_ms'])}")
    for name in ("key", "key_base64"):
        if entry.get(name) is not None:
            lines.append(f"  {name:<9}{_cut(entry[name], whole)}")
    for header in entry.get("headers", ()):
        told = header["value"] if "value" in header else header["value_base64"] + " (base64)"
        lines.append(f"  header   {header['name']} = {_cut(told, whole)}")
    if "value_base64" in entry:
        lines.append(f"  base64   {_cut(entry['value_base64'], whole)}")
    else:
        lines.append("  value    none" if entry["value"] is None else f"  value    {_cut(entry['value'], whole)}")
    if "cut" in entry:
        lines.append("  cut      the end of the value is missing")
    if "retried" in entry:
        lines.append(f"  retried  {entry['retried'].get('at', 'at an unknown time')}")
    return lines


def _time(stamp_ms: int) -> str:
    from datetime import UTC, datetime, timedelta

    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=stamp_ms)).isoformat(timespec="milliseconds")
    except OverflowError:
        return f"{stamp_ms} ms after 1970"


def _cut(text: str, whole: bool) -> str:
    left = len(text) - _VALUE_SHOWN
    return text if whole or left <= 0 else f"{text[:_VALUE_SHOWN]}... ({left:,} more characters; --whole shows them)"


@command(rejects, "save", "rejects save")
def save(
    session: Session,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Topic of dead letters, such as POSTS_SCORED_DEAD.")],
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", help="Rejected file to write. Default: TOPIC.rejected.jsonl in the current folder."
        ),
    ] = None,
) -> Outcome:
    """Save the dead letters of a stream into a rejected file, to mend and retry them.

    The topic is left as it is. What is in the file already is not written again.
    """
    from sensorstream.clients import open_client
    from sensorstream.pipelines.rejects.topic import save as run
    from sensorstream.records import check_topic_name
    from sensorstream.sinks.rejected import ENDING

    check_topic_name(topic)
    client = open_client(session.settings, session.listener)
    with session.interruptible() as stop:
        result = run(client, topic, to or Path(topic + ENDING), stop=stop, listener=session.listener)

    def text(console: "Console") -> None:
        from sensorstream.cli.render import known

        others = f", {result.others:,} other records left out" if result.others else ""
        what = f"{_entries(result.letters)} of {topic}, {result.new:,} of them new in {known(result.path)}"
        console.print(what + others)

    return Outcome(result, text)


@command(rejects, "retry", "rejects retry")
def retry(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Rejected files, or folders of them.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; send nothing and ask no broker.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> Outcome:
    """Send the entries that can be used now, each once, and mark them as retried.

    Mend "value" in the file first, or the cause.

    Exit code 1: some entries can't be used yet. Exit code 4: a line can't be read, and nothing was sent.
    """
    from functools import partial

    from sensorstream.clients import open_client
    from sensorstream.pipelines.rejects import marks
    from sensorstream.pipelines.rejects.files import find
    from sensorstream.pipelines.rejects.retry import Retry
    from sensorstream.pipelines.rejects.retry import retry as run

    work = Retry(find(files))
    settings = session.settings
    if dry_run:
        return _outcome(work.result(dry_run=True))
    count = len(work.ready)
    if count and not yes:
        where = ", ".join(work.result(dry_run=True).topics)
        doing = f"sending {count:,} {'entry' if count == 1 else 'entries'} to {where}"
        hint = "add --yes, or look first with --dry-run"
        confirm(session, doing, f"Send {counted(count, 'entry')} to {where}?", hint=hint)
    client = open_client(settings, session.listener)
    with session.interruptible() as stop:
        result = run(client, work, partial(marks.make_topic, settings), stop=stop, listener=session.listener)
    return _outcome(result)


def _outcome(result: "RetryResult") -> Outcome:
    errors = []
    if result.not_sent:
        first = result.not_sent_lines[0]
        errors.append(
            f"{_entries(result.not_sent)} can't be used yet, such as {first.file} line {first.line}: {first.reason}"
        )
    return Outcome(
        result,
        lambda console: _show_retry(console, result),
        status="partial" if errors else "ok",
        exit_code=ExitCode.FAILED if errors else ExitCode.DONE,
        errors=errors,
    )


def _show_retry(console: "Console", result: "RetryResult") -> None:
    from sensorstream.cli.render import known, shown_path
    from sensorstream.cli.terminal import visible

    for one in result.not_sent_lines[:LISTED]:
        console.print(visible(f"not sent: {shown_path(one.file)} line {one.line} ({one.where}): {one.reason}"))
    if result.not_sent > LISTED:
        console.print(f"and {result.not_sent - LISTED:,} more that can't be used yet")
    to = ", ".join(f"{count:,} to {known(topic)}" for topic, count in result.topics.items())
    what = "would be sent" if result.dry_run else "sent"
    before = f", {result.already:,} retried before" if result.already else ""
    console.print(f"{_entries(result.sent)} {what}{f': {to}' if to else ''}{before}")


def _entries(count: int) -> str:
    return counted(count, "entry")
