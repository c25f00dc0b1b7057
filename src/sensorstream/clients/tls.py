"""Why a TLS handshake failed: found out with Python's ssl module, since neither client reports all causes.

librdkafka does not say why it does not trust a certificate, and a broker that does not like ours says only that. So the
handshake is done once more with Python's own ``ssl``, and our certificate's dates are looked at.
"""

import socket
import ssl
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ANSWER_S: Final = 1.0
"""So long a handshake may take; it is asked when connecting has failed, and that has to be told within 10 s."""
WANTS_TLS: Final = "it wants TLS there, see security.protocol"
NO_TLS: Final = "it does not speak TLS there"


@dataclass(frozen=True, slots=True)
class Side:
    """How a client comes: with TLS or without; ``ca`` is the file of what it trusts (None: what the system does),
    ``certificate`` that with its own, ``check_host`` whether the certificate must be of the host."""

    tls: bool = False
    ca: str | None = None
    certificate: str | None = None
    check_host: bool = True


def plainly(said: str, address: str, side: Side) -> str | None:
    """Why the connection to ``host:port`` failed, where TLS is to blame; ``said`` is the library's own text.

    None where there is nothing to add.
    """
    text = said.lower().replace("_", " ")
    if side.tls and "alert" in text and "certificate required" in text:
        return "it wants a certificate of this client that its authority has signed, see ssl.keystore.location"
    if side.tls and "alert" in text and ("certificate" in text or "unknown ca" in text):
        fault = side.certificate and own_fault(side.certificate)
        return f"it does not take this client's certificate{f', which {fault}' if fault else ''}"
    if side.tls and "certificate verify failed" in text:
        why = why_untrusted(address, side)
        return f"its certificate can't be verified ({why})" if why else None
    closed = ("disconnected", "broken pipe", "reset", "ssl listener", "frame length", "response size")
    if not side.tls and any(mark in text for mark in closed) and speaks_tls(address):
        return WANTS_TLS
    return None


def why_untrusted(address: str, side: Side) -> str | None:
    """Why the certificate at ``host:port`` is not trusted, in OpenSSL's words; None where it is, or nobody answers."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        context = ssl.create_default_context(cafile=side.ca)
        context.check_hostname = side.check_host
        with (
            socket.create_connection((host, int(port)), ANSWER_S) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except (OSError, ValueError):
        return None


def speaks_tls(address: str) -> bool:
    """Whether somebody at ``host:port`` answers a TLS handshake; nothing is sent there, and no certificate trusted."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_S) as connection,
            context.wrap_socket(connection, server_hostname=host.strip("[]")),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in str(error)
    except (OSError, ValueError):
        return False


def names_shown(address: str) -> tuple[str, ...]:
    """The host names and addresses that the certificate at ``host:port`` is for; nothing where that can't be told."""
    host, _, port = address.rpartition(":")
    with suppress(OSError, ValueError, KeyError), tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=ANSWER_S))
        file.flush()
        return tuple(str(name) for kind, name in _decoded(file.name).get("subjectAltName", ()) if "URI" not in kind)
    return ()


def _decoded(path: str) -> dict[str, Any]:
    """What is in a certificate (PEM), as ``ssl`` tells it; nothing where Python can't. Raises OSError, ValueError."""
    decode: Any = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)  # the one way without a library
    return dict(decode(path)) if decode is not None else {}


def own_fault(path: str) -> str | None:
    """What is wrong with the dates of a certificate of our own, ``has expired`` for one; None where nothing is."""
    if not Path(path).is_file():
        return None
    with suppress(OSError, ValueError, KeyError):
        told = _decoded(path)
        now = time.time()
        if ssl.cert_time_to_seconds(told["notAfter"]) < now:
            return "has expired"
        if ssl.cert_time_to_seconds(told["notBefore"]) > now:
            return "is not valid yet"
    return None
