"""Station 5: waiting until brokers that were started are ready."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from sensorstream.clients.probe import ClusterHealth
from sensorstream.cluster import node, preflight
from sensorstream.cluster.plan import Plan, addresses, node_of
from sensorstream.errors import ClusterUnreachable, Interrupted, LocalClusterError

Probe: TypeAlias = Callable[[Sequence[str], float], ClusterHealth]

_POLL_S: Final = 0.1


def wait_ready(
    folder: Path,
    plan: Plan,
    watched: set[int],
    probe: Probe,
    stop: threading.Event,
    timeout_s: float,
) -> ClusterHealth:
    """Wait until the ``watched`` brokers of the ``plan`` for the cluster in ``folder`` are registered and there is a
    controller.

    Raises LocalClusterError when one of them ends or it takes longer than ``timeout_s``, Interrupted.
    """
    known = plan.known
    deadline = time.monotonic() + timeout_s
    # Links take connections also for a broker that is not there yet.
    at = {id_: known.ports[id_] if (behind := plan.listens(id_)) is None else behind.broker for id_ in watched}
    seen: ClusterHealth | None = None
    while True:
        if stop.is_set():
            raise Interrupted("stopped while the brokers were starting", hint="nothing new was left running")
        for node_id in sorted(watched):
            one = node_of(folder, known, node_id)
            if node.running(known.processes.get(node_id), one.folder) is None:
                raise LocalClusterError(
                    f"broker {node_id} ended while it was starting: {one.last_error() or 'it did not say why'}",
                    hint=f"see {one.log_file}",
                )
        if all(preflight.listens(port) for port in at.values()):
            with contextlib.suppress(ClusterUnreachable):
                seen = probe(addresses({id_: known.ports[id_] for id_ in watched}), 2.0)
                if seen.quorum_leader is not None and watched <= set(seen.brokers):
                    return seen
        if time.monotonic() > deadline:
            missing = sorted(watched - set(seen.brokers if seen else ()))
            what = f"brokers {', '.join(map(str, missing))} are not registered" if missing else "there is no leader"
            raise LocalClusterError(
                f"the cluster was not ready within {timeout_s:g} s: {what}", hint=f"see the logs in {folder}"
            )
        stop.wait(_POLL_S)
