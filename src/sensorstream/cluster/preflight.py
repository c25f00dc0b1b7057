"""Station 5: checks before a node is started: free ports and enough memory."""

import random
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sensorstream.cluster.properties import LOOPBACK
from sensorstream.errors import LocalClusterError, PortTaken
from sensorstream.wording import counted

MEGABYTES_PER_BROKER: Final = 300
"""What a broker needs to start and work; it may grow to about 450 MB."""


_PORTS: Final = range(20_000, 32_768)
_OUTGOING_S: Final = 5.0

NODE_MARK: Final = "-Dsensorstream.node="
"""Marks the command line of every Java process we start; its value is the node's own folder."""


def free_ports(count: int, avoid: Iterable[int] = ()) -> tuple[int, ...]:
    """Ports on which nobody listens now, none of them in ``avoid``.

    They lie below the range from which systems take the ports of outgoing connections (32768 on Linux, 49152
    elsewhere): a port from there may be gone for a while when a stopped broker wants it back.
    """
    taken = set(avoid)
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        if port not in taken and is_free(port) and _reserve(port):
            found.append(port)
    if len(found) < count:
        raise LocalClusterError(f"no {count} free ports between {_PORTS.start} and {_PORTS.stop - 1}")
    return tuple(found)


_reservations: Final[list[socket.socket]] = []


def _reserve(port: int) -> bool:
    """Keep other processes that start clusters from choosing this port while this one lives.

    A broker listens only seconds after its port was chosen. The mark is a Unix socket of an abstract name, which goes
    with the process and leaves no file; systems other than Linux have none, and their chance of a clash stays.
    """
    if sys.platform != "linux":
        return True
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0sensorstream-port-{port}")
    except OSError:
        mark.close()
        return False
    _reservations.append(mark)
    return True


def is_free(port: int) -> bool:
    """Whether a broker could listen on this port of the loopback address."""
    with socket.socket() as probe:
        # As Kafka does it: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def listens(port: int) -> bool:
    """Whether somebody takes connections on this port of the loopback address."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


def require_ports(ports: Iterable[int]) -> None:
    """Raise PortTaken for the first port that is not free, naming its owner where the system tells.

    Some patience is for an outgoing connection that has been given the port: while the brokers are away their clients
    try again and again, and one may even meet itself. Such a connection goes by itself.
    """
    deadline = time.monotonic() + _OUTGOING_S
    for port in ports:
        while not is_free(port):
            by_whom = owner(port)
            if not by_whom and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            by = f" by {by_whom}" if by_whom else ""
            raise PortTaken(
                f"port {port} is already in use{by}",
                hint="stop that process, or choose others with --ports 29093,39093,49093 (or --ports auto)",
            )


def owner(port: int) -> str:
    """Who listens on this port, in words; empty where the system does not tell."""
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return ""  # macOS tells only root
    for connection in connections:
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            if not connection.pid:
                return ""
            try:
                process = psutil.Process(connection.pid)
                name = f"{process.name()} (pid {process.pid})"
                for word in process.cmdline():
                    if word.startswith(NODE_MARK):
                        node = Path(word.removeprefix(NODE_MARK))
                        return f"{name}, {node.name} of the cluster {node.parent.name!r}"
                return name
            except psutil.Error:
                return f"pid {connection.pid}"
    return ""


def require_memory(brokers: int) -> None:
    """Raise LocalClusterError when there is clearly too little memory to start this many brokers."""
    free = available_memory()
    needed = brokers * MEGABYTES_PER_BROKER << 20
    if free < needed:
        raise LocalClusterError(
            f"too little memory: {counted(brokers, 'broker')} {'needs' if brokers == 1 else 'need'} "
            f"about {needed >> 20} MB, {free >> 20} MB are available",
            hint="close something, or start fewer with --brokers 1",
        )


def available_memory() -> int:
    """Bytes that a new process can have without swapping: the machine's, or the container's if that is less."""
    import psutil

    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")  # cgroup v2, https://docs.kernel.org/admin-guide/cgroup-v2.html
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
        counters = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return min(free, limit - used + int(counters.get("inactive_file", 0)))
    except (OSError, ValueError):  # no such file; or "max", which is no limit
        return free
