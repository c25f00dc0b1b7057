"""Stations 1-4 by several processes: started together, listened to, stopped and reaped together.

Nothing is sent before every process has opened its sources. Each process belongs to this one by its standard input:
when that is closed it stops cleanly, and it is closed when this process is gone, however it went.
"""

import contextlib
import pickle
import queue
import signal
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import IO, Final, NamedTuple, Self

from sensorstream.clients.base import Client
from sensorstream.config import Settings
from sensorstream.errors import NotAllowed, SensorstreamError
from sensorstream.events import Event, Listener, Notice, Progress, RowRejected, ignore
from sensorstream.pipelines.replay.claims import claim
from sensorstream.pipelines.replay.job import ReplayOptions, is_paced, make_job, source_files
from sensorstream.pipelines.replay.job_identity import this_run
from sensorstream.pipelines.replay.job_log import open_log
from sensorstream.pipelines.replay.job_records import JobRecord
from sensorstream.pipelines.replay.local_checks import check_local
from sensorstream.pipelines.replay.plan import Part, check, plan
from sensorstream.pipelines.replay.replay import FLUSH_S
from sensorstream.pipelines.replay.spec import ReplayedSource, ReplayJob, ReplayResult
from sensorstream.pipelines.replay.worker import Message, Order, Ready, Refused, Told, encode_go, encode_said
from sensorstream.sources.common_clock import Said
from sensorstream.wording import counted

STOP_S: Final = FLUSH_S + 15.0
"""How long a process may take to end when it was asked to: it waits for the answers to what it has sent."""
_LOOK_S: Final = 0.1
_KEPT_LINES: Final = 20


