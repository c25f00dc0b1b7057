"""What runs while something is broken: replays and captures, started as commands and seen through to their end."""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.counting import Count, Watch, count_files, count_topic
from running import Started, ok, started, until
from sensorstream import admin
from sensorstream.config import Settings
from sensorstream.errors import ExitCode

CLIENTS = ("kafka-python", "librdkafka")
PARTITIONS = 3
END_S = 240.0
"""How long a command may take to its end once nothing is broken any more: the delivery timeout, and as much again."""


def rows_for(rate: int, faults: int, *, at_least_s: int = 300) -> int:
    """Rows of a source that can't end at this pace before all faults have fallen, however slow the machine is."""
    return rate * max(at_least_s, 10 * faults)


def until_rows(bootstrap: tuple[str, ...], topic: str) -> None:
    """Wait until a topic holds rows: a replay into it has begun."""
    settings = Settings(bootstrap=bootstrap)

    def there() -> bool:
        parts = admin.describe_topics(settings, [topic]).topics[0].partitions
        return any(part.next_offset for part in parts)

    until(there, f"rows of {topic}", END_S)


@dataclass
class Replay:
    """A replay of a numbered source: paced while things break, then the rest as fast as it goes.

    ``options`` are those of ``produce`` besides source and pace; with ``--exactly-once`` the same command goes on where
    the committed rows end, else it is told from which row. ``rows`` is how many are to be published in the end.

    A source must be long enough for the slowest machine, and all of it takes minutes to publish and to count: with
    ``few`` no more than so many rows are published of the rest, and ``rows`` is less then.
    """

    topic: str
    source: Path
    rows: int
    options: list[str]
    rate: int
    few: int | None = None

    @property
    def exactly_once(self) -> bool:
        return "--exactly-once" in self.options

    def command(self, *more: str) -> list[str]:
        return ["produce", "--source", f"{self.topic}={self.source}", *self.options, *more]

    def paced(self) -> list[str]:
        return self.command("--rate", str(self.rate))

    def complete(self, running: Started, seen: Callable[[], Iterable[int]]) -> None:
        """End the paced run, however far it is, and publish the rest. Each end must be a stated one."""
        running.signal(signal.SIGTERM)
        code = running.end(END_S)
        assert code in (ExitCode.DONE, ExitCode.FAILED, ExitCode.INTERRUPTED), running.told
        if code != ExitCode.DONE:
            self.rest(running.told, seen())

    def rest(self, told: str, seen: Iterable[int]) -> None:
        """Go on where an earlier run says that it ended.

        ``seen`` are the numbers of committed rows that have been seen; what is committed beyond must be less than few.
        """
        more = ["--delay", "0"]
        first = max(seen, default=-1) + 1
        if not self.exactly_once:
            row = re.findall(rf"--from-row {re.escape(self.topic)}=(\d+)", told)
            assert row, f"it does not say from which row to go on: {told}"
            first = int(row[-1])
            more += ["--from-row", f"{self.topic}={first}"]
        if self.few is not None:
            self.rows = min(self.rows, first + self.few)
            # An exactly-once job counts from its beginning.
            more += ["--limit", str(self.rows if self.exactly_once else self.few)]
        ok(*self.command(*more), cwd=self.source.parent, timeout=END_S)


@dataclass
class Capture:
    """A capture of all partitions of a topic into a folder."""

    topic: str
    folder: Path
    options: list[str]

    def command(self, *more: str) -> list[str]:
        pinned = [word for number in range(PARTITIONS) for word in ("-p", str(number))]
        return ["consume", "-t", self.topic, *pinned, "--to", str(self.folder), "-q", *self.options, *more]

    def complete(self, running: Started) -> None:
        """End the endless run, which must be a clean end, and capture the rest."""
        running.signal(signal.SIGTERM)
        assert running.end() == ExitCode.DONE, running.told
        ok(*self.command("-e"), timeout=END_S)


MODES = {"exactly once": ("--exactly-once",), "at least once": ()}


@dataclass(frozen=True)
class Outcome:
    """What one client's replay in one mode came to, and the capture of it."""

    client: str
    mode: str
    replayed: Count
    captured: Count
    stall_s: float

    @property
    def is_zero(self) -> bool:
        return self.replayed.is_zero and self.captured.is_zero


