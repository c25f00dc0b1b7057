"""Whether a server answers at an address: checked with a plain socket and a deadline, whichever client is used."""

import socket
import struct
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

ANSWER_S: Final = 1.0
_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""The request that every broker answers before anything else: key 18, version 0, no client id."""


def why_silent(address: str, timeout_s: float = ANSWER_S) -> str | None:
    """Why nobody answers at ``host:port``, in plain words; None when somebody does.

    One that only takes the connection, as a stopped process does, does not answer.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(_API_VERSIONS)
            connection.recv(1)
    except ConnectionResetError:
        return None  # it wants TLS, say
    except ConnectionRefusedError:
        return "the connection is refused, nobody listens there"
    except socket.gaierror:
        return "the host name is not known"
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except OSError as error:
        return error.strerror or "no connection"
    return None


def silent(addresses: Iterable[str], timeout_s: float = ANSWER_S) -> Mapping[str, str]:
    """Those of these addresses where nobody answers within this time, and why; asked at the same time."""
    asked = list(dict.fromkeys(addresses))
    if not asked:
        return {}
    ask = partial(why_silent, timeout_s=timeout_s)
    with ThreadPoolExecutor(len(asked), "sensorstream-reachable") as pool:
        return {address: why for address, why in zip(asked, pool.map(ask, asked), strict=True) if why}
