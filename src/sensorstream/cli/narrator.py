"""What a running job tells, as lines on stderr and a status line on a terminal."""

import os
import sys
import threading
import time
from typing import Final, TextIO

from sensorstream.cli.terminal import visible, write
from sensorstream.events import Event, Notice, PartitionEnd, Progress, RowPublished, RowRejected, RowStored, Step
from sensorstream.wording import counted

PROGRESS_EVERY_S: Final = 5.0
_TERMINAL_EVERY_S: Final = 0.2


class Narrator:
    """Tells on stderr what a running job does; safe to call from any thread."""

    def __init__(self, *, quiet: bool, verbose: bool, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._verbose = verbose
        self._terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._terminal and not os.environ.get("NO_COLOR")
        self._dimmed = False
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
                    if event.level == "warning":
                        self._line(f"warning: {event.text}", dim=False)
                    else:
                        self._line(event.text)
            case Step():
                self._step(event)
            case Progress():
                self._progress(event)

    def close(self) -> None:
        """Leave the terminal as it was found."""
        with self._lock:
            self._clear()

    def _line(self, text: str, *, dim: bool = True) -> None:
        with self._lock:
            self._clear()
            shown = visible(text)
            write(self._stream, f"\x1b[2m{shown}\x1b[0m\n" if dim and self._dimmed else f"{shown}\n")

    def _step(self, step: Step) -> None:
        """A heading; on a terminal it stands out, and what happens within the step is dimmed from now on."""
        with self._lock:
            self._clear()
            text = visible(f"{step.number}. {step.text}")
            if self._terminal and step.number > 1:
                write(self._stream, "\n")
            write(self._stream, f"\x1b[1;36m{text}\x1b[0m\n" if self._coloured else f"{text}\n")
            self._dimmed = self._coloured

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
            if now - max(self._shown_at, job.since) < every:
                return
            self._shown_at = now
            text = visible("   ".join(job.text() for job in self._jobs.values()))
            if self._terminal:
                self._clear()
                columns = os.get_terminal_size(self._stream.fileno()).columns
                write(self._stream, text[: columns - 1])
                self._status_shown = True
            else:
                write(self._stream, text + "\n")

    def _clear(self) -> None:
        if self._status_shown:
            write(self._stream, "\r\x1b[2K")
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
        parts = [f"{event.what}: {counted(event.done, 'row')}"]
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
