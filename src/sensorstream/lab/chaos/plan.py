"""Which faults are injected, into which broker, and when. Pure: it does not touch a cluster."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sensorstream.errors import UsageError
from sensorstream.records import TopicPartition, check_topic_name

FaultKind: TypeAlias = Literal["kill", "stop", "freeze", "slow", "roll", "slow-link", "cut-link"]

DONE: Final[dict[FaultKind, str]] = {
    "kill": "killed (SIGKILL)",
    "stop": "stopped cleanly",
    "freeze": "frozen (SIGSTOP)",
    "slow": "slowed to a tenth",
    "roll": "restarted",
    "slow-link": "its links are slow",
    "cut-link": "its links are cut",
}
LINKS: Final[frozenset[FaultKind]] = frozenset({"slow-link", "cut-link"})
"""Faults of the way to a broker and from it; the broker itself runs on."""
LATENCY_S: Final = 0.2
MOST_LATENCY_S: Final = 1.0
"""A broker's heartbeat and its answer must fit into the time after which it counts as dead, and connections be made."""
LEAST_BYTES_PER_S: Final = 10_000
_UNITS: Final = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1_000_000}
BYTES_PER_S: Final = 1_000_000


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

    ``seed`` decides which fault comes when, and whom ``random`` hits. Through a slow link everything comes
    ``latency_s`` later, each way, and ``bytes_per_s`` pass at the most.
    """

    faults: tuple[Fault, ...]
    every_s: float
    for_s: float
    hold_s: float
    seed: int
    latency_s: float = LATENCY_S
    bytes_per_s: int = BYTES_PER_S


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
        f"{option} {text!r} is not a target",
        hint="write leader:TOPIC-PARTITION, as in leader:AIR-0, broker:2, controller or random",
    )


def make_plan(
    faults: tuple[Fault, ...],
    *,
    every_s: float,
    for_s: float,
    hold_s: float | None,
    seed: int,
    latency_s: float | None = None,
    bytes_per_s: int | None = None,
) -> ChaosPlan:
    """A checked plan; without ``hold_s`` a fault lasts half of the time to the next one. Raises UsageError."""
    if not faults:
        raise UsageError("no fault was given", hint="as in: sensorstream cluster chaos --kill leader:AIR-0; see --help")
    hold = every_s / 2 if hold_s is None else hold_s
    if hold >= every_s:
        raise UsageError(
            f"--hold {hold:g}s is not shorter than --every {every_s:g}s",
            hint="a broker must be back before the next fault comes",
        )
    slow = any(fault.kind == "slow-link" for fault in faults)
    for option, value in (("--latency", latency_s), ("--bandwidth", bytes_per_s)):
        if value is not None and not slow:
            raise UsageError(f"{option} is for slow links", hint="add --slow-link TARGET")
    if latency_s is not None and latency_s > MOST_LATENCY_S:
        raise UsageError(
            f"--latency {latency_s:g}s would take the broker out of the cluster",
            hint=f"give at most {MOST_LATENCY_S:g}s, or use --cut-link",
        )
    latency = LATENCY_S if latency_s is None else latency_s
    return ChaosPlan(faults, every_s, for_s, hold, seed, latency, BYTES_PER_S if bytes_per_s is None else bytes_per_s)


def parse_bandwidth(text: str, option: str) -> int:
    """``500kB``, ``1MB`` or a number of bytes, a second. Raises UsageError, naming ``option``."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(B|kB|KB|MB)?(?:/s)?", text.strip())
    size = 0 if found is None else int(float(found[1]) * _UNITS[found[2] or "B"])
    if size < LEAST_BYTES_PER_S:
        raise UsageError(
            f"{option} {text!r} is not a usable bandwidth",
            hint="write it as 100kB or 1MB, a second; at least 10kB",
        )
    return size
