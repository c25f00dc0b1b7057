"""Remove a broker from a local cluster permanently: emptied, stopped, unregistered, deleted."""

import threading
import time
from dataclasses import dataclass

from sensorstream import admin
from sensorstream.admin import MovedPartition
from sensorstream.cluster import LocalCluster
from sensorstream.cluster.membership import check_removable, forget_broker
from sensorstream.cluster.named import reach
from sensorstream.config import Settings, hidden
from sensorstream.errors import BrokerError, Interrupted
from sensorstream.events import Listener, Notice, ignore

_TRIES = 3
"""So often a broker is emptied again when somebody made a topic on it just before it stopped."""


@dataclass(frozen=True, slots=True)
class BrokerRemoved:
    """A broker that is no more. ``partitions`` are those that were moved off it, ``brokers`` who is left."""

    name: str
    broker: int
    partitions: tuple[MovedPartition, ...]
    brokers: tuple[int, ...]
    bootstrap: tuple[str, ...]
    seconds: float


def remove_broker(
    name: str, broker: int, *, stop: threading.Event | None = None, listener: Listener = ignore
) -> BrokerRemoved:
    """Move what the broker holds to the others, stop it, have the controllers forget it, and delete its folders.

    It need not run, where others have all that it holds. Whenever this fails or is cut short, nothing is lost, and a
    second call goes on with it. Raises UsageError for one that can't be removed, LocalClusterError where another does
    not run, BrokerError and ClusterUnreachable when the brokers can't do it, Interrupted.
    """
    stop = stop or threading.Event()
    began = time.monotonic()
    left = check_removable(name, broker)
    cluster = LocalCluster(name, listener=listener)
    known = {key: hidden(key, value) for key, value in reach(name).properties.items()}
    settings = Settings(bootstrap=left.bootstrap, client="kafka-python", properties=known)
    moved: dict[tuple[str, int], MovedPartition] = {}
    for tries in range(1, _TRIES + 1):
        for one in admin.move_off(settings, broker, left.brokers, stop=stop, listener=listener):
            moved[one.topic, one.partition] = one
        if stop.is_set():
            raise Interrupted(
                f"broker {broker} has no replicas left and keeps running", hint="run it again to continue"
            )
        listener(Notice(f"broker {broker} has no replicas left: it is stopped"))
        was_running = cluster.stop_broker(broker).was_running
        late = admin.held_by(settings, broker, listener=listener)
        if not late:
            break
        if was_running:
            cluster.start_broker(broker, stop=stop)
        if tries == _TRIES:
            raise BrokerError(f"{late[0]} was created on broker {broker} in the meantime", hint="run it again")
    if left.mode == "kraft":
        admin.unregister_broker(settings, broker, listener=listener)
    admin.wait_gone(settings, broker, listener=listener)
    forget_broker(name, broker)
    return BrokerRemoved(
        name,
        broker,
        tuple(moved[where] for where in sorted(moved)),
        left.brokers,
        left.bootstrap,
        round(time.monotonic() - began, 2),
    )
