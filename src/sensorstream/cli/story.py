"""A demonstration as a story: each step's table under its step, and the verdict at the end."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sensorstream.cli.colours import VERDICTS
from sensorstream.cli.session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.admin import TopicsCreated

Shows = Mapping[type, "Callable[[Console, Any], None]"]


class Story:
    """Writes each part of a result to stdout at once; ``shows`` says how, by its type. Nothing under --output json."""

    def __init__(self, session: Session, shows: Shows) -> None:
        self._session = session
        self._shows = shows

    def __call__(self, part: object) -> None:
        """Show one part, now."""
        from sensorstream.cli.render import console

        if self._session.json:
            return
        self._session.narrator.close()
        out = console()
        self._shows[type(part)](out, part)
        out.file.flush()


def show_topics(console: "Console", result: "TopicsCreated") -> None:
    """The topics that were created."""
    from sensorstream.cli.render import known, table

    rows = table("topic", "partitions", "replicas", right=("partitions", "replicas"))
    for topic in result.topics:
        rows.add_row(known(topic.name), str(topic.partitions), str(topic.replication_factor))
    console.print(rows)


def show_verdict(console: "Console", lines: Sequence[str], *, passed: bool) -> None:
    """The end of a demonstration, in a frame where that can be drawn."""
    from rich import box
    from rich.panel import Panel
    from rich.text import Text

    if not console.is_terminal:
        for line in lines:
            console.print(line)
        return
    style = VERDICTS[passed]
    title = "passed" if passed else "FAILED"
    drawn = box.ASCII if console.options.ascii_only else box.HEAVY
    text = Text("\n".join(lines), style=style)
    console.print()
    console.print(Panel(text, box=drawn, title=title, border_style=style, padding=(0, 2), expand=False))
