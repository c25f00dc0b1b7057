"""The address of a served page: parses ``--listen``, for all pages of this program."""

import ipaddress
from typing import Final

from sensorstream.errors import UsageError

LOOPBACK: Final = "127.0.0.1"
_NAMES: Final = frozenset({"localhost"})


def parse_listen(text: str, example: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[::1]:PORT``, ``:PORT`` or ``PORT`` as host and port; ``example`` is for the hint.

    Without a host it is the loopback. Raises UsageError.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    if (
        not (port.isascii() and port.isdecimal() and int(port) < 65_536)
        or any(sign in host for sign in "/@[]?#")
        or any(sign.isspace() or not sign.isprintable() for sign in host)
        or (":" in host and not _is_address(host))
        or not _is_name(host)
    ):
        raise UsageError(
            f"--listen {text!r} is not HOST:PORT", hint=f"for example {example}; port 0 takes one that is free"
        )
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, for itself alone."""
    if host.lower() in _NAMES:
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    """Whether it can be looked up: a part of a name that is empty or too long makes Python raise UnicodeError."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True
