"""Brokers' addresses as users write them, ``HOST:PORT[,HOST:PORT...]``, and advice for malformed ones.

In place of addresses may stand the name of a cluster of this machine, ``cluster:NAME``.
"""

import ipaddress
import re
from typing import Final, NoReturn

from sensorstream.errors import ConfigError

_EXAMPLE: Final = "for example 127.0.0.1:29092"
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<rest>.*)", re.DOTALL)
_HOST: Final = re.compile(r"[\w.-]+")
_CLUSTER: Final = re.compile(r"cluster:(?!\d*$)(?P<name>.+)", re.DOTALL)
"""``cluster:9092`` is a port of a host that is called so, as in a network of containers."""
_PROTOCOLS: Final = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
"""What Kafka's own configuration writes before the address of a listener, and is an option of its own here."""


def parse_addresses(value: object, origin: str) -> tuple[str, ...]:
    """The addresses in a text, or in a list of texts, each as ``host:port``, IPv6 hosts in brackets.

    The name of a cluster, ``cluster:NAME``, stays as it is written: see :func:`named_cluster`.
    ``origin`` says where the value was written. Raises ConfigError that names the first one that is none, and what to
    write instead.
    """
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise ConfigError(f"{origin}: bootstrap = {value!r} is not HOST:PORT[,HOST:PORT...]", hint=_EXAMPLE)
    found = []
    for part in parts:
        text = str(part).strip()
        if _CLUSTER.fullmatch(text):
            if len(parts) > 1:
                raise ConfigError(
                    f"{origin}: bootstrap {text!r} names a whole cluster, and there is more than that",
                    hint=f"write {text} alone",
                )
            return (text,)
        try:
            found.append(_address(text))
        except _NoAddressError as wrong:
            # What stands before an @ may be a password.
            shown = re.sub(r"[^/,]*@", "", text)
            raise ConfigError(
                f"{origin}: bootstrap address {shown!r} is not HOST:PORT: {wrong.why}", hint=wrong.hint
            ) from None
    return tuple(found)


def named_cluster(bootstrap: tuple[str, ...]) -> str | None:
    """The ``NAME`` of ``cluster:NAME`` where that stands in place of addresses, else None."""
    found = _CLUSTER.fullmatch(bootstrap[0]) if len(bootstrap) == 1 else None
    return None if found is None else found["name"]


def bracketed(host: str, port: int) -> str:
    """``host:port``, with brackets where the host is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


class _NoAddressError(Exception):
    """Why a text is no address, and what to write instead."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


def _refuse(why: str, hint: str = _EXAMPLE) -> NoReturn:
    raise _NoAddressError(why, hint)


def _address(text: str) -> str:
    if not text:
        _refuse("it is empty", "is there a comma too many?")
    url = _URL.fullmatch(text)
    if url is not None:
        _refuse(f"{url['scheme']}:// does not belong there", _without(url["scheme"], url["rest"]))
    if "@" in text:
        _refuse("a user's name does not belong there", "set sasl.username and sasl.password with -X")
    if re.search(r"\s", text):
        _refuse("it contains a space", "separate addresses by commas")
    if "/" in text:
        _refuse("an address has no path", f"write {_rewritten(text.partition('/')[0])}")
    if text.startswith("["):
        inside, closed, rest = text[1:].partition("]")
        if not closed or not _is_ipv6(inside):
            _refuse("the text in the brackets is not an IPv6 address", "for example [::1]:29092")
        host, colon, port = f"[{inside}]", rest[:1], rest[1:]
    elif _is_ipv6(text):
        _refuse("an IPv6 address must be in brackets", f"write {_rewritten(text)}")
    else:
        host, colon, port = text.rpartition(":")
    if not colon:
        _refuse("it has no port", f"add the broker's port: {text}:9092")
    if not host.startswith("[") and not _HOST.fullmatch(host):
        _refuse(f"{host!r} is not a host name" if host else "it has no host")
    if not port:
        _refuse("it has no port", f"add the broker's port: {host}:9092")
    if not (port.isascii() and port.isdecimal()):
        _refuse(f"{port!r} is no port")
    if len(port) > 5 or not 0 < int(port) < 65536:
        _refuse(f"there is no port {port}", "ports are 1 to 65535")
    return f"{host}:{int(port)}"


def _without(scheme: str, rest: str) -> str:
    """What to write in place of ``scheme://rest``."""
    address = f"write {_rewritten(re.split('[/?#]', rest.rpartition('@')[2])[0])}"
    return f"{address} and -X security.protocol={scheme.upper()}" if scheme.upper() in _PROTOCOLS else address


def _rewritten(text: str) -> str:
    """The address that was most likely meant."""
    head, _, tail = text.rpartition(":")
    if _is_ipv6(text):
        return f"[{head}]:{tail}" if _is_ipv6(head) and tail.isdecimal() else f"[{text}]:9092"
    return text if tail and head else f"{text.rstrip(':') or 'HOST'}:9092"


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
