"""The connection to one address, step by step; after the first failed step, the rest is skipped."""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sensorstream.addresses import bracketed
from sensorstream.admin.checkup import Introduction, introduce
from sensorstream.clients import first_words, refusals, tls
from sensorstream.clients.first_words import NotKafkaError, Peer
from sensorstream.clients.properties import ClientProperties
from sensorstream.doctor import network
from sensorstream.doctor.clusters import Clusters
from sensorstream.doctor.results import Check, State, skipped
from sensorstream.errors import ClusterUnreachable, CredentialsRefused

STEPS: Final = ("dns", "tcp", "protocol", "tls", "sasl", "kafka")
_SOON_S: Final = 30 * 86400.0
_LOGIN: Final = "-X security.protocol={}, -X sasl.mechanism={}, and sasl.username and sasl.password"


@dataclass(slots=True)
class Way:
    """One address, what its steps came to, and, where the last one was taken, what the cluster tells there."""

    address: str
    properties: ClientProperties
    here: Clusters
    checks: list[Check] = field(default_factory=list)
    ips: tuple[str, ...] = ()
    introduction: Introduction | None = None
    refused: bool = False
    """Whether nobody listens there."""

    @property
    def protocol(self) -> str:
        """``security.protocol``."""
        return str(self.properties.values.get("security.protocol", "PLAINTEXT"))

    @property
    def encrypted(self) -> bool:
        """Whether we come by TLS."""
        return self.protocol.endswith("SSL")

    @property
    def logs_in(self) -> bool:
        """Whether we come with a user's name."""
        return self.protocol.startswith("SASL_")

    def note(self, name: str, state: State, found: str, advice: str | None = None) -> bool:
        """Keep what a step came to; whether the next one can be taken."""
        self.checks.append(Check("connection", name, self.address, state, found, advice))
        return state != "problem"


def walk(address: str, properties: ClientProperties, here: Clusters) -> Way:
    """Take all steps to an address that can be taken. Never raises for what is wrong there."""
    way = Way(address, properties, here)
    steps: dict[str, Callable[[Way], bool]] = {"dns": _dns, "tcp": _tcp, "protocol": _protocol}
    if way.encrypted:
        steps["tls"] = _tls
    if way.logs_in:
        steps["sasl"] = _sasl
    steps["kafka"] = _kafka
    names = list(steps)
    for at, name in enumerate(names):
        if not steps[name](way):
            taken = {one.name for one in way.checks}
            left = [other for other in names[at + 1 :] if other not in taken]
            way.checks += skipped("connection", address, left, f"{way.checks[-1].name} has failed")
            break
    return way


def _dns(way: Way) -> bool:
    host, port = network.split(way.address)
    try:
        way.ips = network.resolve(host, port)
    except network.Unresolved as error:
        if "." in host:
            advice = "check the spelling, and that this machine asks the right name server (VPN)"
        else:
            advice = (
                "a name without a dot often holds in a network of containers only: from outside take the address "
                "that is mapped to this machine, such as 127.0.0.1"
            )
        return way.note("dns", "problem", str(error), advice)
    return way.note("dns", "ok", ", ".join(way.ips))


def _tcp(way: Way) -> bool:
    host, port = network.split(way.address)
    tried = network.try_all(way.ips, port)
    good = [one for one in tried if one.answer == "connected"]
    if len(good) == len(tried):
        return way.note("tcp", "ok", f"connected to {good[0].ip}")
    if good:
        found = f"{host} is {network.listed(tried)}"
        if {one.answer for one in tried} == {"connected", "no route"} and not network.is_loopback(way.ips):
            return way.note("tcp", "ok", found)  # a name with an IPv6 address, on a machine without IPv6
        advice = f"write {bracketed(good[0].ip, port)}: some clients try only the first address of a name"
        return way.note("tcp", "warning", found, advice)
    answers = {one.answer for one in tried}
    if answers == {"refused"}:
        way.refused = True
        found = "the connection is refused, nobody listens there"
        return way.note("tcp", "problem", found, _who_listens(way, port))
    if "silent" in answers:
        found = f"no answer within {network.CONNECT_S:g} s"
        return way.note(
            "tcp", "problem", found, "a firewall may drop it, the machine may be off, or it is the wrong host"
        )
    return way.note("tcp", "problem", f"there is no route: {network.listed(tried)}", "check the network and the VPN")


