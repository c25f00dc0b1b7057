"""From results and events to text: results go to stdout, all else to stderr.

No ANSI codes reach anything that is not a terminal, and none at all under NO_COLOR. What comes from outside
(values, topic names, messages of brokers) is shown with its control characters visible, never obeyed.
"""

import dataclasses
import json
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TextIO

from sensorstream.events import Event, Notice, PartitionEnd, Progress, RowPublished, RowRejected, RowStored

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sensorstream.cli.command import Outcome, Session

SCHEMA: Final = 1
PROGRESS_EVERY_S: Final = 5.0
_TERMINAL_EVERY_S: Final = 0.2

# C0 and C1 controls, DEL and the direction overrides, which can make a line show what it does not say.
_VISIBLE: Final = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (
        *(*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
        *range(0xD800, 0xE000),  # the bytes of a file name that is not UTF-8, and half pairs out of JSON escapes
    )
}


def visible(text: str) -> str:
    """The text on one line, with control characters written out instead of obeyed."""
    return text.translate(_VISIBLE)


def envelope(command: str, status: str, result: object, errors: list[dict[str, Any]]) -> str:
    """The one JSON object of ``--output json``; its keys are a contract."""
    plain = dataclasses.asdict(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else result
    document = {"schema": SCHEMA, "command": command, "status": status, "result": plain, "errors": errors}
    text = json.dumps(document, default=str, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "strict")
    except UnicodeEncodeError:
        # A file name that is not UTF-8, or a terminal that is not: JSON has escapes for both.
        return json.dumps(document, default=str)
    return text


def finish(session: "Session", outcome: "Outcome") -> None:
    """Write a command's outcome: the envelope or the text to stdout, the errors to stderr."""
    session.narrator.close()
    if session.json:
        errors = [{"message": message, "hint": "", "exit_code": int(outcome.exit_code)} for message in outcome.errors]
        sys.stdout.write(envelope(session.command, outcome.status, outcome.result, errors) + "\n")
    elif outcome.text is not None:
        outcome.text(console())
    sys.stdout.flush()
    for message in outcome.errors:
        error_line(message)


def console(stream: TextIO | None = None) -> "Console":
    """A rich console on stdout (or on ``stream``); plain and unwrapped where that is not a terminal."""
    from rich.console import Console

    stream = stream or sys.stdout
    terminal = stream.isatty()
    width = None if terminal else 200
    return Console(
        file=stream,
        force_terminal=terminal,
        width=width,
        highlight=False,
        markup=False,
        soft_wrap=not terminal,
    )


def table(*columns: str, right: tuple[str, ...] = ()) -> "Table":
    """A table as all commands show it; ``right`` names the columns of figures."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return made


def known(value: object) -> str:
    """A value for a table; None is unknown and is never shown as 0."""
    return "unknown" if value is None else visible(str(value))


def size(count: int | None) -> str:
    """A number of bytes for people: ``1.5 MB``."""
    if count is None:
        return "unknown"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def error_line(message: str) -> None:
    """One line on stderr that begins with ``error:``."""
    _write(sys.stderr, f"error: {visible(message)}\n")


def start_logging(*, verbose: bool) -> None:
    """Keep the Kafka client's own log off the console: into the log file, and to stderr only with ``-v``."""
    logger = logging.getLogger("kafka")
    logger.propagate = False
    if not any(isinstance(handler, _LogFile) for handler in logger.handlers):
        logger.addHandler(_LogFile())
    if verbose and not any(type(handler) is logging.StreamHandler for handler in logger.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.WARNING)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger.addHandler(handler)


class _LogFile(logging.Handler):
    """A log file that is only made when there is something to write into it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"))
        self._target: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._target is None:
            self._target = self._open()
        self._target.handle(record)

    def _open(self) -> logging.Handler:
        from logging.handlers import RotatingFileHandler
        from pathlib import Path

        import platformdirs

        folder = os.environ.get("SENSORSTREAM_STATE_DIR") or platformdirs.user_log_dir("sensorstream", appauthor=False)
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            target = RotatingFileHandler(
                Path(folder) / "client.log", maxBytes=5_000_000, backupCount=1, encoding="utf-8"
            )
        except OSError:
            # A read-only home must not stop the work; the log is a convenience.
            return logging.NullHandler()
        target.setFormatter(self.formatter)
        return target


def _write(stream: TextIO, text: str) -> None:
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        stream.flush()
    except (OSError, ValueError):
        # Nobody can be told that stderr is gone.
        return


class Narrator:
    """Tells on stderr what a running job does; safe to call from any thread."""

    def __init__(self, *, quiet: bool, verbose: bool, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._verbose = verbose
        self._terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._shown_at = time.monotonic()
        self._status_shown = False

    def tell(self, event: Event) -> None:
        """Take one event."""
        if self._quiet and not (isinstance(event, Notice) and event.level == "warning"):
            return
        match event:
            case RowPublished():
                self._line(f"Publish message {event.topic} data: {_shown(event.value)}")
            case RowStored():
                self._line(f"Saved data to {event.topic} file: {_shown(event.value)}")
            case PartitionEnd():
                self._line(f"Reached the end of {event.topic} partition {event.partition} at offset {event.offset}")
            case RowRejected():
                self._line(f"Rejected {event.where}: {event.reason} (kept in {event.path})")
            case Notice():
                if event.level != "debug" or self._verbose:
                    self._line(f"warning: {event.text}" if event.level == "warning" else event.text)
            case Progress():
                self._progress(event)

    def close(self) -> None:
        """Leave the terminal as it was found."""
        with self._lock:
            self._clear()

    def _line(self, text: str) -> None:
        with self._lock:
            self._clear()
            _write(self._stream, visible(text) + "\n")

    def _progress(self, event: Progress) -> None:
        now = time.monotonic()
        with self._lock:
            job = self._jobs.setdefault(event.what, _Job(now, event.done))
            job.latest, job.at = event, now
            if event.done == event.total and not event.estimated:
                # What is done needs no line any more: the result tells it.
                del self._jobs[event.what]
                return
            every = _TERMINAL_EVERY_S if self._terminal else PROGRESS_EVERY_S
            if now - self._shown_at < every:
                return
            self._shown_at = now
            text = visible("   ".join(job.text() for job in self._jobs.values()))
            if self._terminal:
                self._clear()
                columns = os.get_terminal_size(self._stream.fileno()).columns
                _write(self._stream, text[: columns - 1])
                self._status_shown = True
            else:
                _write(self._stream, text + "\n")

    def _clear(self) -> None:
        if self._status_shown:
            _write(self._stream, "\r\x1b[2K")
            self._status_shown = False


class _Job:
    """The progress of one job since it was first heard of."""

    def __init__(self, since: float, done: int) -> None:
        self.since = self.at = since
        self.first = done
        self.latest: Progress | None = None

    def text(self) -> str:
        event = self.latest
        if event is None:
            return ""
        passed = self.at - self.since
        rate = (event.done - self.first) / passed if passed > 0 else 0.0
        parts = [f"{event.what}: {event.done:,} rows"]
        if event.total:
            parts[0] += f" of {'about ' if event.estimated else ''}{event.total:,}"
        if rate:
            parts.append(f"{rate:,.0f} rows/s" if rate >= 10 else f"{rate:.2g} rows/s")
            if event.total and event.total > event.done:
                parts.append(f"ETA {_duration((event.total - event.done) / rate)}")
        if event.failed:
            parts.append(f"{event.failed:,} failed")
        return ", ".join(parts)


def _shown(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
