"""What kind of server listens at an address, a broker or another one, found out with a few bytes over a socket.

Nothing is logged in and nothing is changed: each question is one that Kafka, HTTP or ZooKeeper answers to anybody.
"""

import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sensorstream.clients import tls

Kind: TypeAlias = Literal[
    "broker", "controller", "TLS", "HTTP", "schema registry", "ZooKeeper", "silent", "closes", "other"
]
"""``silent`` takes the connection and never answers, ``closes`` ends it without a word."""

ANSWER_S: Final = 4.0
"""So long a broker may take for its first answer: one on a busy machine must not pass for a frozen one."""
_OTHERS_S: Final = 1.0
_API_VERSIONS: Final = 18
_SASL_HANDSHAKE: Final = 17
_METADATA: Final = 3
_LARGEST: Final = 1 << 20
_CORRELATION: Final = 1
_NOT_ENABLED: Final = 33
_NOT_ASKED: Final = 34
_SHOWN: Final = 40
_SUBJECTS: Final = (b"/subjects", b"/apis/ccompat/v7/subjects")
"""Where a schema registry lists its subjects: Confluent's and Karapace's, and Apicurio's, which 'cluster up' runs."""


class NotKafkaError(Exception):
    """What came is no answer of Kafka's; ``said`` is how it begins, empty where the connection was closed."""

    def __init__(self, said: bytes) -> None:
        super().__init__(said)
        self.said = said


@dataclass(frozen=True, slots=True)
class Peer:
    """Who speaks at an address, and the beginning of what it says, where that helps."""

    kind: Kind
    said: str = ""


@dataclass(frozen=True, slots=True)
class Mechanisms:
    """Which SASL mechanisms a listener takes; None: it asks nobody for a name, and takes none."""

    names: tuple[str, ...] | None


def connected(address: str, timeout_s: float = ANSWER_S) -> socket.socket:
    """A connection to ``host:port``, whose answers are waited for so long. Raises OSError."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout_s)


def who_speaks(address: str) -> Peer:
    """Who answers at ``host:port`` without TLS. Raises OSError when nobody takes the connection."""
    said = b""
    silent = False
    with connected(address) as connection:
        try:
            return Peer("broker" if _METADATA in api_versions(connection) else "controller")
        except NotKafkaError as other:
            said = other.said
        except TimeoutError:
            silent = True
        except OSError:  # a reset is a way of closing
            pass
    if said.startswith(b"\x15\x03"):  # an alert of TLS
        return Peer("TLS")
    with ThreadPoolExecutor(2 + len(_SUBJECTS), "sensorstream-first-words") as pool:
        encrypted = pool.submit(tls.speaks_tls, address)
        keeper = pool.submit(_answer, address, b"srvr\n")
        asked = [pool.submit(_answer, address, b"GET %s HTTP/1.0\r\n\r\n" % path) for path in _SUBJECTS]
        pages = [one.result() for one in asked]
    if encrypted.result():
        return Peer("TLS")
    if pages[0].startswith(b"HTTP/"):
        return Peer("schema registry" if any(map(_lists_subjects, pages)) else "HTTP", _server(pages[0]))
    if keeper.result().startswith(b"Zookeeper version"):
        return Peer("ZooKeeper")
    if said:
        return Peer("other", said[:_SHOWN].decode("ascii", "backslashreplace"))
    return Peer("silent" if silent else "closes")


def api_versions(connection: socket.socket) -> Mapping[int, tuple[int, int]]:
    """The requests that a broker answers, by key: the oldest and the newest version.

    Raises NotKafkaError, OSError.
    """
    answer = _asked(connection, _API_VERSIONS, 0)
    try:
        _, count = struct.unpack_from(">hi", answer)
        rows = (struct.unpack_from(">hhh", answer, 6 + 6 * row) for row in range(count))
        return {key: (oldest, newest) for key, oldest, newest in rows}
    except struct.error as error:
        raise NotKafkaError(answer) from error


def sasl_mechanisms(connection: socket.socket, wanted: str | None) -> Mechanisms:
    """Which mechanisms a listener takes; ``wanted`` alone where it takes that. Raises NotKafkaError, OSError."""
    name = (wanted or "none").encode()
    answer = _asked(connection, _SASL_HANDSHAKE, 1, struct.pack(">h", len(name)) + name)
    try:
        code, count = struct.unpack_from(">hi", answer)
        if code == _NOT_ASKED:
            return Mechanisms(None)
        at, names = 6, []
        for _ in range(count):
            (length,) = struct.unpack_from(">h", answer, at)
            names.append(answer[at + 2 : at + 2 + length].decode("utf-8", "replace"))
            at += 2 + length
        return Mechanisms(tuple(names))
    except struct.error as error:
        raise NotKafkaError(answer) from error


def _asked(connection: socket.socket, key: int, version: int, body: bytes = b"") -> bytes:
    """What Kafka answers to a request, without the header: https://kafka.apache.org/protocol#protocol_messages."""
    request = struct.pack(">hhih", key, version, _CORRELATION, -1) + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    begin = _read(connection, 8)
    size, correlation = struct.unpack(">ii", begin)
    if correlation != _CORRELATION or not 4 <= size <= _LARGEST:
        with suppress(OSError):
            begin += connection.recv(_SHOWN)
        raise NotKafkaError(begin)
    return _read(connection, size - 4)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise NotKafkaError(data)
        data += more
    return data


