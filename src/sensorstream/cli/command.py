"""How a command is made: common options in, one library call, one frozen outcome out.

The decorator adds the common options to a command's own, builds the :class:`Session` and hands the
:class:`Outcome` to the renderer. The library below never prints and never exits.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Literal, ParamSpec

import typer

from sensorstream.cli import examples, file_options, help_layout, options, panels
from sensorstream.cli.outcome import Outcome
from sensorstream.cli.session import Session, begin
from sensorstream.errors import ExitCode, Interrupted

__all__ = ["Outcome", "Session", "add_group", "command"]

P = ParamSpec("P")

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
_EXACT_OPTIONS: dict[str, tuple[Any, Any]] = {
    "compression": (options.Compression, None),
    "linger": (options.Linger, None),
    "batch_size": (options.BatchSize, None),
}
_SENDING_OPTIONS: dict[str, tuple[Any, Any]] = {
    **_EXACT_OPTIONS,
    "acks": (options.Acks, None),
    "idempotence": (options.Idempotence, None),
}


def command(
    group: typer.Typer,
    name: str,
    path: str,
    *,
    kafka: bool = True,
    sends: Literal["as asked", "exactly once"] | None = None,
    describes: bool | Literal["one file"] = False,
    alone: bool = False,
) -> Callable[[Callable[Concatenate[Session, P], Outcome]], Callable[Concatenate[Session, P], Outcome]]:
    """Make a function a command of ``group``.

    ``path`` is the command's whole name, as the JSON envelope says it; ``kafka`` False leaves out the connection
    options; ``sends`` adds those of publishing, without what would give up a promise where it is exactly once;
    ``describes`` adds those of how source files are written, which the function takes together as ``description``
    ("one file": its format is an option of the command's own); ``alone`` makes it what the group does by itself,
    without a command of its own behind it.
    The function itself stays callable as it was written.
    """
    sending = {None: {}, "as asked": _SENDING_OPTIONS, "exactly once": _EXACT_OPTIONS}[sends]
    described = file_options.OPTIONS if describes else {}
    if describes == "one file":
        described = {option: how for option, how in described.items() if option not in ("source_format", "order")}
    common = {**described, **sending, **(_KAFKA_OPTIONS if kafka else {}), **_OUTPUT_OPTIONS}

    def register(
        function: Callable[Concatenate[Session, P], Outcome],
    ) -> Callable[Concatenate[Session, P], Outcome]:
        own = [
            parameter
            for parameter in list(inspect.signature(function).parameters.values())[1:]
            if not (describes and parameter.name == "description")
        ]
        body: Callable[..., Outcome] = function

        @functools.wraps(function)
        def run(**values: Any) -> None:
            if alone and values.pop("context").invoked_subcommand is not None:
                return
            given = {option: values.pop(option) for option in common}
            session = _session(path, given)
            begin(session)
            from sensorstream.cli import client_log, render

            client_log.start(verbose=session.verbose)
            try:
                if describes:
                    values["description"] = file_options.description(given)
                outcome = body(session, **values)
            except KeyboardInterrupt as error:
                # The second Ctrl-C; typer would end the process without a word.
                raise Interrupted(
                    "forced to stop before the work was settled", hint="start it again to go on"
                ) from error
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
        if alone:
            added.append(inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context))
        signature = inspect.Signature([*keyword_only, *added])
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*keyword_only, *added]}
        del run.__wrapped__
        for annotation in run.__annotations__.values():
            panels.assign(annotation)
        if alone:
            group.callback(invoke_without_command=True)(run)
        else:
            group.command(name, cls=help_layout.Command, epilog=examples.epilog(path), rich_help_panel=panels.of(path))(
                run
            )
        return function

    return register


def add_group(app: typer.Typer, group: typer.Typer) -> None:
    """Make a group of commands part of the program, with the help that all have."""
    path = str(group.info.name)
    app.add_typer(group, cls=help_layout.Group, epilog=examples.epilog(path), rich_help_panel=panels.of(path))


def _session(path: str, given: dict[str, Any]) -> Session:
    return Session(
        path,
        flags={name: given.get(name) for name in ("bootstrap", "client", *_SENDING_OPTIONS)},
        properties=given.get("properties") or (),
        command_config=given.get("command_config"),
        profile=given.get("profile"),
        json=given["output"] is options.Output.JSON,
        quiet=given["quiet"],
        verbose=given["verbose"],
    )
