"""What is to be broken, whom it hits, and when. Pure: no cluster is touched here."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sensorstream.errors import UsageError
from sensorstream.records import TopicPartition, check_topic_name

FaultKind: TypeAlias = Literal["kill", "stop", "freeze", "slow", "roll"]

DONE: Final[dict[FaultKind, str]] = {
    "kill": "killed (SIGKILL)",
    "stop": "stopped cleanly",
    "freeze": "frozen (SIGSTOP)",
    "slow": "slowed to a tenth",
    "roll": "restarted",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a fault hits, found anew each time: the leader of a partition, one broker, the controller, or anybody."""

    kind: Literal["leader", "broker", "controller", "random"]
    partition: TopicPartition | None = None
    broker: int | None = None

    def __str__(self) -> str:
        if self.partition is not None:
            return f"leader:{self.partition.topic}-{self.partition.partition}"
        return f"broker:{self.broker}" if self.broker is not None else self.kind


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault; ``target`` is None for a rolling restart, which hits every broker in turn."""

    kind: FaultKind
    target: Target | None = None

    def __str__(self) -> str:
        return self.kind if self.target is None else f"{self.kind} {self.target}"


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """What is done: one of ``faults`` every ``every_s`` seconds, for ``for_s`` seconds; each lasts ``hold_s``.

    ``seed`` decides which fault comes when, and whom ``random`` hits.
    """

    faults: tuple[Fault, ...]
    every_s: float
    for_s: float
    hold_s: float
    seed: int


def parse_target(text: str, option: str) -> Target:
    """``leader:TOPIC-P``, ``broker:N``, ``controller`` or ``random``. Raises UsageError, naming ``option``."""
    if text in ("controller", "random"):
        return Target("controller" if text == "controller" else "random")
    if found := re.fullmatch(r"broker:([0-9]{1,9})", text):
        return Target("broker", broker=int(found[1]))
    if found := re.fullmatch(r"leader:(.+)-([0-9]{1,9})", text):
        check_topic_name(found[1])
        return Target("leader", TopicPartition(found[1], int(found[2])))
    raise UsageError(
        f"{option} {text!r} names nobody",
        hint="write leader:TOPIC-PARTITION, as in leader:AIR-0, broker:2, controller or random",
    )


def make_plan(faults: tuple[Fault, ...], *, every_s: float, for_s: float, hold_s: float | None, seed: int) -> ChaosPlan:
    """A checked plan; without ``hold_s`` a fault lasts half of the time to the next one. Raises UsageError."""
    if not faults:
        raise UsageError(
            "nothing to break was named", hint="as in: sensorstream cluster chaos --kill leader:AIR-0; see --help"
        )
    hold = every_s / 2 if hold_s is None else hold_s
    if hold >= every_s:
        raise UsageError(
            f"--hold {hold:g}s is not shorter than --every {every_s:g}s",
            hint="a broker must be back before the next fault comes",
        )
    return ChaosPlan(faults, every_s, for_s, hold, seed)
