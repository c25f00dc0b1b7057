"""One run of one command: its settings, its listener, and the request to stop."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensorstream.cli.narrator import Narrator
    from sensorstream.config import Settings
    from sensorstream.events import Event


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
        """The settings in force; ``cluster:NAME`` is resolved. Raises ConfigError, ClusterUnreachable."""
        from sensorstream import config
        from sensorstream.library.named_cluster import resolved

        return resolved(
            config.load(
                flags=self.flags,
                properties=self._properties,
                command_config=self._command_config,
                profile=self._profile,
            )
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

    @property
    def sending_arguments(self) -> list[str]:
        """The named options of publishing as they were given, for another command to be started with."""
        from sensorstream import producer_options

        return producer_options.as_arguments(self.flags)

    def settings_with(self, **flags: object) -> "Settings":
        """The settings with a command's own flags (None: not given) on top."""
        self.flags = {**self.flags, **flags}
        self.__dict__.pop("settings", None)
        return self.settings

    @cached_property
    def narrator(self) -> "Narrator":
        """Turns events into lines on stderr."""
        from sensorstream.cli.narrator import Narrator

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


_running: list[Session] = []


def begin(session: Session) -> None:
    """Make ``session`` the one that runs."""
    _running[:] = [session]


def running() -> Session | None:
    """The session of the command that runs, for the error boundary; None before there is one."""
    return _running[0] if _running else None
