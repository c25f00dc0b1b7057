"""From a host name to a connection: resolve the name, and connect."""

import errno
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from sensorstream.addresses import bracketed
from sensorstream.clients.own_thread import on_own_thread

NAME_S: Final = 5.0
"""So long a name server may take."""
CONNECT_S: Final = 2.5
"""So long a connection may take to be made."""
Answer: TypeAlias = Literal["connected", "refused", "silent", "no route"]
WORDS: Final[dict[Answer, str]] = {
    "connected": "connected",
    "refused": "refused",
    "silent": "no answer",
    "no route": "no route",
}
LOOPBACKS: Final = {"127.0.0.1": "::1", "::1": "127.0.0.1"}


class Unresolved(Exception):
    """A name could not be resolved; the message says why."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of connecting to one of the addresses of a host."""

    ip: str
    answer: Answer


def split(address: str) -> tuple[str, int]:
    """Host, without brackets, and port of ``host:port``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def resolve(host: str, port: int) -> tuple[str, ...]:
    """The IP addresses of a host, in the order in which clients try them. Raises Unresolved."""
    asked = on_own_thread("sensorstream-name", lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    try:
        found = asked.result(NAME_S)
    except LateError:
        raise Unresolved(f"no name server has answered within {NAME_S:g} s") from None
    except (OSError, UnicodeError) as error:
        again = getattr(error, "errno", None) == socket.EAI_AGAIN
        raise Unresolved("no name server answers" if again else "the host name is not known") from error
    return tuple(dict.fromkeys(str(row[4][0]) for row in found))


def try_all(ips: Sequence[str], port: int) -> tuple[Tried, ...]:
    """Connect to each of these addresses, all at the same time."""
    with ThreadPoolExecutor(len(ips), "sensorstream-connect") as pool:
        return tuple(pool.map(lambda ip: Tried(ip, _connect(ip, port)), ips))


def _connect(ip: str, port: int) -> Answer:
    try:
        with socket.create_connection((ip, port), CONNECT_S):
            return "connected"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return "silent" if error.errno == errno.ETIMEDOUT else "no route"


def listed(tried: Sequence[Tried]) -> str:
    """What came of each address, in words."""
    return ", ".join(f"{one.ip} ({WORDS[one.answer]})" for one in tried)


def other_loopback(ips: Sequence[str], port: int) -> str | None:
    """``host:port`` of the loopback address that was not tried, where somebody listens there."""
    for ip in ips:
        other = LOOPBACKS.get(ip)
        if other is not None and other not in ips and _connect(other, port) == "connected":
            return bracketed(other, port)
    return None


def is_loopback(ips: Sequence[str]) -> bool:
    """Whether all of these are this machine itself."""
    return all(ip.startswith("127.") or ip in ("::1", "0.0.0.0", "::") for ip in ips)  # noqa: S104 - nothing listens


def in_container() -> bool:
    """Whether this process runs in a container, whose ``localhost`` is not that of the machine."""
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))