def replay_in_processes(
    client: Client,
    settings: Settings,
    options: ReplayOptions,
    processes: int,
    command: Sequence[str],
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> ReplayResult:
    """Publish all sources as :func:`~sensorstream.pipelines.replay.replay.replay` does, by several processes.

    The same rows come into the same partitions, in the same order. ``command`` starts a process that does
    :func:`sensorstream.pipelines.replay.worker.work`; ``client`` is asked how many partitions there are. Raises, before
    the first row is sent, what ``replay`` raises, and UsageError for what processes can't share. When a process dies,
    the others are stopped; what it had not told yet is not counted as sent.
    """
    job = make_job(settings, options)
    if job.clock is not None and options.max_gap is not None:
        # A pause in which no source has a row is known in one process only.
        listener(Notice("--max-gap does not work with one clock and several processes: each source has its own clock"))
        options = replace(options, clock="own")
        job = make_job(settings, options)
    check_local(job)
    paths = [path for _, path in source_files(settings, options.sources)]
    followed = [source.rules.follow is not None for source in job.sources]
    check(paths, processes, paced=is_paced(settings, options), followed=followed)
    with client.publisher() as publisher:
        partitions = publisher.partitions_of(dict.fromkeys(source.topic for source in job.sources))
    parts = plan(job, paths, partitions, processes, paced=is_paced(settings, options))
    if len(parts) < processes:
        listener(
            Notice(f"{counted(processes, 'process')} were requested, but there are only partitions for {len(parts):,}")
        )
    claims = _claims(client, job, parts, listener) if job.exactly_once else {}
    with _Workers(job, paths, parts, listener) as workers:
        workers.start(command, settings, options, claims)
        return workers.run(stop or threading.Event())


def _claims(
    client: Client, job: ReplayJob, parts: Sequence[Sequence[Part]], listener: Listener
) -> dict[int, JobRecord]:
    """The jobs of the sources that are shared, begun where need be, by the source's index."""
    shares = {part.source: part.share.of for of_process in parts for part in of_process if part.share is not None}
    claims: dict[int, JobRecord] = {}
    if not shares:
        return claims
    run = this_run()
    with closing(open_log(client, job.make_jobs_topic, listener)) as log:
        for at, count in shares.items():
            claimed = claim(client, log, run, job.sources[at], count, restart=job.restart, listener=listener)
            if claimed is not None:
                claims[at] = claimed
    return claims


class _Worker:
    """One process, and what it has told."""

    def __init__(
        self,
        number: int,
        parts: Sequence[Part],
        command: Sequence[str],
        order: Order,
        inbox: "queue.Queue[_Heard]",
        listener: Listener,
    ) -> None:
        self.number = number
        self.parts = parts
        self.ready = False
        self.ended = False
        self.result: ReplayResult | None = None
        self.latest: dict[int, Progress] = {}
        self._inbox = inbox
        self._listener = listener
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A session of its own: the terminal's Ctrl-C reaches the owner alone, who stops all in the right order.
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr  # noqa: S101  # for the type checker
        self._threads = [
            threading.Thread(target=self._hear, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_lines, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._write(pickle.dumps(order))

    def go(self, now: float) -> None:
        """Let it begin at ``now``, a reading of the system's monotonic clock."""
        self._write(encode_go(now))

    def tell(self, said: Said) -> None:
        """Let it know what a source of another process says."""
        self._write(encode_said(said))

    def ask_to_stop(self) -> None:
        """Ask for a clean stop."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def reap(self) -> None:
        """Wait for the end of a process that was asked to end, or was killed."""
        self.ask_to_stop()
        self._process.wait()
        for thread in self._threads:
            thread.join(1.0)
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()

    def death(self) -> str:
        """Why it ended without a result, in one line."""
        code = self._process.wait()
        self._threads[1].join(1.0)
        who = f"process {self.number} of the replay"
        if code < 0:
            return f"{who} was killed by {signal.Signals(-code).name}"
        last = self._last_lines[-1] if self._last_lines else f"exit code {code}"
        return f"{who} ended before its work was done: {last}"

    def _write(self, data: bytes) -> None:
        # When it has died already, that is found where its end is heard.
        with contextlib.suppress(OSError):
            assert self._process.stdin  # noqa: S101  # for the type checker
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def _hear(self, stream: IO[bytes]) -> None:
        try:
            while True:
                self._inbox.put(_Heard(self, pickle.load(stream)))  # noqa: S301  # from our own process
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            self._inbox.put(_Heard(self, None))

    def _read_lines(self, stream: IO[bytes]) -> None:
        for line in stream:
            text = line.decode("utf-8", "backslashreplace").rstrip("\n")
            if text.strip():
                self._last_lines.append(text.strip())
            self._listener(Notice(f"process {self.number} | {text}", "debug"))


class _Heard(NamedTuple):
    """A message of a process; None: it has ended."""

    worker: _Worker
    message: Message | None


class _Workers:
    """The processes of a replay; leaving the ``with`` block ends every one of them."""

    def __init__(
        self, job: ReplayJob, paths: Sequence[str], parts: Sequence[Sequence[Part]], listener: Listener
    ) -> None:
        self._job = job
        self._paths = paths
        self._parts = parts
        self._listener = listener
        self._workers: list[_Worker] = []
        self._inbox: queue.Queue[_Heard] = queue.Queue()
        self._stopping_until: float | None = None
        self._began: float | None = None
        self._problem: str | None = None
        self._not_allowed = False
        self._refused: SensorstreamError | None = None
        self._rejected: Counter[str] = Counter()
        self._said: list[tuple[_Worker, Said]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if not worker.ended:
                worker.kill()
        for worker in self._workers:
            worker.reap()

    def start(
        self, command: Sequence[str], settings: Settings, options: ReplayOptions, claims: Mapping[int, JobRecord]
    ) -> None:
        """Start the processes; they open their sources and wait."""
        for number, parts in enumerate(self._parts, start=1):
            order = Order(settings, options, parts, claims)
            self._workers.append(_Worker(number, parts, command, order, self._inbox, self._listener))

    def run(self, stop: threading.Event) -> ReplayResult:
        """Let them work until all have ended. Raises what a process met before anything was sent."""
        while not all(worker.ended for worker in self._workers):
            if stop.is_set():
                self._stop_all()
            if self._stopping_until is not None and time.monotonic() > self._stopping_until:
                self._give_up(f"not every process of the replay ended within {STOP_S:g} s")
                break
            try:
                heard = self._inbox.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            self._take(*heard)
        if self._refused is not None:
            raise self._refused
        return self._merged()

    def _take(self, worker: _Worker, message: Message | None) -> None:
        asked = self._stopping_until is not None
        match message:
            case None:
                worker.ended = True
                if worker.result is None and self._refused is None:
                    self._give_up(worker.death())
            case Ready():
                worker.ready = True
                if all(each.ready for each in self._workers) and not asked:
                    self._began = time.monotonic()
                    for by, said in self._said:
                        self._pass_on(by, said)
                    for each in self._workers:
                        each.go(self._began)
            case Said():
                # Not before they listen: a process that still reads its order would lose it.
                if self._began is None:
                    self._said.append((worker, message))
                else:
                    self._pass_on(worker, message)
            case Refused(error):
                if self._began is None:
                    self._refused = self._refused or error
                self._give_up(str(error), not_allowed=isinstance(error, NotAllowed))
            case ReplayResult():
                worker.result = message
                if message.problem is not None:
                    self._give_up(message.problem, not_allowed=message.not_allowed)
                elif not message.complete and not asked:
                    self._give_up(f"process {worker.number} of the replay was stopped from outside")
            case Told(source, event):
                self._tell(worker, source, event)

    def _pass_on(self, worker: _Worker, said: Said) -> None:
        for each in self._workers:
            if each is not worker:
                each.tell(said)

    def _tell(self, worker: _Worker, source: int | None, event: Event) -> None:
        if isinstance(event, Notice):
            event = Notice(f"process {worker.number}: {event.text}", event.level)
        elif isinstance(event, RowRejected):
            self._count_rejected(event.path)
        elif isinstance(event, Progress) and source is not None:
            worker.latest[source] = event
            event = self._progress(source, event)
        self._listener(event)

    def _progress(self, source: int, latest: Progress) -> Progress:
        """How far a source is, all its processes together."""
        of_source = [worker.latest[source] for worker in self._workers if source in worker.latest]
        return Progress(
            latest.what,
            sum(each.done for each in of_source),
            latest.total,
            sum(each.failed for each in of_source),
            latest.estimated or len({each.total for each in of_source}) > 1,
        )

    def _count_rejected(self, path: str) -> None:
        """A process looks at its own rejected rows; together they may be more than are allowed."""
        self._rejected[path] += 1
        for source, name in zip(self._job.sources, self._paths, strict=True):
            limit = source.rules.max_rejects
            if str(source.rejected) == path and limit is not None and self._rejected[path] > limit:
                self._give_up(f"more rows of {name} could not be used than --max-rejects {limit}; see {path}")

    def _give_up(self, reason: str, *, not_allowed: bool = False) -> None:
        if self._problem is None:
            self._problem, self._not_allowed = reason, not_allowed
        self._stop_all()

    def _stop_all(self) -> None:
        if self._stopping_until is None:
            self._stopping_until = time.monotonic() + STOP_S
            for worker in self._workers:
                worker.ask_to_stop()

    def _merged(self) -> ReplayResult:
        sources = tuple(self._source(at) for at in range(len(self._job.sources)))
        return ReplayResult(
            sum(source.sent for source in sources),
            sum(source.acknowledged for source in sources),
            sum(source.failed for source in sources),
            sum(source.rejected for source in sources),
            0.0 if self._began is None else time.monotonic() - self._began,
            all(source.complete for source in sources),
            self._problem,
            sources,
            self._not_allowed,
        )

    def _source(self, at: int) -> ReplayedSource:
        """What a source came to, all its processes together."""
        found = [
            self._part(worker, at, place)
            for worker in self._workers
            for place, part in enumerate(worker.parts)
            if part.source == at
        ]
        return ReplayedSource(
            found[0].topic,
            found[0].source,
            sum(part.sent for part in found),
            sum(part.acknowledged for part in found),
            sum(part.failed for part in found),
            sum(part.rejected for part in found),
            # What one of them has not stored is not stored.
            min(part.next_row for part in found),
            all(part.complete for part in found),
            None if found[0].job is None else found[0].job.partition("#")[0],
            None if any(part.earlier is None for part in found) else sum(part.earlier or 0 for part in found),
        )

    def _part(self, worker: _Worker, at: int, place: int) -> ReplayedSource:
        if worker.result is not None:
            return worker.result.sources[place]
        source = self._job.sources[at]
        latest = worker.latest.get(at)
        done, failed = (latest.done, latest.failed) if latest else (0, 0)
        next_row = source.first_row if latest is None or latest.next_row is None else latest.next_row
        return ReplayedSource(source.topic, self._paths[at], done + failed, done, failed, 0, next_row, False)
