"""Station 5: which right is missing, with the same text for every client."""

from dataclasses import dataclass
from typing import Final

from sensorstream.clients import refusals
from sensorstream.errors import NotAllowed, WriteNotAllowed
from sensorstream.records import TopicPartition

_OPERATIONS: Final = {"group": "Read", "transactional id": "Write"}
"""The right that is asked for a group and a transactional id; with topics it depends on what was done."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The brokers' refusal: ``kind`` of thing (topic, group, cluster, transactional id), and its name where told."""

    kind: str
    name: str = ""

    @property
    def why(self) -> str:
        """What the brokers say, in plain words: ``topic authorization failed``."""
        return f"{self.kind} authorization failed"

    def error(self, what: str, operation: str = "") -> NotAllowed:
        """``what`` could not be done; ``operation`` is the right on a topic that it needs, as ACLs call it."""
        needed = _OPERATIONS.get(self.kind) or (operation if self.kind == "topic" else "")
        thing = f"{self.kind} {self.name}" if self.name else f"the {self.kind}"
        return refusals.not_allowed(what, self.why, f"{needed or 'the right'} on {thing}")

    def delivery_error(self, where: TopicPartition, *others: str) -> WriteNotAllowed:
        """A record for this partition was not delivered, or for one of these other topics: it is not told which."""
        if self.kind == "topic" and self.name:
            return refusals.write_not_allowed(str(where), [self.name], self.why)
        topics = dict.fromkeys((where.topic, *others))
        named = str(where) if len(topics) == 1 else " and ".join(topics)
        return refusals.write_not_allowed(named, topics, self.why)
