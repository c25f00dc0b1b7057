"""``metrics``: a page for Prometheus, with the cluster as it is seen from outside."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensorstream.cli.command import Outcome, Session, command

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from rich.console import Console

    from sensorstream.monitor.observer import Observer
    from sensorstream.pipelines.replay.jobs import Job

DEFAULT: Final = "127.0.0.1:9308"
_LOOK_EVERY_S: Final = 0.5


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "metrics", "metrics")(metrics)


def metrics(
    session: Session,
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Address to serve on; port 0 takes a free one.")
    ] = DEFAULT,
    every: Annotated[
        float, typer.Option("--every", metavar="S", min=0.5, max=3600, help="Seconds between two looks at the cluster.")
    ] = 5.0,
    once: Annotated[
        bool,
        typer.Option("--once", help="Write the figures to stdout once, for a textfile collector, and serve nothing."),
    ] = False,
) -> Outcome:
    """Serve the cluster's figures for Prometheus, until Ctrl-C.

    The names are those of kafka_exporter and KMinion. There are brokers, topics, consumer groups and their lag,
    captures, and exactly-once replays. What is not known is absent.
    """
    from sensorstream.errors import UsageError

    if once and session.json:
        raise UsageError("--once and --output json both want stdout", hint="leave one of them out")
    return _once(session) if once else _serve(session, listen, every)


def _jobs(session: Session) -> "Sequence[Job]":
    from sensorstream.clients import open_client
    from sensorstream.pipelines.replay.jobs import list_jobs

    return list_jobs(open_client(session.settings)).jobs


def _once(session: Session) -> Outcome:
    import sys

    from sensorstream.errors import SensorstreamError
    from sensorstream.events import Notice
    from sensorstream.monitor.gather import take
    from sensorstream.monitor.prometheus import Collector, text_of
    from sensorstream.monitor.rates import History

    view = History().add(take(session.settings, listener=session.listener))
    jobs: Sequence[Job] = ()
    try:
        jobs = _jobs(session)
    except SensorstreamError as error:  # the cluster's figures are known all the same
        session.listener(Notice(f"the replay jobs are left out: {error.message}", "warning"))
    text = text_of(Collector(lambda: view, lambda: jobs))

    # Not through the console, which is for people.
    def write(_: "Console") -> None:
        sys.stdout.write(text)

    return Outcome(None, write)


def _serve(session: Session, listen: str, every: float) -> Outcome:
    import time

    from sensorstream.events import Notice
    from sensorstream.monitor.listening import is_loopback, parse_listen
    from sensorstream.monitor.metrics_page import Page
    from sensorstream.monitor.observer import Observer
    from sensorstream.monitor.prometheus import Collector, JobsSeen

    host, port = parse_listen(listen, DEFAULT)
    settings, began = session.settings, time.monotonic()
    with (
        session.interruptible() as stop,
        Observer(settings, every_s=every, listener=session.listener) as observer,
        JobsSeen(lambda: _jobs(session)) as seen,
        Page(Collector(lambda: observer.view, seen.jobs), host, port) as page,
    ):
        session.listener(Notice(f"metrics for Prometheus: {page.url}"))
        if not is_loopback(host):
            told = f"{host} is not the loopback: whoever reaches it can read names and sizes of topics, groups and jobs"
            session.listener(Notice(told, "warning"))
        _watch(observer, stop, session)
        result = {"url": page.url, "pages": page.served, "seconds": round(time.monotonic() - began, 3)}
    return Outcome(result, lambda console: console.print(f"{result['pages']} pages served"))


def _watch(observer: "Observer", stop: "threading.Event", session: Session) -> None:
    """Wait for ``stop``; tell when the cluster stops answering and why. Raises CredentialsRefused."""
    from sensorstream.events import Notice

    told: str | None = None
    while not stop.wait(_LOOK_EVERY_S):
        error = observer.error
        if observer.refused is not None:
            raise observer.refused
        if error is not None and told is None:
            session.listener(Notice(f"no figures: {error.message}", "warning"))
        elif error is None and told is not None:
            session.listener(Notice("the cluster answers again"))
        told = None if error is None else error.message
