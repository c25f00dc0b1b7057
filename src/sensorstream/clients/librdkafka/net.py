"""Stations 4 and 6: how a librdkafka client is connected and monitored.

librdkafka reports why a broker can't be reached, and that one has gone, to its error callback only, and never that
one has come back. Here a :class:`BrokerWatch` listens to that callback, asks brokers that are said to be away
whether they answer, and tells the listener when they go and come back.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

from sensorstream.clients import refusals, tls
from sensorstream.clients.librdkafka.failures import (
    FINAL,
    WHO,
    broker_error,
    denied,
    is_quick,
    is_refusal,
    reason,
    vagueness,
)
from sensorstream.clients.reachable import why_silent
from sensorstream.clients.throttles import Throttles
from sensorstream.clients.waiting import connecting
from sensorstream.errors import ClusterUnreachable, ConfigError
from sensorstream.events import Listener, Notice, ignore

T = TypeVar("T")

CONNECT_S: Final = 8.0
"""How long to look for a broker before giving up; the command line promises an answer within 10 s."""
REFUSED_S: Final = 1.0
"""How long to go on when every address refuses at once: a broker that restarts may be back by then."""
ATTEMPT_S: Final = 2.5
"""How long one address may take to connect before the next one is tried."""
LOOK_AGAIN_S: Final = 2.0
"""How often a broker that is away is asked, so that its return is told."""
ASK_S: Final = 10.0
"""How long a question to the cluster may stay unanswered."""

COMMON: Final = {
    "socket.connection.setup.timeout.ms": int(ATTEMPT_S * 1000),
    "reconnect.backoff.ms": 2,  # also waited for before the first connection; it doubles up to the most
    "reconnect.backoff.max.ms": 1000,
    "socket.keepalive.enable": True,
    "socket.nagle.disable": True,
    "enable.metrics.push": False,
}
LOG: Final = logging.getLogger("confluent_kafka")


class BrokerWatch:
    """What happens to one client's brokers: why one can't be reached, who went and who came back."""

    def __init__(self, listener: Listener = ignore) -> None:
        self.listener = listener
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._looker: threading.Thread | None = None
        self._suspects: set[str] = set()
        self._away: set[str] = set()
        self._known: dict[str, int] = {}
        self.causes: dict[str, KafkaError] = {}
        self.throttles = Throttles()
        self.connected = False
        self.closing = False
        self.side = tls.Side()
        self.doomed: str | None = None
        """Why the open transaction can only be aborted; librdkafka tells that its log and the next commit alone."""
        self.began = time.monotonic()

    def told(self, error: KafkaError) -> None:
        """librdkafka's error callback; called on the thread that polls."""
        match = WHO.match(error.str())
        if match is None:
            return
        address = match["address"]
        with self._lock:
            if not self.connected:
                if error.code() != KafkaError._ALL_BROKERS_DOWN:
                    known = self.causes.get(address)
                    # Tries follow each other at once, and a later one may say less of the same thing.
                    if known is None or vagueness(error) <= vagueness(known):
                        self.causes[address] = error
                return
            if self.closing or address in self._away or address not in self._known:
                return
            self._suspects.add(address)
            if self._looker is None:
                self._looker = threading.Thread(target=self._look, name="sensorstream-broker-watch", daemon=True)
                self._looker.start()
        self._wake.set()

    def heard(self, line: str) -> None:
        """What librdkafka tells its log alone while it can't connect: silence, or a connection closed on it."""
        match = WHO.search(line)
        if match is not None and not self.connected:
            with self._lock:
                self.causes.setdefault(match["address"], KafkaError(KafkaError._TRANSPORT, match[0]))

    def brokers(self, addresses: Mapping[str, int]) -> None:
        """The brokers (address to id) that the cluster consists of now."""
        with self._lock:
            self._known.update(addresses)

    def throttled(self, name: str, seconds: float) -> None:
        """librdkafka's throttle callback; called on the thread that polls."""
        who = WHO.match(f"{name}/bootstrap: ")
        address = who["address"] if who else name
        number = self._known.get(address)
        self.throttles.note(address if number is None else f"broker {number} ({address})", seconds * 1000)

    def close(self) -> None:
        """Tell nothing any more."""
        self.closing = True
        self._wake.set()

    def _look(self) -> None:
        """Ask those who are said to be away, until they answer; on a thread of its own."""
        while True:
            self._wake.wait(LOOK_AGAIN_S if self._away else None)
            self._wake.clear()
            if self.closing:
                return
            with self._lock:
                asked = sorted(self._suspects | self._away)
                self._suspects.clear()
            for address in asked:
                if self.closing:
                    return
                self._note(address, why_silent(address) is None)

    def _note(self, address: str, here: bool) -> None:
        with self._lock:
            if here == (address not in self._away):
                return
            name = f"broker {self._known[address]} ({address})"
            if here:
                self._away.discard(address)
            else:
                self._away.add(address)
            others = len(self._known) - len(self._away)
        if self.closing:
            return
        if here:
            self.listener(Notice(f"{name} is back"))
            return
        going_on = "continuing with the others" if others > 0 else "waiting for a broker to come back"
        self.listener(Notice(f"{name} can't be reached; {going_on}", "warning"))

    def give_up(self, addresses: int) -> bool:
        """Whether to stop connecting before the time is over."""
        causes = list(self.causes.values())
        if any(error.code() in FINAL or is_refusal(error) for error in causes):
            return True
        quick = len(causes) >= addresses and all(is_quick(error) for error in causes)
        return quick and time.monotonic() - self.began > REFUSED_S

    def error(self, bootstrap: tuple[str, ...]) -> ClusterUnreachable:
        """What to tell the user after connecting has failed: which address, and why."""
        for address, cause in self.causes.items():
            if is_refusal(cause):
                return refusals.credentials_refused(address, self._why(address, cause))
        causes = {address: self._why(address, cause) for address, cause in self.causes.items()}
        told = [f"{address}: {causes.get(address, 'no answer in time')}" for address in bootstrap]
        return ClusterUnreachable(
            f"no broker can be reached ({'; '.join(told)})",
            hint="check -b/--bootstrap, start a cluster with: sensorstream cluster up, or ask: sensorstream doctor",
        )

    def _why(self, address: str, cause: KafkaError) -> str:
        return tls.plainly(cause.str(), address, self.side) or reason(cause)


