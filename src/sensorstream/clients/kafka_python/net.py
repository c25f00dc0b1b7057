"""Stations 4 and 6: how a kafka-python client is connected, monitored and closed.

kafka-python 3.0.12 tells the cause of a failed connection to its log only, and waits without a deadline in
places. Here each client gets its own connection manager that knows why a broker could not be reached, tells
the listener when brokers go and come back, and bounds every attempt. The mends of this file, each with its
fault:

- ``MendedNetClient.await_ready``: it raises where its caller expects False, and a transaction hangs for ever.
- ``MendedNetClient.__init__``: ``allow_auto_create_topics=False`` never reaches the metadata request.
- ``WatchedManager.get_connection``: one silent bootstrap address uses up the whole time for connecting, and a
  TLS handshake with a silent peer has no deadline at all.
- ``WatchedManager._least_tried``: each attempt goes to a bootstrap address chosen at random, which may be the
  same silent one until the time is over.
- ``WatchedManager._connect``: a connection that is accepted and closed before it can be used counts as made, so the
  next one is tried at once, for ever. Here each counts when it ends, before anybody can ask for the next one.
- ``WatchedManager._build_transport``: what a broker says just before it closes the connection is thrown away,
  such as why it refuses a password.
- ``connect``: a client that could not connect leaves its thread and sockets behind.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import kafka.errors as kafka_errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.metadata import MetadataRequest

from sensorstream.addresses import bracketed
from sensorstream.clients import refusals, tls
from sensorstream.clients.kafka_python.broker_watch import CONNECT_S, BrokerWatch
from sensorstream.clients.kafka_python.failures import broker_error, reason
from sensorstream.clients.waiting import connecting
from sensorstream.errors import (
    ClusterUnreachable,
    ConfigError,
)

T = TypeVar("T")

ATTEMPT_S: Final = 2.5
"""How long one bootstrap address may take before the next one is tried."""
LOOK_AGAIN_S: Final = 2.0
"""How often a broker that is away is tried, so that its return is told."""
ASK_S: Final = 10.0
"""How long a question to the cluster may stay unanswered."""
ASK_ONE_S: Final = 2.5
"""How long the first broker may take for an answer that any other can give as well; the next may take twice that."""


class WatchedManager(KafkaConnectionManager):  # type: ignore[misc]  # the library is untyped
    """kafka-python's connections, each watched from its beginning to its end."""

    def __init__(self, watch: BrokerWatch, net: Any, **configs: Any) -> None:
        super().__init__(net, **configs)
        self.watch = watch
        self._bootstrap = self.cluster.bootstrap_brokers()
        self._tries = Counter({node.node_id: 0 for node in self._bootstrap})
        self.cluster.bootstrap_brokers = self._least_tried

    def _least_tried(self) -> list[Any]:
        """The bootstrap addresses whose turn it is: the library takes any of these."""
        least = min(self._tries.values(), default=0)
        return [node for node in self._bootstrap if self._tries[node.node_id] == least]

    def get_connection(self, node_id: Any, timeout_ms: float | None = None, **options: Any) -> Any:
        """As the library's, with the watch told and every attempt bounded."""
        bootstrap = self.cluster.is_bootstrap(node_id)
        if bootstrap:
            self._tries[node_id] += 1
            stop = self.watch.give_up(len(self._bootstrap))
            if stop is not None:
                raise stop
            timeout_ms = min(timeout_ms or ATTEMPT_S * 1000, ATTEMPT_S * 1000)
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, timeout_ms=timeout_ms, **options)
        if connection is not known:
            node = self.cluster.broker_metadata(node_id)
            address = bracketed(node.host, node.port)
            if not bootstrap:
                connection.init_future.add_callback(lambda _: self.reset_backoff(node_id))
                connection.init_future.add_errback(lambda _: KafkaConnectionManager.update_backoff(self, node_id))
            connection.init_future.add_callback(lambda _: self._reached(node_id, address))
            wait_as_told = connection._maybe_throttle

            def throttle(response: Any) -> None:
                self.watch.throttled(node_id, address, getattr(response, "throttle_time_ms", 0))
                wait_as_told(response)

            connection._maybe_throttle = throttle
            connection.init_future.add_errback(lambda error: self._failed(node_id, address, error))
            connection.close_future.add_errback(lambda error: self._failed(node_id, address, error))
            limit = (timeout_ms or self.socket_connection_setup_timeout_ms(node_id)) / 1000

            def end_attempt() -> None:
                if not connection.init_future.is_done:
                    connection.close(kafka_errors.KafkaTimeoutError("Connection timed out"))

            timer = self._net.call_later(limit + 0.1, end_attempt)
            connection.init_future.add_both(lambda _: self._net.cancel(timer))
        return connection

    async def _connect(
        self, node: Any, conn: Any, reset_backoff_on_connect: bool = True, timeout_at: float | None = None
    ) -> None:
        """As the library's, but it does not count: ``get_connection`` does, and bootstrapping does it itself."""
        await super()._connect(node, conn, reset_backoff_on_connect=False, timeout_at=timeout_at)

    def update_backoff(self, node_id: Any) -> float:
        """As the library's, for what is not counted here: bootstrap addresses, and questions for metadata."""
        if node_id in self.cluster._brokers or node_id in self.cluster._coordinator_brokers:
            return 0.0
        return float(super().update_backoff(node_id))

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        receive = transport._sock_recv
        held: list[Any] = []

        def receive_last_words() -> tuple[bytes, Any]:
            if held:
                return b"", held.pop()
            data, error = receive()
            if data and error is not None:
                held.append(error)  # told next time: the socket stays readable at its end
                error = None
            return data, error

        transport._sock_recv = receive_last_words
        return transport

    def _reached(self, node_id: Any, address: str) -> None:
        self.watch.reached(node_id, address)
        self.note_brokers()

    def _failed(self, node_id: Any, address: str, error: BaseException) -> None:
        if self.watch.failed(node_id, address, error):
            self._net.call_later(LOOK_AGAIN_S, lambda: self._look_again(address))

    def _look_again(self, address: str) -> None:
        """Try a broker that is away from time to time: nobody else does while the others lead its partitions."""
        if self.closed or self.watch.closing or not self.watch.is_away(address):
            return
        for broker in self.cluster.brokers():
            if bracketed(broker.host, broker.port) == address:
                with suppress(kafka_errors.KafkaError):
                    self.get_connection(broker.node_id)
                break
        else:  # the cluster has struck it off its list; ask whether it is on again
            self.cluster.request_update()
        self._net.call_later(LOOK_AGAIN_S, lambda: self._look_again(address))

    def note_brokers(self) -> None:
        """Tell the watch which brokers the cluster has."""
        self.watch.brokers({bracketed(broker.host, broker.port): broker.node_id for broker in self.cluster.brokers()})


