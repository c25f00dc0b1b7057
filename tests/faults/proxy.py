"""A TCP proxy in front of the brokers: slow, cut and half-open connections, and faults at a chosen request.

A broker gets one more listener, which it advertises under the proxy's port; so whoever begins at a proxy stays behind
the proxies. The brokers talk to one another, and the tests count, past them.
"""

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

PRODUCE, END_TXN = 0, 26
"""https://kafka.apache.org/protocol#protocol_api_keys"""
LOOPBACK = "127.0.0.1"


class Trap:
    """Does ``action`` with a broker's number at the first request of a kind: before that broker has it, or when its
    answer comes.

    What is caught, request or answer, goes no further, and its connection is cut. ``client_id`` says whose request.
    """

    def __init__(
        self, api_key: int, client_id: str, at: Literal["request", "answer"], action: Callable[[int], None]
    ) -> None:
        self.at = at
        self.action = action
        self.sprung = threading.Event()
        self._api_key = api_key
        self._client_id = client_id.encode()

    def fits(self, request: bytes) -> bool:
        """Whether this is such a request: https://kafka.apache.org/protocol#protocol_messages, the header."""
        api_key, length = struct.unpack(">4xh6xh", request[:14])
        return bool(api_key == self._api_key and request[14 : 14 + length] == self._client_id)


class _Connection:
    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter, number: int) -> None:
        self.client = client
        self.broker = broker
        self.number = number
        self.caught: Trap | None = None

    def cut(self) -> None:
        """End it as a crash does: the other sides are told by a reset."""
        for writer in (self.client, self.broker):
            with suppress(OSError):
                sock = writer.get_extra_info("socket")
                if sock is not None:
                    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER of 0 s: RST instead of FIN
            transport: asyncio.WriteTransport = writer.transport
            transport.abort()


class Proxies:
    """A proxy for each broker, all on one thread. ``ports`` are where they listen, ``targets`` where the brokers do."""

    def __init__(self, ports: Sequence[int], targets: Sequence[int]) -> None:
        self._ports = tuple(ports)
        self._targets = tuple(targets)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._refusing = False
        self._delay_s = 0.0
        self._chunk = 1 << 16
        self._held: set[str] = set()
        self._go_on: asyncio.Event
        self._trap: Trap | None = None
        self.requests: Counter[int] = Counter()
        """How many requests of each kind have come."""

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """Where clients begin."""
        return tuple(f"{LOOPBACK}:{port}" for port in self._ports)

    @contextmanager
    def running(self) -> Iterator["Proxies"]:
        self._thread.start()
        self._call(self._open())
        try:
            yield self
        finally:
            self._call(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    # -- faults; each is undone when its block is left --------------------------------------------------------------

    @contextmanager
    def slow(self, delay_s: float, chunk: int) -> Iterator[None]:
        """Each way, let at most ``chunk`` bytes pass, then wait ``delay_s`` seconds."""
        self._delay_s, self._chunk = delay_s, chunk
        try:
            yield
        finally:
            self._delay_s, self._chunk = 0.0, 1 << 16

    def cut(self) -> None:
        """Reset all connections; new ones are taken at once."""
        self._call(self._cut())

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Reset all connections, and each new one at once."""
        self._refusing = True
        self.cut()
        try:
            yield
        finally:
            self._refusing = False

    @contextmanager
    def half_open(self, *ways: Literal["requests", "answers"], then_cut: bool) -> Iterator[None]:
        """Nothing passes these ways, and nobody is told. What was held then goes on, or is lost."""
        self._call(self._hold(set(ways)))
        try:
            yield
        finally:
            if then_cut:
                self.cut()
            self._call(self._hold(set()))

    def set_trap(self, trap: Trap) -> None:
        """Wait for a request; see :class:`Trap`."""
        self._trap = trap

    # -- the machinery, on the proxies' thread ----------------------------------------------------------------------

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _open(self) -> None:
        self._go_on = asyncio.Event()
        self._go_on.set()
        for number, port in enumerate(self._ports, 1):

            async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int = number) -> None:
                await self._take(reader, writer, number)

            self._servers.append(await asyncio.start_server(take, LOOPBACK, port))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        await self._cut()
        await self._hold(set())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _cut(self) -> None:
        for connection in list(self._connections):
            connection.cut()

    async def _hold(self, ways: set[str]) -> None:
        self._held = ways
        self._go_on.set()
        self._go_on = asyncio.Event()
        if not ways:
            self._go_on.set()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            broker_reader, broker_writer = await asyncio.open_connection(LOOPBACK, self._targets[number - 1])
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, broker_writer, number)
        self._connections.add(connection)
        if self._refusing:
            connection.cut()
        ways = (
            asyncio.create_task(self._requests(connection, reader)),
            asyncio.create_task(self._answers(connection, broker_reader)),
        )
        self._tasks.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        # A clean end of one side is passed on as one; what the other was saying is let through for a moment.
        for side in (writer, broker_writer):
            with suppress(OSError, RuntimeError):
                side.close()
        await asyncio.wait(ways, timeout=1)
        for way in ways:
            way.cancel()
        self._tasks.difference_update(ways)
        self._connections.discard(connection)

    async def _requests(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(4)
                request = head + await reader.readexactly(int.from_bytes(head, "big"))
                self.requests[int.from_bytes(request[4:6], "big")] += 1
                trap = self._trap
                if trap is not None and trap.fits(request):
                    self._trap = None
                    connection.caught = trap
                    if trap.at == "request":
                        await self._spring(connection, trap)
                        return
                await self._pass(connection.broker, request, "requests")

    async def _answers(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if connection.caught is not None:
                    await self._spring(connection, connection.caught)
                    return
                await self._pass(connection.client, data, "answers")

    async def _spring(self, connection: _Connection, trap: Trap) -> None:
        await self._loop.run_in_executor(None, trap.action, connection.number)
        connection.cut()
        trap.sprung.set()

    async def _pass(self, writer: asyncio.StreamWriter, data: bytes, way: str) -> None:
        while data:
            while way in self._held:
                await self._go_on.wait()
            part, data = data[: self._chunk], data[self._chunk :]
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            writer.write(part)
            await writer.drain()
