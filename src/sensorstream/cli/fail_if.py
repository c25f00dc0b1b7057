"""``--fail-if``: a command ends with exit code 5 when a condition on the cluster holds."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensorstream.cli.added import added
from sensorstream.cli.command import Outcome, Session
from sensorstream.errors import ExitCode, Interrupted

if TYPE_CHECKING:
    import threading

    from rich.console import Console

    from sensorstream.monitor.conditions import Condition
    from sensorstream.monitor.judging import Verdict
    from sensorstream.monitor.observer import Observer
    from sensorstream.monitor.watching import Checked, ConditionWatcher

_LOOK_EVERY_S: Final = 0.3

FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="End with exit code 5 when this condition holds, such as 'lag > 1000 for 30s' or 'brokers < 3' "
        "(repeatable).",
    ),
]


def conditions(given: Sequence[str] | None) -> "tuple[Condition, ...]":
    """What was given with ``--fail-if``, read. Raises UsageError that points at the wrong place."""
    if not given:
        return ()
    from sensorstream.monitor.conditions import parse

    return tuple(map(parse, given))


def seconds_of(lasting: str | None) -> float:
    """How long ``--for`` is; 0 where it was not given. Raises UsageError."""
    from sensorstream.transforms.event_time import parse_duration

    return 0.0 if lasting is None else parse_duration(lasting, "--for") / 1000


def look(session: Session, seconds: float, watched: "Sequence[Condition]") -> "Checked":
    """The cluster after watching it for so long, and for as long as the conditions need to be settled.

    Raises Interrupted when somebody stops it before one holds.
    """
    from sensorstream.monitor.once import view_after
    from sensorstream.monitor.watching import Checked, check

    with session.interruptible() as stop:
        if not watched:
            return Checked(view_after(session.settings, seconds, stop=stop, listener=session.listener), ())
        checked = check(session.settings, watched, least_s=seconds, stop=stop, listener=session.listener)
    if session.stop.is_set() and not any(verdict.holds for verdict in checked.verdicts):
        # Success would say that a condition does not hold which nobody has looked at for long enough.
        raise Interrupted("stopped before the conditions were settled", hint="start it again to judge them anew")
    return checked


def judged(outcome: Outcome, verdicts: "Sequence[Verdict]") -> Outcome:
    """The outcome with its conditions: ``conditions`` in its JSON, those that hold as errors, with exit code 5.

    A command that failed for a reason of its own keeps that reason's exit code.
    """
    if not verdicts:
        return outcome
    from sensorstream.monitor.judging import told

    fired = [f"--fail-if {verdict.condition!r} holds: {told(verdict)}" for verdict in verdicts if verdict.holds]
    outcome = added(outcome, "conditions", verdicts, lambda console: _show(console, verdicts))
    if not fired:
        return outcome
    code = outcome.exit_code or ExitCode.THRESHOLD
    return dataclasses.replace(outcome, status="partial", exit_code=code, errors=[*outcome.errors, *fired])


def _show(console: "Console", verdicts: "Sequence[Verdict]") -> None:
    """Those that hold are told as errors; here stand the others."""
    from sensorstream.cli.terminal import visible
    from sensorstream.monitor.judging import told

    for verdict in verdicts:
        if not verdict.holds:
            word = "does not hold" if verdict.holds is False else "is not known to hold"
            values = f": {told(verdict)}" if verdict.readings else ""
            console.print(visible(f"--fail-if {verdict.condition!r} {word}{values}"))


@contextmanager
def guarded(
    session: Session,
    watched: "Sequence[Condition]",
    stop: "threading.Event",
    observer: "Observer | None" = None,
) -> "Iterator[ConditionWatcher | None]":
    """While inside, ``stop`` is set when one of the conditions holds; None where there are none.

    They are judged by what ``observer`` sees, whose owner then tells what it has to tell; by default one of their own.
    """
    if not watched:
        yield None
        return
    from contextlib import ExitStack

    from sensorstream.events import ignore
    from sensorstream.monitor.observer import Observer
    from sensorstream.monitor.watching import ConditionWatcher

    with ExitStack() as opened:
        seen = observer or opened.enter_context(Observer(session.settings))
        listener = session.listener if observer is None else ignore
        guard = ConditionWatcher(seen, watched, session.settings.group, stop.set, listener)
        yield opened.enter_context(guard)


def watch(session: Session, watched: "Sequence[Condition]") -> Outcome:
    """Watch the cluster, and nothing else, until a condition holds or somebody stops it. Raises CredentialsRefused."""
    with session.interruptible() as stop, guarded(session, watched, stop) as guard:
        while not stop.wait(_LOOK_EVERY_S):
            if guard is not None and guard.refused is not None:
                raise guard.refused
    return judged(Outcome(None), () if guard is None else guard.verdicts)
