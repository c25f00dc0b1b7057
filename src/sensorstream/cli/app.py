"""The program: all command groups, and the only place where an error becomes a line and an exit code."""

import contextlib
import copy
import gc
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import Abort, TyperException
from typer.main import get_command

import sensorstream
from sensorstream.cli import (
    aggregate,
    bench,
    brokers,
    chaos,
    cluster_members,
    config,
    consume,
    coverage,
    demo,
    doctor,
    examples,
    groups,
    help_layout,
    inspect,
    jobs,
    lag,
    metrics,
    monitor,
    plot,
    produce,
    query,
    rejects,
    samples,
    topic_leaders,
    verify,
    wait,
)
from sensorstream.cli import run as run_command
from sensorstream.cli import stream as stream_command
from sensorstream.cli.command import add_group
from sensorstream.cli.sentiment import sentiment
from sensorstream.cli.session import running
from sensorstream.errors import ExitCode, SensorstreamError

app = typer.Typer(
    name="sensorstream",
    help="Replay recorded sensor data through a real Apache Kafka, capture it back, lose nothing.",
    cls=help_layout.Group,
    epilog=examples.epilog(""),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": help_layout.WIDEST},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"sensorstream {sensorstream.__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Replay recorded sensor data through a real Apache Kafka, capture it back, lose nothing."""


chaos.add_to(cluster_members.cluster)
for _group in (cluster_members.cluster, topic_leaders.topics):
    add_group(app, _group)
for _single in (produce, consume, aggregate, stream_command, run_command, demo):
    _single.add_to(app)
for _single in (inspect, plot, verify, coverage, query, lag, wait, monitor, metrics, brokers, bench, doctor):
    _single.add_to(app)
for _group in (groups.groups, jobs.jobs, rejects.rejects, sentiment, samples.samples, config.config):
    add_group(app, _group)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with an exit code of :class:`ExitCode`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # numpy starts a thread a core for linear algebra that nobody here asks of it, which costs each start 30 ms.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Records come by the ten thousand and make no cycles: the collector need not walk them every 700 objects.
    gc.set_threshold(100_000, 20, 100)
    _open_missing_streams()
    code = run(arguments)
    try:
        sys.stdout.flush()
    except OSError:
        # Whoever read our stdout has gone away; Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _open_missing_streams() -> None:
    """Python has no stream where its owner closed the descriptor (``>&-``, some supervisors): take nowhere instead."""
    if sys.stdout is None or sys.stderr is None:
        nowhere = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
        sys.stdout = sys.stdout or nowhere
        sys.stderr = sys.stderr or nowhere


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; every expected failure has become one line by then."""
    try:
        command = get_command(_needed(arguments))
        code = command.main(args=list(arguments), prog_name="sensorstream", standalone_mode=False)
        return int(code or 0)
    except TyperException as error:
        return _usage_error(error, arguments)
    except SensorstreamError as error:
        return _fail(error.message, error.hint, error.exit_code, arguments)
    except (Abort, KeyboardInterrupt):
        return _fail("interrupted", "", ExitCode.INTERRUPTED, arguments)
    except BrokenPipeError:
        # `... | head` has read what it wanted.
        return int(ExitCode.DONE)
    except MemoryError:
        return _fail("out of memory", "", ExitCode.FAILED, arguments)
    except OSError as error:
        return _fail(_os_error(error), "", ExitCode.FAILED, arguments)


def _needed(arguments: Sequence[str]) -> typer.Typer:
    """The program as far as these arguments need it: to build all its commands takes longer than many of them run."""
    asked = arguments[0] if arguments else ""
    needed = copy.copy(app)
    needed.registered_commands = [one for one in app.registered_commands if one.name == asked]
    needed.registered_groups = [
        one for one in app.registered_groups if one.typer_instance and one.typer_instance.info.name == asked
    ]
    return needed if needed.registered_commands or needed.registered_groups else app


def _usage_error(error: Any, arguments: Sequence[str]) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(f"{error.format_message()}\n")
        return int(ExitCode.USAGE)
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "sensorstream"
    message = " ".join(error.format_message().split()).rstrip(".")
    return _fail(message, f"see '{where} --help'", ExitCode.USAGE, arguments, where)


def _fail(message: str, hint: str, code: ExitCode, arguments: Sequence[str], path: str = "") -> int:
    from sensorstream.cli import render

    session = running()
    if session is not None:
        session.narrator.close()
    if _wants_json(arguments):
        command = session.command if session is not None else path.removeprefix("sensorstream").strip()
        errors = [{"message": message, "hint": hint, "exit_code": int(code)}]
        with contextlib.suppress(BrokenPipeError):  # nobody reads it any more; stderr and the exit code tell
            sys.stdout.write(render.envelope(command, "error", None, errors) + "\n")
    render.error_line(f"{message}; {hint}" if hint else message)
    if session is not None and session.verbose and sys.exc_info()[0] is not None:
        import traceback

        traceback.print_exc()
    return int(code)


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether the caller asked for JSON; read by hand, since a usage error comes before parsing is done."""
    return "--output=json" in arguments or any(pair == ("--output", "json") for pair in pairwise(arguments))


def _os_error(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what