class MendedNetClient(KafkaNetClient):  # type: ignore[misc]
    """kafka-python's network client on a watched connection manager."""

    def __init__(self, watch: BrokerWatch, **configs: Any) -> None:
        net = NetworkSelector(**configs)
        super().__init__(net=net, manager=WatchedManager(watch, net, **configs), **configs)
        self._manager.cluster.config["allow_auto_create_topics"] = False

    def await_ready(self, node_id: Any, timeout_ms: float = 30000) -> bool:
        """Whether the broker is ready within the time."""
        try:
            return bool(super().await_ready(node_id, timeout_ms=timeout_ms))
        except kafka_errors.KafkaError:
            return False


def quiet_logs() -> None:
    """Keep the library's own log off the console; a file handler on the logger ``kafka`` still gets it."""
    logger = logging.getLogger("kafka")
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.addHandler(logging.NullHandler())
    logger.propagate = False


def connect(make: Callable[..., T], bootstrap: tuple[str, ...], watch: BrokerWatch, **options: Any) -> T:
    """A connected producer, consumer or admin client of kafka-python.

    Raises ClusterUnreachable or CredentialsRefused naming the cause within 10 s, ConfigError for options that
    the library turns down.
    """
    quiet_logs()
    made: list[MendedNetClient] = []

    def net_client(**configs: Any) -> MendedNetClient:
        made.append(MendedNetClient(watch, **configs))
        return made[-1]

    watch.began = time.monotonic()
    watch.side = tls.Side(
        tls=str(options.get("security_protocol", "")).endswith("SSL"),
        ca=options.get("ssl_cafile"),
        certificate=options.get("ssl_certfile"),
        check_host=bool(options.get("ssl_check_hostname", True)),
    )
    try:
        with connecting(bootstrap, watch.listener):
            client = make(
                bootstrap_servers=list(bootstrap),
                bootstrap_timeout_ms=int(CONNECT_S * 1000),
                kafka_client=net_client,
                **options,
            )
    except BaseException as error:
        watch.closing = True
        for net in made:
            release(net)
        if isinstance(error, kafka_errors.KafkaConfigurationError | ValueError | RuntimeError | AssertionError):
            raise ConfigError(f"the Kafka client refuses its options: {reason(error)}") from error
        if isinstance(error, kafka_errors.KafkaError | OSError):
            raise watch.error(bootstrap) from error
        raise
    watch.connected = True
    made[0]._manager.note_brokers()
    return client


