"""The latency of live records, from publishing until one of this program's consumers reads them.

A record's timestamp is the publisher's clock (CreateTime) or its leader's (LogAppendTime), and reading is this host's:
where those are different hosts, the difference of their clocks is in every figure.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from sensorstream import admin
from sensorstream.config import Settings
from sensorstream.errors import SensorstreamError
from sensorstream.monitor.histogram import LatencyHistogram
from sensorstream.monitor.latency import Latency


class _Arrived(Protocol):
    @property
    def timestamp_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class LiveLatency:
    """What was measured. ``older`` records were published before the reading began and are in no figure;
    ``earlier`` ones were read before their time of publishing, so clocks differ, by ``earlier_ms`` at least.

    ``timestamps`` is CreateTime or LogAppendTime, ``same_clock`` whether both times are this host's; None: not known.
    """

    end_to_end: Latency
    older: int
    earlier: int
    earlier_ms: float | None
    timestamps: str | None
    same_clock: bool | None


class Arrivals:
    """Counts the records that a consumer reads, on the thread that reads them."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._histogram = LatencyHistogram()
        self._began_ms = now() * 1000
        self._older = self._earlier = 0
        self._earlier_ms: float | None = None

    def arrived(self, records: Iterable[_Arrived]) -> None:
        """Count records that were read just now."""
        now_ms = self._now() * 1000
        for record in records:
            took_ms = now_ms - record.timestamp_ms
            if record.timestamp_ms < self._began_ms:
                self._older += 1
            # A timestamp is a whole millisecond, rounded down.
            elif took_ms < 0:
                self._earlier += 1
                self._earlier_ms = max(self._earlier_ms or 0.0, round(-took_ms, 3))
            else:
                self._histogram.add(took_ms / 1000)

    def measured(self, settings: Settings, topic: str) -> LiveLatency:
        """What was measured, with whose clocks, as far as the cluster tells."""
        stamps = _timestamps_of(settings, topic)
        return LiveLatency(
            self._histogram.latency(),
            self._older,
            self._earlier,
            self._earlier_ms,
            stamps,
            same_clock(settings, stamps),
        )


def _timestamps_of(settings: Settings, topic: str) -> str | None:
    try:
        return admin.topic_config(settings, topic, "message.timestamp.type")
    except SensorstreamError:
        return None  # the figures stand all the same


def same_clock(settings: Settings, timestamps: str | None) -> bool | None:
    """Whether the records' timestamps are made by this host's clock; None where that is not known.

    Nobody but this host reaches brokers on its loopback, so whoever publishes there is here, too.
    """
    if timestamps is None:
        return None
    try:
        hosts = {broker.host for broker in admin.describe_cluster(settings).brokers}
    except SensorstreamError:
        return None
    if not hosts:
        return None
    if all(map(_is_loopback, hosts)):
        return True
    if timestamps == "LogAppendTime":
        return all(map(_is_here, hosts))
    return None


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _is_loopback(host: str) -> bool:
    found = _addresses(host)
    return bool(found) and all(ipaddress.ip_address(address).is_loopback for address in found)


def _is_here(host: str) -> bool:
    import psutil

    here = {one.address.partition("%")[0] for own in psutil.net_if_addrs().values() for one in own}
    return bool(_addresses(host) & here)


def clock_words(timestamps: str | None, same: bool | None) -> str:
    """Whose clocks the figures compare, in words."""
    whose = {"CreateTime": "the publisher's clock", "LogAppendTime": "the broker's clock"}
    maker = whose.get(timestamps or "", "the clock that made the timestamps")
    if same:
        return f"from {maker} to this host's, which are one"
    if same is None:
        return f"from {maker} to this host's; where those are two hosts, the difference of their clocks is in it"
    return f"from {maker} to this host's: they are two hosts, and the difference of their clocks is in it"
