"""Break one broker, and repair it."""

import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sensorstream.cluster import state
from sensorstream.cluster.links.links import Disturbance
from sensorstream.cluster.local import LocalCluster
from sensorstream.cluster.plan import processes
from sensorstream.lab.chaos.plan import ChaosPlan, FaultKind

if TYPE_CHECKING:
    import psutil

_OFF_S: Final = 0.45
_ON_S: Final = 0.05
"""A slow broker has a tenth of the time, in pieces: each answer takes up to half a second, and its heartbeats, one a
second, still reach the controller."""


class BrokenBroker:
    """One fault on one broker: begun when it is made, lasting through :meth:`hold`, over after :meth:`heal`."""

    def __init__(self, cluster: LocalCluster, broker: int, kind: FaultKind, plan: ChaosPlan) -> None:
        self._cluster = cluster
        self._broker = broker
        self._kind = kind
        self._process: psutil.Process | None = None
        self._disturbance: Disturbance | None = None
        if kind == "cut-link":
            self._disturbance = cluster.disturb(broker, cut=True)
        elif kind == "slow-link":
            self._disturbance = cluster.disturb(broker, latency_s=plan.latency_s, bytes_per_s=plan.bytes_per_s)
        elif kind in ("kill", "stop", "roll"):
            cluster.stop_broker(broker, kill=kind == "kill")
        else:
            self._process = _process(cluster, broker)
            self._signal(signal.SIGSTOP)

    def hold(self, seconds: float, stop: threading.Event) -> None:
        """Leave it broken for so long, or until ``stop`` is set."""
        if self._kind != "slow":
            stop.wait(seconds)
            return
        end = time.monotonic() + seconds
        while time.monotonic() < end and not stop.wait(_OFF_S):
            self._signal(signal.SIGCONT)
            stop.wait(_ON_S)
            self._signal(signal.SIGSTOP)

    def heal(self) -> None:
        """Start it, or let it go on. Raises LocalClusterError when it does not come up."""
        if self._disturbance is not None:
            self._disturbance.close()
        elif self._kind in ("freeze", "slow"):
            self._signal(signal.SIGCONT)
        else:
            self._cluster.start_broker(self._broker)

    def let_go(self) -> None:
        """At once, and whatever happens: nobody may stay frozen or cut off."""
        if self._disturbance is not None:
            self._disturbance.close()
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        import psutil

        if self._process is not None:
            with suppress(psutil.Error):
                self._process.send_signal(number)


def _process(cluster: LocalCluster, broker: int) -> "psutil.Process | None":
    live, _ = processes(cluster.folder, state.load_state(cluster.folder))
    return live.get(broker)


def resume_all(cluster: LocalCluster) -> None:
    """Let every broker that is frozen go on."""
    import psutil

    live, _ = processes(cluster.folder, state.load_state(cluster.folder))
    for process in live.values():
        with suppress(psutil.Error):
            process.send_signal(signal.SIGCONT)
