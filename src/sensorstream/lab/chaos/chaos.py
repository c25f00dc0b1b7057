"""Faults on a local cluster, one after the other, each healed before the next; the cluster is healthy at the end.

Never two brokers at a time: with three replicas, of which two must be in sync, that is what a cluster bears.
"""

import fcntl
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sensorstream import admin
from sensorstream.admin.looking import ClusterLook
from sensorstream.cluster import state
from sensorstream.cluster.local import LocalCluster
from sensorstream.cluster.named import reach
from sensorstream.cluster.plan import name_flag
from sensorstream.config import Settings
from sensorstream.errors import LocalClusterError, SensorstreamError, UnknownPartition, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.lab.chaos.faults import BrokenBroker, resume_all
from sensorstream.lab.chaos.plan import DONE, LINKS, ChaosPlan, Fault, Target
from sensorstream.lab.chaos.results import ChaosEvent, ChaosResult, EventKind
from sensorstream.lab.chaos.watch import Watch, problems

SYNC_S: Final = 90.0
"""How long brokers that are back may take until every replica is in sync."""
_SETTLE_S: Final = 15.0
"""How long a cluster that was just started may take until it is whole."""
_FIND_S: Final = 30.0
"""How long it may take until a partition has a leader, or the cluster a controller."""


def chaos(
    cluster: LocalCluster,
    plan: ChaosPlan,
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> ChaosResult:
    """Do as the plan says, tell what happens, and leave the cluster whole; ``stop`` ends it early, healing first.

    Raises UsageError for a target that there is not, LocalClusterError when the cluster is not whole at the start or
    another chaos is at work on it.
    """
    stop = stop or threading.Event()
    known = state.load_state(cluster.folder)
    brokers = tuple(sorted(known.ports)) if known is not None else ()
    if stopped := sorted(set(brokers) - set(cluster.running_brokers())):
        raise _not_whole(cluster, tuple(f"broker {broker} does not run" for broker in stopped))
    _require_links(cluster, plan)
    reached = reach(cluster.name)  # a secured cluster is looked at as its super user
    settings = Settings(bootstrap=reached.bootstrap, client="kafka-python", properties=dict(reached.properties))
    _check_targets(settings, plan, brokers)
    with _alone(cluster), Watch(settings, listener) as watch:
        _require_whole(cluster, watch, brokers, stop)
        listener(Notice(f"seed {plan.seed}: repeat the same faults with --seed {plan.seed}"))
        run = _Run(cluster, plan, brokers, watch, stop)
        try:
            run.go()
        finally:
            # Also on the way out of a second Ctrl-C, which has no patience for more.
            resume_all(cluster)
        found = run.make_whole()
        for one in found:
            watch.tell(ChaosEvent(watch.at_s, "note", f"not well: {one}"))
        return ChaosResult(
            cluster.name,
            plan.seed,
            run.done,
            not stop.is_set(),
            not found,
            found,
            watch.at_s,
            watch.stories,
            watch.events,
        )


class _Run:
    def __init__(
        self, cluster: LocalCluster, plan: ChaosPlan, brokers: tuple[int, ...], watch: Watch, stop: threading.Event
    ) -> None:
        self._cluster = cluster
        self._plan = plan
        self._brokers = brokers
        self._watch = watch
        self._stop = stop
        self._dice = random.Random(plan.seed)  # noqa: S311 - whom it hits is no secret
        self.done = 0

    def go(self) -> None:
        """One fault at each beat; where healing takes longer than a beat, the next one comes right after it."""
        began = time.monotonic()
        beat = 0
        while not self._stop.is_set():
            fault = self._dice.choice(self._plan.faults)
            self._do(fault)
            beat += 1
            passed = time.monotonic() - began
            if max(passed, beat * self._plan.every_s) >= self._plan.for_s:
                self._stop.wait(max(0.0, self._plan.for_s - passed))
                return
            self._stop.wait(max(0.0, beat * self._plan.every_s - passed))

    def _do(self, fault: Fault) -> None:
        if fault.target is not None:
            broker = self._find(fault.target)
            if broker is None:
                self._tell("note", f"{fault}: no broker matches just now", fault=str(fault))
                return
            self.done += self._break(fault, broker)
        else:
            for broker in self._brokers:
                if not self._stop.is_set():
                    self._break(fault, broker)
            self.done += 1

    def _break(self, fault: Fault, broker: int) -> bool:
        """Break one broker, and have it back in sync; whether it was broken."""
        self._watch.avoid([broker])
        why = "" if fault.target is None or fault.target.kind == "broker" else f", {_role(fault.target)}"
        self._tell("fault", f"broker {broker}{why}: {DONE[fault.kind]}", fault=str(fault), broker=broker)
        try:
            broken = BrokenBroker(self._cluster, broker, fault.kind, self._plan)
        except LocalClusterError as error:
            self._tell("note", f"nothing was broken: {error.message}", broker=broker)
            self._watch.avoid(())
            return False
        if fault.kind not in ("slow", "slow-link"):
            self._watch.broken(broker)
        try:
            if fault.kind != "roll":
                broken.hold(self._plan.hold_s, self._stop)
            broken.heal()
        except SensorstreamError as error:
            self._tell("note", f"broker {broker} did not come back: {error.message}", broker=broker)
            return True
        finally:
            broken.let_go()
            self._watch.broken()
        back = "goes on" if fault.kind in ("freeze", "slow") else "runs again"
        text = f"broker {broker}: its links are whole again" if fault.kind in LINKS else f"broker {broker} {back}"
        self._tell("healed", text, fault=str(fault), broker=broker)
        in_sync = self._watch.wait_for(lambda look: not problems(look, self._brokers), SYNC_S)
        self._watch.avoid(())
        self._tell("note", "all replicas are in sync" if in_sync else f"not all are in sync after {SYNC_S:g} s")
        return True

    def _find(self, target: Target) -> int | None:
        """Whom a target means just now; None when there is nobody."""
        if target.kind == "broker":
            return target.broker
        if target.kind == "random":
            return self._dice.choice(self._brokers)
        found: list[int] = []

        def known(look: ClusterLook) -> bool:
            if target.partition is None:
                broker = look.controller
            else:
                there = look.partitions.get(target.partition)
                broker = there.leader if there is not None else None
            found[:] = [broker] if broker is not None else []
            return bool(found)

        self._watch.wait_for(known, _FIND_S, self._stop)
        return found[0] if found else None

    def make_whole(self) -> tuple[str, ...]:
        """Start whatever does not run, wait until all is in sync; what is not well after that."""

        def whole(look: ClusterLook) -> bool:
            return not problems(look, self._brokers)

        self._watch.avoid(())
        failed: tuple[str, ...] = ()
        missing = set(self._brokers) - set(self._cluster.running_brokers())
        if missing or not self._cluster.links_run:
            try:
                self._cluster.up()
            except SensorstreamError as error:
                failed = (error.message,)
        if self._watch.wait_for(whole, SYNC_S) and not failed:
            return ()
        return failed or problems(self._watch.look, self._brokers) or ("no broker answers",)

    def _tell(self, what: EventKind, text: str, *, fault: str | None = None, broker: int | None = None) -> None:
        self._watch.tell(ChaosEvent(self._watch.at_s, what, text, fault=fault, broker=broker))


def _role(target: Target) -> str:
    if target.partition is not None:
        return f"leader of {target.partition.topic}-{target.partition.partition}"
    return "active controller" if target.kind == "controller" else "by lot"


def _require_links(cluster: LocalCluster, plan: ChaosPlan) -> None:
    named = [fault for fault in plan.faults if fault.kind in LINKS]
    if named and not cluster.has_links:
        flag = name_flag(cluster.name)
        raise UsageError(
            f"--{named[0].kind} needs a cluster with links: {cluster.name}'s clients connect directly to its brokers",
            hint=f"start it with links: sensorstream cluster down{flag} && sensorstream cluster up --links{flag}",
        )


def _check_targets(settings: Settings, plan: ChaosPlan, brokers: tuple[int, ...]) -> None:
    targets = [fault.target for fault in plan.faults if fault.target is not None]
    for target in targets:
        if target.broker is not None and target.broker not in brokers:
            raise UsageError(f"{target}: there is no such broker", hint=f"there are: {', '.join(map(str, brokers))}")
    led = [target.partition for target in targets if target.partition is not None]
    for topic in admin.describe_topics(settings, sorted({one.topic for one in led})).topics if led else ():
        for one in led:
            if one.topic == topic.name and one.partition >= len(topic.partitions):
                raise UnknownPartition(
                    f"topic {one.topic} has no partition {one.partition}",
                    hint=f"it has 0 to {len(topic.partitions) - 1}",
                )


def _require_whole(cluster: LocalCluster, watch: Watch, brokers: tuple[int, ...], stop: threading.Event) -> None:
    if watch.wait_for(lambda look: not problems(look, brokers), _SETTLE_S, stop) or stop.is_set():
        return
    raise _not_whole(cluster, problems(watch.look, brokers))


def _not_whole(cluster: LocalCluster, found: tuple[str, ...]) -> LocalClusterError:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return LocalClusterError(
        f"cluster {cluster.name} is not healthy, so no fault was injected: {'; '.join(found[:3])}{more}",
        hint=f"repair it first: sensorstream cluster up{name_flag(cluster.name)}",
    )


@contextmanager
def _alone(cluster: LocalCluster) -> Iterator[None]:
    """One chaos at a time: two would take away two of three brokers."""
    with (cluster.folder / "chaos.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalClusterError(
                f"another chaos command is running on cluster {cluster.name}",
                hint="wait for its end, or stop it with Ctrl-C",
            ) from error
        yield