def _answer(address: str, question: bytes) -> bytes:
    """The beginning of what comes back; nothing where nothing does."""
    data = b""
    with suppress(OSError), connected(address, _OTHERS_S) as connection:
        connection.sendall(question)
        while len(data) < 2000 and (more := connection.recv(2000)):
            data += more
    return data


def _lists_subjects(page: bytes) -> bool:
    """Whether a page is what a schema registry answers when it is asked for its subjects: a list in JSON."""
    head, _, body = page.partition(b"\r\n\r\n")
    return b"json" in head.lower() and b" 200 " in head.partition(b"\r\n")[0] and body.lstrip().startswith(b"[")


def _server(page: bytes) -> str:
    """What a web server calls itself, if it does."""
    for line in page.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"server":
            return value.strip()[:_SHOWN].decode("ascii", "backslashreplace")
    return ""


@dataclass(frozen=True, slots=True)
class Shaken:
    """A TLS handshake that held, and was followed by an answer of Kafka's.

    ``ends`` is when the certificate of the other side expires, in seconds since 1970; None: not known.
    """

    ends: float | None
    controller: bool


def tls_context(options: Mapping[str, object]) -> ssl.SSLContext:
    """What kafka-python makes of these options of its. Raises OSError or ValueError for files that it can't use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = bool(options.get("ssl_check_hostname", True))
    if options.get("ssl_cafile"):
        context.load_verify_locations(str(options["ssl_cafile"]))
    else:
        context.load_default_certs()
    if options.get("ssl_certfile"):
        key = options.get("ssl_keyfile")
        password = options.get("ssl_password")
        # Without a password OpenSSL would ask for one on the terminal.
        told = "" if password is None else str(password)
        context.load_cert_chain(str(options["ssl_certfile"]), None if key is None else str(key), told)
    if options.get("ssl_crlfile"):
        context.load_verify_locations(str(options["ssl_crlfile"]))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def encrypted(address: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A TLS connection to ``host:port``. Raises ssl.SSLError, OSError."""
    plain = connected(address)
    try:
        return context.wrap_socket(plain, server_hostname=address.rpartition(":")[0].strip("[]"))
    except BaseException:
        plain.close()
        raise


def shake_hands(connect: Callable[[], ssl.SSLSocket]) -> Shaken:
    """Connect by TLS and hear the first answer: only then does a broker say that it wants a certificate of ours.

    Raises ssl.SSLError, OSError, NotKafkaError.
    """
    with connect() as connection:
        keys = api_versions(connection)
        ends = (connection.getpeercert() or {}).get("notAfter")
        return Shaken(ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None, _METADATA not in keys)
