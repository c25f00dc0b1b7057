"""How long a topic's rows take from their timestamps to a reader: a reader at the topic's end, on a thread.

A record's timestamp is that of its publisher's clock when it was published; a difference between that clock and this
one is in every figure. Where the timestamps are the rows' own (``--timestamps original``) there is no such figure.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from sensorstream.clients.base import Client, Reader
from sensorstream.errors import ClusterUnreachable, CredentialsRefused, OffsetOutOfRange, SensorstreamError
from sensorstream.events import Listener, ignore
from sensorstream.monitor.latency import OWN_TIME_S, summarise
from sensorstream.records import ConsumedRecord, TopicPartition

OVER_S: Final = 60.0
"""The figures are of the rows of this time."""
KEPT: Final = 20_000
STEPS: Final = 300
"""Seconds that are plotted."""
_POLL_S: Final = 0.25
_AGAIN_S: Final = 1.0
_FETCH_MS: Final = 100
_CLOSE_S: Final = 15.0


class LatencyTail:
    """Reads a topic from its end on while it is open, and measures."""

    def __init__(self, make_client: Callable[[], Client], topic: str, listener: Listener = ignore) -> None:
        self._make_client = make_client
        self._topic = topic
        self._listener = listener
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._samples: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._steps: deque[tuple[int, float, float, int]] = deque(maxlen=STEPS)
        self._second: list[float] = []
        self._at = 0
        self._rows = self._early = self._old = 0
        self._text = f"looking for {topic}"
        self._thread = threading.Thread(target=self._run, name="latency-tail", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have it stop reading; does not wait."""
        self._stop.set()

    def close(self, within_s: float = _CLOSE_S) -> None:
        """Stop reading, and wait until the thread has ended, so long at the most."""
        self.stop()
        self._thread.join(within_s)

    def payload(self) -> dict[str, Any]:
        """The figures now, for the page."""
        now = time.time()
        with self._lock:
            self._close_second(int(now))
            seconds = [took for at, took in self._samples if at >= now - OVER_S]
            figures = summarise(seconds)
            return {
                "topic": self._topic,
                "state": self._text,
                "over_s": OVER_S,
                "rows": self._rows,
                "own_times": self._old,
                "early": self._early,
                "samples": figures.samples,
                "mean_ms": figures.mean_ms,
                "p50_ms": figures.p50_ms,
                "p99_ms": figures.p99_ms,
                "p999_ms": figures.p999_ms,
                "max_ms": figures.max_ms,
                "series": {
                    "x": [at for at, *_ in self._steps],
                    "p50": [p50 for _, p50, _, _ in self._steps],
                    "p99": [p99 for _, _, p99, _ in self._steps],
                },
            }

    def measure(self, records: Sequence[ConsumedRecord], now: float) -> None:
        """Note records that were read at ``now`` (Unix seconds)."""
        with self._lock:
            self._close_second(int(now))
            for record in records:
                took = now - record.timestamp_ms / 1000
                self._rows += 1
                if abs(took) > OWN_TIME_S:
                    self._old += 1
                    continue
                if took < 0:
                    # The publisher's clock is ahead of this one.
                    self._early += 1
                self._samples.append((now, took))
                if len(self._second) < KEPT:
                    self._second.append(took)

    def _close_second(self, second: int) -> None:
        if second == self._at:
            return
        if self._second:
            figures = summarise(self._second)
            self._steps.append((self._at, figures.p50_ms or 0.0, figures.p99_ms or 0.0, figures.samples))
            self._second = []
        self._at = second

    # The thread

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._make_client().reader(listener=self._listener, fetch_wait_ms=_FETCH_MS) as reader:
                    self._read(reader)
            except CredentialsRefused as error:
                self._tell(error.message)
                return  # asking again could lock the account
            except SensorstreamError as error:
                self._tell(error.message)
            self._stop.wait(_AGAIN_S)

    def _read(self, reader: Reader) -> None:
        parts = [TopicPartition(self._topic, number) for number in range(reader.partitions_for(self._topic))]
        reader.assign(reader.end_offsets(parts))
        self._tell(f"reading {self._topic} from its end on")
        while not self._stop.is_set():
            try:
                polled = reader.poll(_POLL_S, 1000)
            except (ClusterUnreachable, OffsetOutOfRange) as error:
                self._tell(f"{error.message}; looking again")
                return
            now = time.time()
            for records in polled.values():
                self.measure(records, now)

    def _tell(self, text: str) -> None:
        with self._lock:
            self._text = text
