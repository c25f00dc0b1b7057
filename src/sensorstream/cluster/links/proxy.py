"""Station 5: a proxy in front of brokers, whose links can be slowed and cut. One thread, one event loop.

A link of a broker is every connection to it or from it, to clients, other brokers, controllers and ZooKeeper; but not
those to itself. Nothing of what passes is looked at, so it may be encrypted.
"""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, cast

from sensorstream.cluster.links.ways import Way
from sensorstream.cluster.properties import LOOPBACK

_HELD_BYTES: Final = 64 * 1024
"""So much of a connection may be under way in a slow link before no more is read: what a router's buffer holds."""
_PIECE_S: Final = 0.02
"""A slow link passes on in pieces that take it so long."""
_LEAST_PIECE: Final = 512


@dataclass(slots=True, eq=False)
class Fault:
    """What is wrong with the links of ``broker``: ``cut``, or slow: so much later each way, so many bytes a second.

    ``pid`` is the broker's process, by which its own connections to others are found. ``bytes_per_s`` None: no limit.
    """

    broker: int
    pid: int | None
    cut: bool = False
    latency_s: float = 0.0
    bytes_per_s: int | None = None
    free_at: dict[str, float] = field(default_factory=lambda: {"to": 0.0, "from": 0.0})
    """When the link can take more, each way: all connections of a broker share it."""

    def pieces(self, data: bytes, way: str, now: float) -> "Iterable[tuple[float, bytes]]":
        """The data in pieces, each with the time at which it arrives."""
        if self.bytes_per_s is None:
            yield now + self.latency_s, data
            return
        size = max(_LEAST_PIECE, int(self.bytes_per_s * _PIECE_S))
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self.free_at[way] = max(now, self.free_at[way]) + len(piece) / self.bytes_per_s
            yield self.free_at[way] + self.latency_s, piece


