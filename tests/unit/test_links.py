"""The proxies in front of a cluster's nodes: what passes them, slow and cut links, who may order that."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from running import until
from sensorstream.cluster import preflight
from sensorstream.cluster.links.links import Links
from sensorstream.cluster.links.proxy import Fault, Proxy
from sensorstream.cluster.links.ways import Way, Ways, load_ways, plan_ways, save_ways
from sensorstream.cluster.properties import LOOPBACK
from sensorstream.errors import LocalClusterError

DATA = random.Random(1).randbytes(1_000_000)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Lab:
    """Two nodes that send back what they get, each behind a proxy; ``own`` are the ports that node 1 connects from."""

    def __init__(self) -> None:
        self.own: set[int] = set()
        ports = preflight.free_ports(4)
        self.ways = [Way("broker", 1, ports[0], ports[1]), Way("broker", 2, ports[2], ports[3])]
        self.proxy = Proxy(self.ways, lambda pid, fronts: self.own)

    async def open(self) -> None:
        for way in self.ways:
            await asyncio.start_server(self._echo, LOOPBACK, way.behind)
        await self.proxy.open()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def connect(self, node: int, *, by_node_1: bool = False) -> Streams:
        """A connection to a node; its port is known to be node 1's before the proxy has looked at it."""
        opened = socket.socket()
        opened.bind((LOOPBACK, 0))
        if by_node_1:
            self.own.add(opened.getsockname()[1])
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, (LOOPBACK, self.ways[node - 1].front))
        return await asyncio.open_connection(sock=opened)


def play(scene: Callable[[Lab], Awaitable[None]]) -> None:
    """Play a scene, all on one event loop."""

    async def run() -> None:
        lab = Lab()
        await lab.open()
        await asyncio.wait_for(scene(lab), 60)

    asyncio.run(run())


async def echoed(streams: Streams, data: bytes = b"x") -> float:
    """Have data sent back, whole and in order; the seconds it took."""
    reader, writer = streams
    began = time.monotonic()
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    return time.monotonic() - began


async def is_cut(streams: Streams) -> bool:
    """Whether a connection is reset, or taken and reset at once."""
    reader, writer = streams
    try:
        writer.write(b"x")
        return await reader.read(1) == b""
    except ConnectionError:
        return True


def test_everything_passes_both_ways_and_an_end_is_an_end() -> None:
    async def scene(lab: Lab) -> None:
        reader, writer = await lab.connect(1)
        await echoed((reader, writer), DATA)
        writer.write(b"last")
        writer.write_eof()
        assert await reader.read() == b"last"
        writer.close()
        while lab.proxy.connections:
            await asyncio.sleep(0.01)

    play(scene)


def test_whoever_does_not_read_holds_up_the_sender_and_loses_nothing() -> None:
    async def scene(lab: Lab) -> None:
        reader, writer = await lab.connect(1)
        sending = asyncio.ensure_future(_send(writer, DATA * 20))
        await asyncio.sleep(0)
        assert await reader.readexactly(len(DATA) * 20) == DATA * 20
        await sending

    async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    play(scene)


def test_a_node_that_is_not_there_ends_the_connection_at_once() -> None:
    async def scene(lab: Lab) -> None:
        lab.proxy = Proxy([Way("broker", 1, *preflight.free_ports(2))], lambda pid, fronts: set())
        lab.ways = list(lab.proxy._ways)
        await lab.proxy.open()
        assert await is_cut(await lab.connect(1))

    play(scene)


def test_a_slow_link_is_late_each_way_and_keeps_order() -> None:
    async def scene(lab: Lab) -> None:
        slow, other = await lab.connect(1), await lab.connect(2)
        await echoed(slow)
        await echoed(other)
        fault = Fault(1, None, latency_s=0.2)
        assert lab.proxy.begin(fault) == 1
        assert await echoed(slow) >= 0.4
        assert await echoed(await lab.connect(1)) >= 0.4, "so is one that is made meanwhile"
        await echoed(slow, DATA[:300_000])
        writing = asyncio.ensure_future(echoed(slow, DATA))
        await asyncio.sleep(0.05)
        lab.proxy.end(fault)
        await writing
        assert not any(one.fault for one in lab.proxy.connections)

    play(scene)


def test_a_narrow_link_is_shared_by_its_connections() -> None:
    async def scene(lab: Lab) -> None:
        both = [await lab.connect(1), await lab.connect(1)]
        for one in both:
            await echoed(one)
        fault = Fault(1, None, bytes_per_s=200_000)
        lab.proxy.begin(fault)
        began = time.monotonic()
        await asyncio.gather(*(echoed(one, DATA[:50_000]) for one in both))
        assert time.monotonic() - began >= 0.45, "100,000 bytes at 200,000 a second"
        lab.proxy.end(fault)

    play(scene)


def test_a_cut_link_is_cut_in_both_directions_but_not_to_itself() -> None:
    async def scene(lab: Lab) -> None:
        to_it, elsewhere = await lab.connect(1), await lab.connect(2)
        by_it, to_itself = await lab.connect(2, by_node_1=True), await lab.connect(1, by_node_1=True)
        for one in (to_it, elsewhere, by_it, to_itself):
            await echoed(one)
        fault = Fault(1, 123, cut=True)
        assert lab.proxy.begin(fault) == 2
        assert await is_cut(to_it)
        assert await is_cut(by_it)
        assert await is_cut(await lab.connect(1))
        assert await is_cut(await lab.connect(2, by_node_1=True))
        for one in (elsewhere, to_itself, await lab.connect(2), await lab.connect(1, by_node_1=True)):
            await echoed(one)
        lab.proxy.end(fault)
        await echoed(await lab.connect(1))
        await echoed(await lab.connect(2, by_node_1=True))

    play(scene)