def _who_listens(way: Way, port: int) -> str:
    """What to do where nobody listens."""
    other = network.other_loopback(way.ips, port)
    if other is not None:
        return f"a process listens only at {other}: use that address, or let the broker listen at {way.ips[0]}"
    if not network.is_loopback(way.ips):
        return "see that the broker runs, that this is its port, and that it listens at this address (listeners)"
    start = way.here.command_for(way.address)
    if start is not None:
        return f"its broker does not run; start it: {start}"
    if way.here.running:
        return f"use a cluster that runs here: {way.here.reached_by()}"
    if network.in_container():
        return (
            "localhost is this container itself: to reach a broker in another one take its name and internal listener; "
            "or start a cluster here: sensorstream cluster up"
        )
    return "start the broker, or take the port that it has; a cluster of this machine: sensorstream cluster up"


_WRONG_PORT: Final[dict[str, tuple[str, str]]] = {
    "controller": (
        "a KRaft controller, which takes no clients",
        "take a broker's port: a listener that controller.listener.names does not name",
    ),
    "HTTP": ("a web server, not Kafka", "take the port of a broker's listener, often 9092"),
    "schema registry": (
        "a schema registry, not Kafka",
        "take a broker's port here, and name this address with --schema-registry",
    ),
    "ZooKeeper": ("ZooKeeper, not Kafka", "take a broker's port, often 9092: clients don't go to ZooKeeper any more"),
    "silent": (
        "takes the connection and does not answer",
        "the broker is frozen or just starting, or it is something else: look at its log",
    ),
    "closes": (
        "takes the connection and closes it",
        "a proxy or a container's port with no broker behind it: see that the broker runs, and look at its log",
    ),
}


def _protocol(way: Way) -> bool:
    try:
        peer = first_words.who_speaks(way.address)
    except OSError as error:
        return way.note("protocol", "problem", f"the connection is lost: {error.strerror or error}", "try again")
    if peer.kind == "TLS":
        if way.encrypted:
            return way.note("protocol", "ok", "TLS")
        protocol = "SASL_SSL" if way.logs_in else "SSL"
        advice = f"add -X security.protocol={protocol} (SASL_SSL where it wants a password, too)"
        return way.note("protocol", "problem", "it speaks TLS, and security.protocol is " + way.protocol, advice)
    if peer.kind == "broker":
        if way.encrypted:
            protocol = "SASL_PLAINTEXT" if way.logs_in else "PLAINTEXT"
            advice = f"set security.protocol={protocol}, or take the port of the broker's TLS listener"
            found = f"it speaks Kafka without TLS, and security.protocol is {way.protocol}"
            return way.note("protocol", "problem", found, advice)
        return way.note("protocol", "ok", "Kafka")
    return way.note("protocol", "problem", *_someone_else(peer))


def _someone_else(peer: Peer) -> tuple[str, str]:
    if peer.kind == "other":
        return f"it is not Kafka: it answers {peer.said!r}", "take the port of a broker's listener, often 9092"
    what, advice = _WRONG_PORT[peer.kind]
    return what + (f" ({peer.said})" if peer.said else ""), advice


_OTHER_NAME: Final = "use a host name that is in the certificate, or have one made for this name"
_UNTRUSTED: Final = (
    ("expired", "the broker needs a new certificate; or the clock of this machine is wrong"),
    ("not yet valid", "compare the clocks: this machine's is behind, or the certificate begins later"),
    ("mismatch", _OTHER_NAME),
    ("not valid for", _OTHER_NAME),
    ("self", "give the authority that has signed it: -X ssl.truststore.location=ca.pem"),
    ("issuer", "give the authority that has signed it: -X ssl.truststore.location=ca.pem"),
)