class _Side(asyncio.Protocol):
    """One end of a connection: what comes in here goes out at the other one."""

    def __init__(self, connection: "_Connection", *, is_client: bool) -> None:
        self._connection = connection
        self._is_client = is_client
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._full = False
        self._ending = False
        self._ended = False
        self._heard_all = False
        self.transport: asyncio.Transport | None = None
        self.other: _Side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._is_client:
            self._connection.begin()

    def data_received(self, data: bytes) -> None:
        self.other.send(data)

    def eof_received(self) -> bool:
        self._heard_all = True
        self.other.end()
        return not self._ended  # both ways have ended: nobody would tell us that it is closed

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._drop()
        self.other.end(close=True)
        self._connection.over()

    def pause_writing(self) -> None:
        self._full = True
        self.other.read(on=False)

    def resume_writing(self) -> None:
        self._full = False
        self._let_read()

    def send(self, data: bytes) -> None:
        """Pass this on to whoever is at this end, as fast as the link allows."""
        fault = self._connection.fault
        if self.transport is None:
            return
        if fault is None and not self._held:
            self.transport.write(data)
            return
        # What is slow is the way to the broker, or from it, whoever has opened the connection.
        to_owner = self._is_client is not self._connection.towards_broker
        now, last = time.monotonic(), self._held[-1][0] if self._held else 0.0
        pieces = [(now, data)] if fault is None else fault.pieces(data, "to" if to_owner else "from", now)
        for due, piece in pieces:
            last = max(due, last)  # nothing overtakes what is under way
            self._held.append((last, piece))
            self._held_bytes += len(piece)
        if self._held_bytes > _HELD_BYTES:
            self.other.read(on=False)
        self._set_timer()

    def end(self, *, close: bool = False) -> None:
        """Nothing more comes for this end; ``close``: and nobody takes what it sends."""
        self._ending = True
        if self._held or self.transport is None:
            if close and self.transport is not None:
                self.read(on=False)
            return
        with suppress(OSError, RuntimeError):
            if close or self._heard_all:
                self.transport.close()
            else:
                self.transport.write_eof()
            self._ended = True

    def read(self, *, on: bool) -> None:
        """Go on reading, or stop for a while."""
        if self.transport is not None and not self.transport.is_closing():
            if on and not self._connection.whole:
                return  # what came now would have nowhere to go
            if on:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def reset(self) -> None:
        """End it as a crash does: whoever is at this end is told by a reset."""
        transport, self.transport = self.transport, None
        self._drop()
        if transport is not None:
            sock = transport.get_extra_info("socket")
            with suppress(OSError):
                if sock is not None:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    def quick(self) -> None:
        """Whatever is under way arrives at once: the link is whole again."""
        self._held = deque((0.0, piece) for _, piece in self._held)
        self._deliver()

    def _set_timer(self) -> None:
        if self._timer is None and self._held:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, self._held[0][0] - time.monotonic()), self._deliver)

    def _deliver(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.monotonic()
        while self._held and self._held[0][0] <= now and self.transport is not None:
            _, piece = self._held.popleft()
            self._held_bytes -= len(piece)
            self.transport.write(piece)
        self._let_read()
        if self._held:
            self._set_timer()
        elif self._ending:
            self.end(close=self.other.transport is None)

    def _let_read(self) -> None:
        if not self._full and self._held_bytes <= _HELD_BYTES // 2:
            self.other.read(on=True)

    def _drop(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Connection:
    """A connection through the proxy: from a client, or another broker, to the node behind ``way``."""

    def __init__(self, proxy: "Proxy", way: Way) -> None:
        self._proxy = proxy
        self.way = way
        self.fault: Fault | None = None
        self.towards_broker = True
        """Whether the broker of the fault is the one that was connected to, rather than the one that connects."""
        self.whole = False
        self.client = _Side(self, is_client=True)
        self.node = _Side(self, is_client=False)
        self.client.other, self.node.other = self.node, self.client
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int | None:
        """The port from which whoever is at the front has connected."""
        transport = self.client.transport
        name = transport.get_extra_info("peername") if transport is not None else None
        return None if name is None else int(name[1])

    def begin(self) -> None:
        self._proxy.connections.add(self)
        self._proxy.look_at([self])
        if self.client.transport is not None:  # else it was cut at once
            self.client.read(on=False)
            self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.node, LOOPBACK, self.way.behind)
        except OSError:
            self.cut()
            return
        if self.client.transport is None:
            self.cut()  # it went while we connected
        else:
            self.whole = True
            self.client.read(on=True)

    def cut(self) -> None:
        """Reset both ends."""
        self.client.reset()
        self.node.reset()
        self.over()

    def over(self) -> None:
        if self.client.transport is None and self.node.transport is None:
            self._proxy.connections.discard(self)


class Proxy:
    """The proxy of one cluster. ``ports_of`` tells from which ports a process has connected to given ones."""

    def __init__(self, ways: Iterable[Way], ports_of: Callable[[int, set[int]], set[int]]) -> None:
        self._ways = tuple(ways)
        self._ports_of = ports_of
        self._fronts = {way.front for way in self._ways}
        self._servers: list[asyncio.Server] = []
        self._faults: list[Fault] = []
        self.connections: set[_Connection] = set()

    async def open(self) -> None:
        """Listen at every front. Raises OSError."""
        loop = asyncio.get_running_loop()
        for way in self._ways:

            def take(way: Way = way) -> asyncio.Protocol:
                return _Connection(self, way).client

            self._servers.append(await loop.create_server(take, LOOPBACK, way.front, backlog=128))

    def begin(self, fault: Fault) -> int:
        """Slow or cut the links of a broker, and tell how many connections that hit; until :meth:`end`."""
        self._faults.append(fault)
        return self.look_at(list(self.connections))

    def end(self, fault: Fault) -> None:
        """The link is whole again; what was under way in a slow one arrives at once."""
        self._faults.remove(fault)
        for one in list(self.connections):
            if one.fault is fault:
                one.fault = None
                one.client.quick()
                one.node.quick()
        self.look_at(list(self.connections))  # another fault may hold for them

    def look_at(self, connections: Iterable[_Connection]) -> int:
        """Find out which of these belong to the link of a broker that is slowed or cut; how many do."""
        found = 0
        for fault in self._faults:
            own: set[int] | None = None
            for one in connections:
                if one.fault is not None or one.port is None:
                    continue
                if own is None:  # asked once for all, and only when somebody is there
                    own = self._ports_of(fault.pid, self._fronts) if fault.pid is not None else set()
                towards, by_it = one.way.owner == fault.broker, one.port in own
                if towards == by_it:  # neither end, or the broker with itself
                    continue
                found += 1
                one.fault, one.towards_broker = fault, towards
                if fault.cut:
                    one.cut()
        return found