class Lane:
    """One client's replay in one mode, a capture of the topic that comes about, and a reader that watches it."""

    def __init__(self, client: str, mode: str, bootstrap: tuple[str, ...], replay: Replay, capture: Capture) -> None:
        self.client = client
        self.mode = mode
        self._bootstrap = bootstrap
        self.replay = replay
        self.capture = capture
        self.watch = Watch(bootstrap, replay.topic)
        self.stalls: list[float] = []
        self.replaying: Started
        self._capturing: Started

    def start(self, stack: ExitStack) -> None:
        stack.enter_context(self.watch.running())
        self._capturing = stack.enter_context(started(*self.capture.command()))
        self.replaying = stack.enter_context(started(*self.replay.paced(), cwd=self.replay.source.parent))

    def complete(self) -> None:
        """See the replay through to its end, then the capture of it."""
        self.replay.complete(self.replaying, self.watch.numbers)
        self.finish_capture()

    def finish_capture(self) -> None:
        self.capture.complete(self._capturing)

    def outcome(self) -> Outcome:
        """Count everything, when all has ended."""
        wanted = range(self.replay.rows)
        return Outcome(
            self.client,
            self.mode,
            count_topic(self._bootstrap, self.replay.topic, wanted, PARTITIONS, self.watch.seen),
            count_files(self.capture.folder, wanted, PARTITIONS),
            max(self.stalls, default=0.0),
        )


class Load:
    """Lanes that run together: each client in each mode that is asked for.

    ``way`` is where the commands begin, ``bootstrap`` where the tests do; ``options`` and ``few`` are the replays'. The
    client names itself in its ``client.id``.
    """

    def __init__(
        self,
        bootstrap: tuple[str, ...],
        way: tuple[str, ...],
        source: Path,
        rows: int,
        *,
        name: str,
        rate: int,
        modes: Sequence[str],
        options: Sequence[str] = (),
        few: int | None = None,
    ) -> None:
        names = {(client, mode): f"{name}-{mode[:2]}-{client}" for mode in modes for client in CLIENTS}
        ok("topics", "create", *names.values(), "--partitions", str(PARTITIONS), "--bootstrap", ",".join(bootstrap))
        self.lanes: list[Lane] = []
        for (client, mode), topic in names.items():
            common = ["--client", client, "-X", f"client.id={client}", "--bootstrap", ",".join(way)]
            replay = Replay(topic, source, rows, [*common, *MODES[mode], *options], rate, few)
            capture = Capture(topic, source.parent / f"out-{topic}", common)
            self.lanes.append(Lane(client, mode, bootstrap, replay, capture))
        self._flowing = list(self.lanes)

    @property
    def topics(self) -> list[str]:
        return [lane.replay.topic for lane in self._flowing]

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """All of it runs and rows flow; at the end of the block each command is seen through to its own end."""
        with ExitStack() as stack:
            for lane in self.lanes:
                lane.start(stack)
            self.flows("at the start")
            with ExitStack() as stalls:
                for lane in self.lanes:
                    stalls.enter_context(lane.watch.stall(lane.stalls))
                yield self
            self.end(*MODES)

    def end(self, *modes: str) -> None:
        """See the lanes of these modes through to their ends; the others go on."""
        ending = [lane for lane in self._flowing if lane.mode in modes]
        self._flowing = [lane for lane in self._flowing if lane.mode not in modes]
        with ThreadPoolExecutor() as pool:
            list(pool.map(Lane.complete, ending))

    def flows(self, when: str, deadline_s: float = END_S) -> None:
        """Wait until every partition of every topic that is not ended has brought rows that were not there before."""
        before = [lane.watch.counts() for lane in self._flowing]

        def waiting() -> list[str]:
            return [
                f"{lane.replay.topic}[{partition}]"
                for lane, then in zip(self._flowing, before, strict=True)
                for partition, now in lane.watch.counts().items()
                if now <= then[partition]
            ]

        deadline = time.monotonic() + deadline_s
        while left := waiting():
            told = "\n".join(lane.replaying.told for lane in self._flowing)
            assert all(lane.replaying.process.poll() is None for lane in self._flowing), told
            assert time.monotonic() < deadline, f"no new rows in {', '.join(left)} within {deadline_s:g} s, {when}"
            threading.Event().wait(0.1)