def _tls(way: Way) -> bool:
    options = way.properties.for_kafka_python("admin")
    side = tls.Side(
        tls=True,
        ca=options.get("ssl_cafile"),
        certificate=options.get("ssl_certfile"),
        check_host=bool(options.get("ssl_check_hostname", True)),
    )
    fault = side.certificate and tls.own_fault(side.certificate)
    try:
        context = first_words.tls_context(options)
    except (OSError, ValueError) as error:
        found = f"your certificates can't be used: {getattr(error, 'strerror', None) or error}"
        return way.note("tls", "problem", found, "check ssl.truststore.location, ssl.keystore.location and the key")
    try:
        shaken = first_words.shake_hands(lambda: first_words.encrypted(way.address, context))
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message.rstrip(".")
        advice = next((advice for mark, advice in _UNTRUSTED if mark in why), "check ssl.truststore.location")
        names = tls.names_shown(way.address) if advice == _OTHER_NAME else ()
        advice = f"it is for {' and '.join(names)}: {advice}" if names else advice
        return way.note("tls", "problem", f"its certificate can't be verified: {why}", advice)
    except (OSError, NotKafkaError) as error:
        why = tls.plainly(str(error), way.address, side) or "the TLS handshake fails"
        advice = "give a certificate that the broker's authority has signed: -X ssl.keystore.location=me.pem"
        if isinstance(error, NotKafkaError):
            why, advice = "the port uses TLS, but it is not Kafka", "take the port of a broker's listener"
        return way.note("tls", "problem", why, advice)
    if shaken.controller:
        return way.note("tls", "problem", *_someone_else(Peer("controller")))
    if fault:
        return way.note("tls", "warning", f"its certificate is trusted; yours {fault}", "have a new one signed")
    if shaken.ends is None:
        return way.note("tls", "ok", "its certificate is trusted")
    day = time.strftime("%Y-%m-%d", time.gmtime(shaken.ends))
    if shaken.ends - time.time() < _SOON_S:
        return way.note("tls", "warning", f"its certificate expires soon: {day}", "have a new one made for the broker")
    return way.note("tls", "ok", f"its certificate is trusted, until {day}")


def _sasl(way: Way) -> bool:
    wanted = str(way.properties.values["sasl.mechanism"])
    try:
        taken = _mechanisms(way, wanted)
    except (OSError, NotKafkaError):
        taken = ()  # the client itself will say why
    if taken is None:
        protocol = "SSL" if way.encrypted else "PLAINTEXT"
        found = "this listener takes no user name and password"
        advice = f"set security.protocol={protocol} without sasl. options, or take the listener that wants them"
        return way.note("sasl", "problem", found, advice)
    if taken and wanted not in taken:
        found = f"{wanted} is not taken there"
        return way.note("sasl", "problem", found, f"it takes {' and '.join(taken)}: -X sasl.mechanism={taken[0]}")
    if not _introduced(way, "sasl"):
        return False
    user = way.properties.values.get("sasl.username")
    return way.note("sasl", "ok", f"{wanted}, logged in as {user}")


def _mechanisms(way: Way, wanted: str | None) -> tuple[str, ...] | None:
    if way.encrypted:
        context = first_words.tls_context(way.properties.for_kafka_python("admin"))
        with first_words.encrypted(way.address, context) as encrypted:
            return first_words.sasl_mechanisms(encrypted, wanted).names
    with first_words.connected(way.address) as plain:
        return first_words.sasl_mechanisms(plain, wanted).names


def _introduced(way: Way, step: str) -> bool:
    """Connect as the program does; what goes wrong is noted for this step."""
    try:
        way.introduction = introduce(way.address, way.properties)
    except CredentialsRefused as error:
        why = error.message.removeprefix(refusals.refusal_of(way.address))
        where = "check sasl.username and sasl.password, and that the user exists" if way.logs_in else error.hint
        return way.note(step, "problem", why, where)
    except ClusterUnreachable as error:
        why = error.message.removeprefix(f"no broker can be reached ({way.address}: ")
        why = why.removesuffix(")") if why != error.message else why
        return way.note(step, "problem", why, "look at the broker's log, and at security.protocol and sasl.mechanism")
    return True


def _kafka(way: Way) -> bool:
    if not way.logs_in:
        try:
            mechanisms = _mechanisms(way, None)
        except (OSError, NotKafkaError):
            mechanisms = None
        if mechanisms is not None:
            protocol = "SASL_SSL" if way.encrypted else "SASL_PLAINTEXT"
            names = " or ".join(mechanisms) or "SASL"
            found = f"it wants a user name and password ({names}), and security.protocol is {way.protocol}"
            advice = f"give {_LOGIN.format(protocol, mechanisms[0] if mechanisms else 'PLAIN')}"
            return way.note("kafka", "problem", found, advice)
    if way.introduction is None and not _introduced(way, "kafka"):
        return False
    told = way.introduction
    assert told is not None  # noqa: S101 - _introduced has just said so
    return way.note("kafka", "ok", f"Kafka {told.version or 'of an unknown version'}, cluster {told.cluster_id}")
