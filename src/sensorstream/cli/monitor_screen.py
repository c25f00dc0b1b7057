"""``monitor`` without ``--once``: the live screen in the terminal."""

import os
import sys
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from sensorstream.cli import fail_if
from sensorstream.cli.command import Outcome, Session
from sensorstream.errors import UsageError
from sensorstream.records import check_topic_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensorstream.monitor.conditions import Condition
    from sensorstream.monitor.newest_rows import NewestRows
    from sensorstream.monitor.observer import Observer

SHARE: Final = 0.03
"""What snapshots may take of a core; drawing them takes the rest of the 5 % that the screen is to keep to."""
_LET_GO_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.3
_ONCE: Final = "for a picture of the moment use: sensorstream monitor --once"


def check_screen(session: Session) -> None:
    """Raises UsageError where there is no terminal, or not what draws the screen."""
    if session.json:
        raise UsageError("the screen of monitor can't be written as JSON", hint=_ONCE)
    if not has_terminal():
        raise UsageError("the screen of monitor needs a terminal, and this is none", hint=_ONCE)
    if find_spec("textual") is None:
        raise UsageError(
            "the screen of monitor is drawn by textual, which is not installed",
            hint=f"install it with: pip install 'sensorstream[monitor]'; {_ONCE}",
        )


def has_terminal() -> bool:
    """Whether a screen can be drawn; Textual writes to stderr."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def show_screen(
    session: Session,
    *,
    topic: str | None,
    every: str,
    light: bool | None,
    watched: "Sequence[Condition]" = (),
) -> Outcome:
    """Show the screen until it is quit, or one of the conditions holds.

    ``topic`` is whose rows are shown; ``light`` None: as the terminal is. Raises CredentialsRefused.
    """
    from sensorstream.transforms.event_time import parse_duration

    every_s = parse_duration(every, "--every") / 1000
    if topic is not None:
        check_topic_name(topic)
    check_screen(session)
    from sensorstream.clients import open_client
    from sensorstream.monitor.newest_rows import NewestRows, light_settings
    from sensorstream.monitor.observer import Observer
    from sensorstream.monitor.screen.app import MonitorApp

    settings = session.settings
    reading = light_settings(settings)

    def open_rows(of: str, partition: int | None) -> "NewestRows":
        return NewestRows(lambda: open_client(reading), of, partition)

    given = session.flags.get("bootstrap")
    where = str(given) if str(given).startswith("cluster:") else ", ".join(settings.bootstrap)
    observer = Observer(settings, every_s=every_s, share=SHARE)
    ended = threading.Event()
    with session.interruptible() as stop:
        observer.__enter__()
        try:
            threading.Thread(target=_stop_when_refused, args=(observer, stop, ended), daemon=True).start()
            with fail_if.guarded(session, watched, stop, observer) as guard:
                MonitorApp(
                    observer,
                    open_rows,
                    where=where,
                    topic=topic,
                    light=_is_light() if light is None else light,
                    stop=stop,
                ).run()
        finally:
            ended.set()
            _let_go(observer)
    if observer.refused is not None:
        raise observer.refused
    return fail_if.judged(Outcome(None), () if guard is None else guard.verdicts)


def _stop_when_refused(observer: "Observer", stop: threading.Event, ended: threading.Event) -> None:
    """A screen that asks no more shows nothing: it ends, and the reason is the command's error."""
    while not ended.wait(_LOOK_EVERY_S):
        if observer.refused is not None:
            stop.set()
            return


def _is_light() -> bool:
    """Whether the terminal says that its background is light, as rxvt, Konsole and others do."""
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return background in ("7", "15")


def _let_go(observer: "Observer") -> None:
    """Who quits does not want to wait for a broker's answer: the observer's thread ends with the process."""
    closing = threading.Thread(target=observer.close, daemon=True)
    closing.start()
    closing.join(_LET_GO_S)