class _Log:
    """Takes librdkafka's log lines for :data:`LOG`; an identical line is only passed on once in a while."""

    def __init__(self, watch: BrokerWatch) -> None:
        self._watch = watch
        self._last = ("", 0.0)

    def log(self, level: int, form: str, *words: Any) -> None:
        """Called by the binding as a logger is."""
        line = form % words
        if line.startswith("FAIL"):
            self._watch.heard(line.partition("]: ")[2])
        elif line.startswith("TXNERR") and "must be aborted" in line:
            self._watch.doomed = line.partition("]: ")[2]
        text = re.sub(r"\(after .*", "", line)
        now = time.monotonic()
        if text != self._last[0] or now - self._last[1] > LOOK_AGAIN_S:
            self._last = (text, now)
            LOG.log(level, "%s", line)


def quiet_logs() -> None:
    """Keep librdkafka's log off the console; a file handler on the logger ``confluent_kafka`` still gets it."""
    if not any(isinstance(handler, logging.NullHandler) for handler in LOG.handlers):
        LOG.addHandler(logging.NullHandler())
    LOG.propagate = False


def create(make: Callable[..., T], bootstrap: tuple[str, ...], watch: BrokerWatch, options: Mapping[str, Any]) -> T:
    """A producer or consumer that tells ``watch`` what happens to its brokers; it connects by itself, later."""
    configuration = {
        **COMMON,
        **options,
        "bootstrap.servers": ",".join(bootstrap),
        "error_cb": watch.told,
        "throttle_cb": lambda told: watch.throttled(told.broker_name, told.throttle_time),
    }
    return make(configuration, logger=_Log(watch))


def connect(make: Callable[..., T], bootstrap: tuple[str, ...], watch: BrokerWatch, options: Mapping[str, Any]) -> T:
    """A connected producer or consumer of librdkafka.

    Raises ClusterUnreachable or CredentialsRefused naming the cause within 10 s, ConfigError for options that
    the library turns down.
    """
    quiet_logs()
    watch.began = time.monotonic()
    watch.side = tls.Side(
        tls=str(options.get("security.protocol", "")).endswith("SSL"),
        ca=options.get("ssl.ca.location"),
        certificate=options.get("ssl.certificate.location"),
        check_host=options.get("ssl.endpoint.identification.algorithm", "https") == "https",
    )
    deadline = watch.began + CONNECT_S
    try:
        client: Any = create(make, bootstrap, watch, options)
    except (KafkaException, ValueError, TypeError) as error:
        raise ConfigError(f"the Kafka client refuses its options: {reason(error)}") from error
    with connecting(bootstrap, watch.listener):
        while True:
            try:
                metadata = client.list_topics(timeout=0.25)
            except KafkaException as error:
                client.poll(0)
                if watch.give_up(len(bootstrap)) or time.monotonic() >= deadline:
                    watch.close()
                    raise watch.error(bootstrap) from error
            else:
                break
    note_brokers(watch, metadata)
    watch.connected = True
    made: T = client
    return made


def note_brokers(watch: BrokerWatch, metadata: Any) -> None:
    """Tell the watch which brokers the cluster has."""
    watch.brokers({f"{broker.host}:{broker.port}": number for number, broker in metadata.brokers.items()})


def metadata(client: Any, timeout_s: float = ASK_S) -> Any:
    """What the cluster tells about itself and all its topics, without creating any. Raises ClusterUnreachable."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        try:
            return client.list_topics(timeout=max(0.1, deadline - time.monotonic()))
        except KafkaException as error:
            if time.monotonic() >= deadline:
                raise ClusterUnreachable(
                    f"no broker has answered for {timeout_s:.0f} s: {reason(error)}",
                    hint="look at the cluster with: sensorstream cluster status",
                ) from error
            pause.wait(0.1)


def count_partitions(client: Any, topic: str) -> int:
    """How many partitions a topic has, once they have leaders. Raises UnknownTopic, BrokerError, ClusterUnreachable."""
    deadline = time.monotonic() + ASK_S
    unknown_until: float | None = None
    pause = threading.Event()
    while True:
        topics = metadata(client, max(0.1, deadline - time.monotonic())).topics
        found = topics.get(topic)
        now = time.monotonic()
        if found is not None and found.error is None and found.partitions:
            return len(found.partitions)
        if found is None:
            refuse_if_hidden(client, topic)
            unknown_until = unknown_until or now + refusals.UNKNOWN_S
            if now >= unknown_until:
                raise refusals.unknown_topic(topic, topics)
        if found is not None and found.error is not None and now >= deadline:
            raise broker_error(f"topic {topic!r} can't be used", KafkaException(found.error))
        pause.wait(0.1)


def refuse_if_hidden(client: Any, topic: str) -> None:
    """Raise NotAllowed for a topic that is not among all topics because this user may not know of it."""
    try:
        found = client.list_topics(topic, timeout=ASK_S).topics.get(topic)
    except KafkaException:
        return
    refused = denied(found.error, topic) if found is not None and found.error is not None else None
    if refused is not None:
        raise refused.error(f"topic {topic!r} can't be used", "Describe")
