"""How a command is made: common options in, one library call, one frozen outcome out.

The decorator adds the common options to a command's own, builds the :class:`Session` and hands the
:class:`Outcome` to the renderer. The library below never prints and never exits.
"""

import functools
import inspect
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec

import typer

from sensorstream.cli import options
from sensorstream.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.cli.render import Narrator
    from sensorstream.config import Settings
    from sensorstream.events import Event

P = ParamSpec("P")
Status = Literal["ok", "partial", "error"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to: a frozen dataclass, how to show it as text, and what the script is told.

    ``errors`` are one-line messages for the ``errors`` list of the JSON envelope and for stderr.
    """

    result: object
    text: "Callable[[Console], None] | None" = None
    status: Status = "ok"
    exit_code: ExitCode = ExitCode.DONE
    errors: Sequence[str] = ()


class _SignalledEvent(threading.Event):
    """An event that a signal handler may set: it finds the lock taken when the main thread is just about to wait."""

    def __init__(self) -> None:
        super().__init__()
        self._cond = threading.Condition(threading.RLock())


class Session:
    """One run of one command: its settings, its listener, and the request to stop."""

    def __init__(
        self,
        command: str,
        *,
        flags: dict[str, object] | None = None,
        properties: Sequence[str] = (),
        command_config: Path | None = None,
        profile: str | None = None,
        json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        self.command = command
        self.flags = flags or {}
        self.json = json
        self.quiet = quiet
        self.verbose = verbose
        self.stop = _SignalledEvent()
        self.stop_signal: signal.Signals | None = None
        self._properties = tuple(properties)
        self._command_config = command_config
        self._profile = profile

    @cached_property
    def settings(self) -> "Settings":
        """The settings in force. Raises ConfigError."""
        from sensorstream import config

        return config.load(
            flags=self.flags,
            properties=self._properties,
            command_config=self._command_config,
            profile=self._profile,
        )

    @property
    def connection_arguments(self) -> list[str]:
        """The connection options as they were given, for another command to be started with."""
        bootstrap = self.flags.get("bootstrap")
        client = self.flags.get("client")
        arguments = ["--bootstrap", str(bootstrap)] if bootstrap else []
        arguments += [part for pair in self._properties for part in ("-X", pair)]
        arguments += ["--command-config", str(self._command_config)] if self._command_config else []
        arguments += ["--profile", self._profile] if self._profile else []
        return arguments + (["--client", str(client)] if client else [])

    def settings_with(self, **flags: object) -> "Settings":
        """The settings with a command's own flags (None: not given) on top."""
        self.flags = {**self.flags, **flags}
        self.__dict__.pop("settings", None)
        return self.settings

    @cached_property
    def narrator(self) -> "Narrator":
        """Turns events into lines on stderr."""
        from sensorstream.cli.render import Narrator

        return Narrator(quiet=self.quiet, verbose=self.verbose)

    def listener(self, event: "Event") -> None:
        """Where the library tells what happens."""
        self.narrator.tell(event)

    @contextmanager
    def interruptible(self) -> Iterator[threading.Event]:
        """While inside, the first Ctrl-C or SIGTERM sets the stop event, and the second one forces the end."""

        from sensorstream.pipelines.owner import stop_with_owner

        def ask(number: int, frame: FrameType | None) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            self.stop_signal = signal.Signals(number)
            self.stop.set()

        if threading.current_thread() is not threading.main_thread():
            yield self.stop
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP"):
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, ask) for number in numbers}
        stop_with_owner(self.stop)
        try:
            yield self.stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


current: Session | None = None
"""The session of the command that runs, for the error boundary."""

_OUTPUT_OPTIONS: dict[str, tuple[Any, Any]] = {
    "output": (options.OutputOption, options.Output.TEXT),
    "quiet": (options.Quiet, False),
    "verbose": (options.Verbose, False),
}
_KAFKA_OPTIONS: dict[str, tuple[Any, Any]] = {
    "bootstrap": (options.Bootstrap, None),
    "properties": (options.Properties, None),
    "command_config": (options.CommandConfig, None),
    "profile": (options.Profile, None),
    "client": (options.ClientName, None),
}


def command(
    group: typer.Typer, name: str, path: str, *, kafka: bool = True
) -> Callable[[Callable[Concatenate[Session, P], Outcome]], Callable[Concatenate[Session, P], Outcome]]:
    """Make a function a command of ``group``.

    ``path`` is the command's whole name, as the JSON envelope says it; ``kafka`` False leaves out the connection
    options. The function itself stays callable as it was written.
    """
    common = {**(_KAFKA_OPTIONS if kafka else {}), **_OUTPUT_OPTIONS}

    def register(
        function: Callable[Concatenate[Session, P], Outcome],
    ) -> Callable[Concatenate[Session, P], Outcome]:
        own = list(inspect.signature(function).parameters.values())[1:]
        body: Callable[..., Outcome] = function

        @functools.wraps(function)
        def run(**values: Any) -> None:
            global current
            given = {option: values.pop(option) for option in common}
            current = session = _session(path, given)
            from sensorstream.cli import render

            render.start_logging(verbose=session.verbose)
            try:
                outcome = body(session, **values)
            except BrokenPipeError:
                # `... | head` has read what it wanted; typer would make a failure of it.
                raise typer.Exit(int(ExitCode.DONE)) from None
            try:
                render.finish(session, outcome)
            except BrokenPipeError:
                # Nobody reads the result any more; how the work ended stays true.
                raise typer.Exit(int(outcome.exit_code)) from None
            raise typer.Exit(int(outcome.exit_code))

        added = [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for option, (annotation, default) in common.items()
        ]
        keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        signature = inspect.Signature([*keyword_only, *added])
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*keyword_only, *added]}
        del run.__wrapped__
        group.command(name)(run)
        return function

    return register


def _session(path: str, given: dict[str, Any]) -> Session:
    return Session(
        path,
        flags={"bootstrap": given.get("bootstrap"), "client": given.get("client")},
        properties=given.get("properties") or (),
        command_config=given.get("command_config"),
        profile=given.get("profile"),
        json=given["output"] is options.Output.JSON,
        quiet=given["quiet"],
        verbose=given["verbose"],
    )
