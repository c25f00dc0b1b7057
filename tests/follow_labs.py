"""``produce --follow`` on the broker in memory, and the files that it follows."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from running import until
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.events import Event, Notice
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.pipelines.replay.job_records import JOBS_TOPIC
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.spec import ReplayResult


class Lab:
    """A broker in memory, a folder, and the runs of ``produce --follow``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "air.csv"
        self.broker = MemoryBroker()
        for topic in ("AIR", "EARTH"):
            self.broker.create_topic(topic, 2)
        self.broker.create_topic(JOBS_TOPIC, 8)
        self.events: list[Event] = []

    def run(
        self,
        *sources: str,
        stop: threading.Event | None = None,
        exactly_once: bool = False,
        thread: int = 3,
        **options: Any,
    ) -> ReplayResult:
        """One run to its end."""
        settings = load(flags={"exactly_once": exactly_once, "thread": thread}, environ={}, start=self.folder)
        given = {"follow": True, "sources": sources or (f"AIR={self.file}",), "rejects_folder": self.folder, **options}
        job = make_job(settings, ReplayOptions(**given), self.events.append)
        return replay(MemoryClient(self.broker), job, stop=stop, listener=self.events.append)

    @contextmanager
    def running(self, *sources: str, **options: Any) -> Iterator[list[ReplayResult]]:
        """A run on a thread of its own, stopped when the block is left; then the list has its result."""
        stop, results, errors = threading.Event(), list[ReplayResult](), list[BaseException]()

        def work() -> None:
            try:
                results.append(self.run(*sources, stop=stop, **options))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield results
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()
        if errors:
            raise errors[0]

    def values(self, topic: str = "AIR") -> list[dict[str, Any]]:
        """What a committed reader finds in both partitions, in no order."""
        return [json.loads(record.value or b"") for part in (0, 1) for record in self.broker.records(topic, part)]

    def numbers(self, topic: str = "AIR") -> list[int]:
        return sorted(value["n"] for value in self.values(topic))

    def until_numbers(self, wanted: list[int], topic: str = "AIR") -> None:
        until(lambda: self.numbers(topic) == wanted, f"{wanted[-1:]} in {topic}")

    def until_told(self, text: str) -> None:
        until(lambda: text in self.told, text)

    @property
    def told(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Notice))


def append(path: Path, text: str) -> None:
    with path.open("a", newline="") as file:
        file.write(text)


def rows(first: int, last: int) -> str:
    return "".join(f"{n},x{n % 3}\n" for n in range(first, last))
