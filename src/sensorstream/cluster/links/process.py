"""Station 5: the process of a cluster's links: ``python -m sensorstream.cluster.links.process PORT``.

It is started in its own folder, reads ``ways.json`` there, and listens for orders on the control port PORT of the
loopback. An order is one line of JSON, with the word from that file; it is answered by one line, and holds as long as
its connection: when whoever slowed a link is gone, even by ``kill -9``, the link is whole again.
"""

import asyncio
import hmac
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from sensorstream.cluster.links.proxy import Fault, Proxy
from sensorstream.cluster.links.ways import load_ways
from sensorstream.cluster.properties import LOOPBACK


def main() -> None:
    """Run until SIGTERM."""
    asyncio.run(_run(int(sys.argv[1])))


async def _run(port: int) -> None:
    ways = load_ways(Path.cwd().parent)
    if ways is None:
        sys.exit("ways.json can't be read")
    _allow_many_connections()
    proxy = Proxy(ways.ways, _ports_of)

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _obey(proxy, ways.word, reader, writer)
        finally:
            writer.close()

    try:
        await proxy.open()
        await asyncio.start_server(obey, LOOPBACK, port)
    except OSError as error:
        sys.exit(f"Error: {error.strerror or error}")
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


async def _obey(proxy: Proxy, word: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    fault: Fault | None = None
    with suppress(OSError, ValueError, KeyError, TypeError):
        try:
            order: dict[str, Any] = json.loads(await reader.readline())
            if not hmac.compare_digest(str(order["word"]), word):
                return
            if "broker" in order:
                fault = Fault(
                    int(order["broker"]),
                    None if order["pid"] is None else int(order["pid"]),
                    bool(order["cut"]),
                    float(order["latency_s"]),
                    None if order["bytes_per_s"] is None else int(order["bytes_per_s"]),
                )
                answer = {"connections": proxy.begin(fault)}
            else:
                answer = {"connections": len(proxy.connections)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
            if fault is not None:
                await reader.read()  # until it is gone
        finally:
            if fault is not None:
                proxy.end(fault)


def _ports_of(pid: int, fronts: set[int]) -> set[int]:
    """The ports from which a process has connected to one of ``fronts``."""
    import psutil

    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, OSError):
        return set()
    return {int(one.laddr.port) for one in connections if one.raddr and one.raddr.port in fronts}


def _allow_many_connections() -> None:
    """Each takes two of the files that a process may have open."""
    import resource

    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 65536 if most == resource.RLIM_INFINITY else min(most, 65536)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


if __name__ == "__main__":
    main()