def release(net: MendedNetClient) -> None:
    """Close the sockets and end the thread of a network client that has no owner any more."""
    try:
        net.close()
    except Exception:
        logging.getLogger("kafka.sensorstream").debug("closing a connection failed", exc_info=True)


def wait_for(future: Any, timeout_s: float) -> bool:
    """Wait for one of the library's futures, from any thread but its own; whether it is done."""
    done = threading.Event()
    future.add_both(lambda _: done.set())
    return done.wait(timeout_s)


def metadata(manager: Any, topics: list[str] | None, timeout_s: float = ASK_S) -> Any:
    """The cluster's answer about these topics (None: all), without creating any.

    Asked again while brokers are being elected or are away; raises ClusterUnreachable after ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    error: BaseException | None = None
    longest = ASK_ONE_S
    while True:
        request = MetadataRequest(
            topics=None if topics is None else [MetadataRequest.MetadataRequestTopic(name=name) for name in topics],
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
        )
        left = deadline - time.monotonic()
        try:
            # A silent broker must not use up the time: the library lets go of it when it is late, and asks another.
            once = min(max(left, 0.001), longest)
            longest *= 2
            future = manager.call_soon(manager.send, request, None, once * 1000)
            if wait_for(future, once + 0.5) and future.succeeded():
                return future.value
            error = future.exception
        except (kafka_errors.KafkaError, RuntimeError) as failure:
            error = failure
        if time.monotonic() >= deadline:
            raise ClusterUnreachable(
                f"no broker has answered for {timeout_s:.0f} s" + (f": {reason(error)}" if error else ""),
                hint="look at the cluster with: sensorstream cluster status",
            ) from error
        pause.wait(0.1)


def describe_topic(manager: Any, topic: str, timeout_s: float = ASK_S) -> tuple[Any, Any]:
    """The metadata answer and its row for one topic that exists and whose partitions have leaders.

    Raises UnknownTopic (with the nearest name), ClusterUnreachable, BrokerError.
    """
    deadline = time.monotonic() + timeout_s
    unknown_until: float | None = None
    pause = threading.Event()
    while True:
        answer = metadata(manager, [topic], max(0.1, deadline - time.monotonic()))
        row = answer.topics[0]
        kind = kafka_errors.for_code(row.error_code)
        if kind is kafka_errors.NoError and row.partitions:
            return answer, row
        now = time.monotonic()
        if kind is kafka_errors.UnknownTopicOrPartitionError:
            unknown_until = unknown_until or now + refusals.UNKNOWN_S
            if now >= unknown_until:
                names = [other.name for other in metadata(manager, None, 2.0).topics]
                raise refusals.unknown_topic(topic, names)
        if kind in (kafka_errors.InvalidTopicError, kafka_errors.TopicAuthorizationFailedError) or now >= deadline:
            raise broker_error(f"topic {topic!r} can't be used", kind(topic), "Describe")
        pause.wait(0.1)
