"""Station 5: why a client has to wait, asked over separate connections, so it works for every client.

Every question goes to a broker that is known to answer, and the whole is over within a stated time.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, Final

import kafka.errors as kafka_errors
from kafka.protocol.admin import DescribeConfigsRequest
from kafka.protocol.metadata import MetadataRequest

from sensorstream.addresses import bracketed
from sensorstream.clients.causes import (
    Cause,
    NoBroker,
    NoCoordinator,
    NoLeader,
    SilentBroker,
    TooFewInSync,
    Waited,
    words,
)
from sensorstream.clients.kafka_python.admin import Session
from sensorstream.clients.kafka_python.failures import reason
from sensorstream.clients.own_thread import on_own_thread
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.reachable import silent
from sensorstream.errors import ClusterUnreachable, CredentialsRefused, SensorstreamError
from sensorstream.records import TopicPartition

LOOK_S: Final = 2.5
"""So long an answer may take; what is known by then is the answer."""
GIVE_UP_S: Final = 15.0
"""A look that takes so long is left behind: a library that hangs must not make one blind."""
_CLOSES: Final = "it takes the connection and closes it"
_TOPIC: Final = 2
_MIN_ISR: Final = "min.insync.replicas"
_KEPT_IN: Final = {"group": "__consumer_offsets", "transactional id": "__transaction_state"}
_PLAIN_WORDS: Final = {
    "CoordinatorNotAvailableError": "none is available",
    "CoordinatorLoadInProgressError": "it is still loading",
    "NotCoordinatorError": "it has just moved",
    "GroupAuthorizationFailedError": "this user has no right to it",
    "TransactionalIdAuthorizationFailedError": "this user has no right to it",
}


class Diagnosis:
    """Asks one cluster why it keeps somebody waiting; remembers brokers that it has seen."""

    def __init__(self, bootstrap: tuple[str, ...], properties: ClientProperties) -> None:
        self._bootstrap = bootstrap
        self._properties = properties
        self._known: dict[int, str] = {}
        self._asking = threading.Lock()
        self._under_way: Future[None] | None = None
        self._about = Waited()
        self._began = 0.0
        self._found: list[Cause] = []

    def causes(self, waited: Waited) -> tuple[Cause, ...]:
        """Why what is waited for does not come, as far as can be told within LOOK_S; never raises."""
        with self._asking:
            now = time.monotonic()
            hangs = now - self._began > GIVE_UP_S
            if self._under_way is None or hangs or (self._under_way.done() and self._about != waited):
                self._about, self._began = waited, now
                self._found = []
                self._under_way = on_own_thread("sensorstream-why", partial(self._look, waited, self._found))
            # One that was late the last time gives its answer now: on a busy machine every look may be late.
            wait([self._under_way], LOOK_S)
            found = tuple(self._found)
            if self._under_way.done():
                self._under_way = None
            return found

    def _look(self, waited: Waited, found: list[Cause]) -> None:
        addresses = dict.fromkeys((*self._bootstrap, *self._known.values()))
        deaf = silent(addresses)
        answering = tuple(address for address in addresses if address not in deaf)
        if not answering:
            found.append(NoBroker(tuple((address, deaf[address]) for address in self._bootstrap)))
            return
        try:
            with Session(answering, self._properties) as session:
                _Look(session, waited, deaf, self._known, found).look()
        except CredentialsRefused:
            pass
        except ClusterUnreachable:
            # Somebody is there, a proxy in front of a dead broker say, and no broker.
            found.append(NoBroker(tuple((address, deaf.get(address, _CLOSES)) for address in self._bootstrap)))
        except (SensorstreamError, kafka_errors.KafkaError, RuntimeError, OSError):
            pass  # what was found by then is the answer


class _Look:
    """One look at a cluster through a session of its own; ``found`` is filled as it goes."""

    def __init__(
        self,
        session: Session,
        waited: Waited,
        deaf: Mapping[str, str],
        known: dict[int, str],
        found: list[Cause],
    ) -> None:
        self._session = session
        self._waited = waited
        self._deaf = dict(deaf)
        self._known = known
        self._found = found

    def look(self) -> None:
        now = {
            int(broker.node_id): bracketed(broker.host, broker.port)
            for broker in self._session.manager.cluster.brokers()
        }
        before = {number: address for number, address in self._known.items() if number not in now}
        self._known.update(now)
        self._deaf |= silent(address for address in now.values() if address not in self._deaf)
        self._silent = {number for number, address in now.items() if address in self._deaf}
        answering = [number for number in now if number not in self._silent]
        if not answering:
            self._found.extend(SilentBroker(number, now[number]) for number in sorted(now))
            return
        self._node = answering[0]
        waited = self._waited
        if not waited.topics and not waited.partitions:
            self._add_silent(self._silent)
            # The cluster has struck a broker off its list that a client may still be asking.
            listed = {*now.values(), *before.values()}
            self._add_silent(number for number, address in before.items() if address in self._deaf)
            if not self._found:
                self._found.extend(SilentBroker(None, address) for address in self._deaf if address not in listed)
        else:
            self._look_at_topics(before)
        for kind, name in (("group", waited.group), ("transactional id", waited.transactional_id)):
            if name is not None:
                self._look_at_coordinator(kind, name)

    def _look_at_topics(self, before: Mapping[int, str]) -> None:
        waited = self._waited
        rows = self._rows({*waited.topics, *(one.topic for one in waited.partitions)})
        parts = {
            TopicPartition(name, one.partition_index): one
            for name, row in rows.items()
            for one in row.partitions
            if name in waited.topics or TopicPartition(name, one.partition_index) in waited.partitions
        }
        self._found.extend(self._faults(parts, writes=waited.writes))
        needed = {one.leader_id for one in parts.values()}
        if waited.writes:
            needed.update(number for one in parts.values() for number in one.isr_nodes)
        self._add_silent(needed & self._silent)
        if not self._found:
            # One that has left the cluster may still be waited for by a client that has not noticed.
            held = {number for one in parts.values() for number in one.replica_nodes}
            # What was known before is among the addresses that were asked at the beginning of this look.
            self._add_silent(number for number, address in before.items() if number in held and address in self._deaf)

    def _faults(self, parts: Mapping[TopicPartition, Any], *, writes: bool) -> list[Cause]:
        """What keeps these partitions from being read, or written to as well."""
        faults: list[Cause] = []
        least = self._min_isr({partition.topic for partition in parts}) if writes else {}
        for partition, one in sorted(parts.items()):
            replicas = tuple(sorted(one.replica_nodes))
            if one.leader_id < 0:
                faults.append(NoLeader(partition, replicas))
                continue
            # Where a topic has fewer replicas than that, brokers ask for as many as there are.
            needed = min(least.get(partition.topic, 0), len(replicas))
            if len(one.isr_nodes) < needed:
                missing = tuple(sorted(set(replicas) - set(one.isr_nodes)))
                faults.append(TooFewInSync(partition, len(one.isr_nodes), needed, replicas, missing))
        return faults

    def _look_at_coordinator(self, kind: str, name: str) -> None:
        topic = _KEPT_IN[kind]
        of = f"{kind} {name}"
        rows = self._rows([topic])
        if topic in rows and rows[topic].partitions:
            number = _java_hash(name) % len(rows[topic].partitions)
            one = next((one for one in rows[topic].partitions if one.partition_index == number), None)
            faults = self._faults({TopicPartition(topic, number): one}, writes=True) if one is not None else []
            if faults:
                self._found.append(NoCoordinator(of, words(faults)))
                return
        row = self._session.coordinator(kind, name, self._node)
        if row.error_code:
            known = topic in rows and bool(rows[topic].partitions)
            why = reason(kafka_errors.for_code(row.error_code)()) if known else f"the topic {topic} is not there yet"
            self._found.append(NoCoordinator(of, _PLAIN_WORDS.get(why, why)))
        elif int(row.node_id) in self._silent:
            self._add_silent([int(row.node_id)], f"coordinates {of}")

    def _add_silent(self, numbers: Iterable[int], role: str = "") -> None:
        for number in sorted(numbers):
            told = next((one for one in self._found if isinstance(one, SilentBroker) and one.broker == number), None)
            if told is not None:
                self._found.remove(told)
            self._found.append(SilentBroker(number, self._known[number], role))

    def _rows(self, topics: Iterable[str]) -> dict[str, Any]:
        request = MetadataRequest(
            topics=[MetadataRequest.MetadataRequestTopic(name=name) for name in sorted(topics)],
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
        )
        return {row.name: row for row in self._session.ask(request, self._node).topics}

    def _min_isr(self, topics: Iterable[str]) -> dict[str, int]:
        """``min.insync.replicas`` of each topic, where this user may know it."""
        resource = DescribeConfigsRequest.DescribeConfigsResource
        wanted: Sequence[Any] = [
            resource(resource_type=_TOPIC, resource_name=name, configuration_keys=[_MIN_ISR]) for name in sorted(topics)
        ]
        if not wanted:
            return {}
        answer = self._session.ask(
            DescribeConfigsRequest(resources=wanted, include_synonyms=False, include_documentation=False), self._node
        )
        return {
            row.resource_name: int(entry.value)
            for row in answer.results
            for entry in row.configs
            if entry.name == _MIN_ISR and entry.value is not None
        }


def _java_hash(text: str) -> int:
    """``Utils.abs(text.hashCode())`` of Java: which partition keeps a group or a transactional id."""
    value = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        value = (31 * value + int.from_bytes(units[at : at + 2])) & 0xFFFFFFFF
    signed = value - (1 << 32) if value >> 31 else value
    return 0 if value == 1 << 31 else abs(signed)
