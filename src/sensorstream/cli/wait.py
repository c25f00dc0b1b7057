"""``wait``: until something is true of the cluster, for scripts and CI."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensorstream.cli import options
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode

if TYPE_CHECKING:
    import threading

    from sensorstream.config import Settings
    from sensorstream.monitor.watching import Waited

_LOOK_EVERY_S: Final = 0.5


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "wait", "wait")(wait)


def wait(
    session: Session,
    condition: Annotated[
        str,
        typer.Argument(metavar="CONDITION", help="Condition to wait for, such as 'lag == 0' or 'rows(AIR) >= 1440'."),
    ],
    *,
    group: options.Group = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="S", help="Give up after S seconds, with exit code 1. Default: never."),
    ] = None,
) -> Outcome:
    """Wait until a condition on the cluster holds.

    It compares lag, lag_age, rows, rate, age, brokers, under_replicated and offline. What is not known does not
    hold. A cluster that does not answer yet is waited for, too.
    """
    from sensorstream.errors import UsageError
    from sensorstream.monitor.conditions import parse
    from sensorstream.monitor.watching import wait_until

    wanted = parse(condition)
    if timeout is not None and not 0 < timeout < float("inf"):
        raise UsageError(f"--timeout {timeout:g} is no time", hint="it is seconds, more than 0")
    began = time.monotonic()
    with session.interruptible() as stop:
        settings = _settings(session, group, timeout, stop)
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
        result = wait_until(settings, wanted, timeout_s=left, stop=stop, listener=session.listener)
    return _outcome(result, timeout, interrupted=session.stop.is_set())


def _settings(session: Session, group: str | None, timeout: float | None, stop: "threading.Event") -> "Settings":
    """The settings in force; a cluster of this machine that is named and does not run yet is waited for."""
    from sensorstream.errors import ClusterUnreachable

    began = time.monotonic()
    while True:
        try:
            return session.settings_with(group=group)
        except ClusterUnreachable:
            if (timeout is not None and time.monotonic() - began >= timeout) or stop.wait(_LOOK_EVERY_S):
                raise


def _outcome(result: "Waited", timeout: float | None, *, interrupted: bool) -> Outcome:
    from sensorstream.cli.terminal import visible
    from sensorstream.monitor.judging import NOBODY, value_text

    values = "; ".join(f"{one.comparison}: {value_text(one)}" for one in result.readings) or NOBODY
    if result.holds:
        return Outcome(result, lambda console: console.print(visible(f"{values}, after {result.seconds:.1f} s")))
    if interrupted:
        code, why = ExitCode.INTERRUPTED, f"interrupted after {result.seconds:.1f} s"
    else:
        # That nobody has ever answered is not that something is not as it should be.
        code, why = ExitCode.FAILED if result.reached else ExitCode.UNREACHABLE, f"not within {timeout:g} s"
    return Outcome(result, None, status="partial", exit_code=code, errors=[f"{why}: {values}"])