# -- the process -------------------------------------------------------------------------------------------------------


@pytest.fixture
def node() -> Iterator[int]:
    """The port of a node that sends back what it gets."""
    loop = asyncio.new_event_loop()
    (port,) = preflight.free_ports(1)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(asyncio.start_server(Lab()._echo, LOOPBACK, port), loop).result(30)
    yield port
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def links(tmp_path: Path, node: int) -> Iterator[tuple[Links, int]]:
    """The links of a cluster of one node, and the port by which it is known."""
    made = Links(tmp_path / "cluster")
    (front,) = preflight.free_ports(1, [node])
    ways = Ways((Way("broker", 1, front, node),), "word")
    assert made.start(ways, threading.Event())
    assert not made.start(ways, threading.Event()), "they run already"
    try:
        yield made, front
    finally:
        made.end()


def answers(port: int) -> bool:
    """Whether a node is reached at this port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=30) as connection:
            connection.sendall(b"x")
            return connection.recv(1) == b"x"
    except OSError:
        return False


def test_its_links_are_cut_for_as_long_as_that_is_wanted(links: tuple[Links, int]) -> None:
    made, front = links
    assert made.held() == {front}
    assert answers(front)
    with made.disturb(1, os.getpid(), cut=True):
        # This very process is node 1 here: it reaches itself.
        assert answers(front)
    with made.disturb(1, None, cut=True):
        assert not answers(front)
    assert answers(front)
    status = made.status()
    assert status is not None
    assert status.state == "running"


def test_when_whoever_has_cut_them_is_killed_they_are_whole(links: tuple[Links, int]) -> None:
    made, front = links
    code = (
        "import sys, time; from pathlib import Path; from sensorstream.cluster.links.links import Links\n"
        "held = Links(Path(sys.argv[1])).disturb(1, None, cut=True)\nprint('cut', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(made.folder.parent)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "cut\n"
        assert not answers(front)
    finally:
        child.kill()
        child.communicate()
    until(lambda: answers(front), "whole links")


def test_who_does_not_know_the_word_orders_nothing(links: tuple[Links, int]) -> None:
    made, front = links
    known = made.known()
    assert known is not None
    for word in ("wrong", "wörd"):
        order = {"word": word, "broker": 1, "pid": None, "cut": True, "latency_s": 0, "bytes_per_s": None}
        with socket.create_connection((LOOPBACK, known.port), timeout=30) as connection:
            connection.sendall(json.dumps(order).encode() + b"\n")
            assert connection.recv(1) == b""
    assert (made.folder / "ways.json").stat().st_mode & 0o777 == 0o600
    assert answers(front)


def test_links_that_were_killed_are_told_and_started_again(links: tuple[Links, int]) -> None:
    made, front = links
    known, ways = made.known(), made.ways
    assert known is not None
    assert known.process is not None
    assert ways is not None
    os.kill(known.process.pid, signal.SIGKILL)
    until(lambda: made.process(known) is None, "the end of the process")
    status = made.status()
    assert status is not None
    assert status.state == "stopped"
    with pytest.raises(LocalClusterError, match="do not answer"):
        made.disturb(1, None, cut=True)
    assert made.start(ways, threading.Event())
    assert answers(front)


# -- the ways ----------------------------------------------------------------------------------------------------------


def planned(before: Ways | None, running: tuple[int, ...] = (), taken: tuple[int, ...] = ()) -> Ways:
    """Ways to two nodes; ports are handed out from 200 on."""
    free = (port for port in range(200, 300) if port not in taken)
    return plan_ways(
        before,
        {1: 100, 2: 101},
        {1: 110, 2: 111},
        zookeeper=False,
        running=running,
        is_free=lambda port: port not in taken,
        free_ports=lambda count, avoid: tuple(next(free) for _ in range(count)),
    )


def test_a_node_keeps_where_it_listens_while_that_is_free(tmp_path: Path) -> None:
    first = planned(None)
    assert [(way.kind, way.owner, way.front, way.behind) for way in first.ways] == [
        ("broker", 1, 100, 200),
        ("broker", 2, 101, 201),
        ("controller", 1, 110, 202),
        ("controller", 2, 111, 203),
    ]
    assert first.behind("controller", 2) == 203
    save_ways(tmp_path, first)
    assert load_ways(tmp_path) == first
    assert planned(first) == first
    moved = planned(first, running=(2,), taken=(200, 201))
    assert moved.behind("broker", 2) == 201, "it runs there"
    assert moved.behind("broker", 1) not in (200, 201)
    assert moved.word == first.word


def test_zookeeper_has_a_way_of_its_own() -> None:
    ports = iter(range(200, 210))
    ways = plan_ways(
        None,
        {1: 100},
        {},
        zookeeper=True,
        running=(),
        is_free=lambda port: True,
        free_ports=lambda count, avoid: tuple(next(ports) for _ in range(count)),
    )
    assert ways.zookeeper_front == 200
    assert ways.to_zookeeper(2181).behind("zookeeper", 0) == 2181
    assert ways.to_zookeeper(2181).behind("broker", 1) == ways.behind("broker", 1)
