"""All checks in order: local ones first, then the connection to each address, then the cluster from inside."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Final

from sensorstream.clients import open_client
from sensorstream.clients.properties import ClientProperties
from sensorstream.config import Settings
from sensorstream.doctor.clusters import Clusters, look_at_clusters
from sensorstream.doctor.connection import Way, walk
from sensorstream.doctor.extras import check_extras
from sensorstream.doctor.folders import check_folders, check_kafka
from sensorstream.doctor.inside import look_inside
from sensorstream.doctor.machine import check_java, check_memory, check_program, check_python
from sensorstream.doctor.results import Check, Diagnosis
from sensorstream.doctor.surroundings import check_environment, check_file, read
from sensorstream.errors import SensorstreamError
from sensorstream.events import Listener, Notice, ignore

_TELL_S: Final = 3.0
"""After so long it is told what is waited for."""
_UNUSABLE: Final = "the settings can't be used"


def examine(settings: Callable[[], Settings], version: str, listener: Listener = ignore) -> Diagnosis:
    """Look at this machine, and at the cluster that the settings name.

    ``settings`` gives them, or raises what keeps them from being used; ``version`` is the program's;
    ``listener`` is told whose answer is waited for when that takes long.
    Nothing is changed, published or started.
    Never raises for what is wrong; that is what the checks are for.
    """
    began = time.monotonic()
    here = look_at_clusters()
    checks = [
        check_python(),
        *check_program(version),
        *check_extras(),
        check_java(),
        check_memory(here.brokers),
        *check_folders(),
        check_kafka(),
        *check_environment(),
        check_file(),
    ]
    found, properties, told = read(settings)
    checks += [*(one for one in told if one.area == "settings"), *here.checks]
    reachable = None
    if found is None or properties is None:
        unusable = Check("connection", "bootstrap", None, "skipped", _UNUSABLE)
        checks += [one for one in told if one.area == "connection"] or [unusable]
    else:
        connection = _connect(found, properties, here, listener)
        reachable = any(one.name == "kafka" and one.state == "ok" for one in connection)
        checks += connection
    return Diagnosis(
        None if found is None else found.bootstrap,
        reachable,
        sum(one.state == "problem" for one in checks),
        sum(one.state == "warning" for one in checks),
        round(time.monotonic() - began, 2),
        tuple(checks),
    )


def _connect(settings: Settings, properties: ClientProperties, here: Clusters, listener: Listener) -> list[Check]:
    with ThreadPoolExecutor(len(settings.bootstrap), "sensorstream-doctor") as pool:
        walks = {pool.submit(walk, address, properties, here): address for address in settings.bootstrap}
        late = wait(walks, _TELL_S).not_done
        if late:
            listener(Notice(f"waiting for an answer of {', '.join(walks[one] for one in walks if one in late)}"))
        ways = [one.result() for one in walks]
    if "bootstrap" not in settings.origins and all(way.refused for way in ways):
        return [_nobody_yet(settings, here)]
    reached = [way for way in ways if way.introduction is not None]
    checks = [check for way in ways for check in _milder(way, reached)]
    if not reached:
        return checks
    inside = look_inside(ways, properties)
    return [*checks, *inside, *_client_connects(settings, inside)]


def _nobody_yet(settings: Settings, here: Clusters) -> Check:
    """No address was given, and there is no cluster at the default ones: that is how everybody begins."""
    found = f"nobody listens at the default addresses, {','.join(settings.bootstrap)}, and no other was given"
    advice = "start a cluster: sensorstream cluster up; or name one: -b HOST:PORT"
    if here.running:
        advice = f"a cluster runs here at other addresses: {here.reached_by()}"
        return Check("connection", "bootstrap", None, "warning", found, advice)
    return Check("connection", "bootstrap", None, "skipped", found, advice)


def _milder(way: Way, reached: Sequence[Way]) -> list[Check]:
    """One address that leads nowhere is no problem where another one leads to the cluster."""
    if not reached or way.introduction is not None:
        return way.checks
    return [replace(check, state="warning") if check.state == "problem" else check for check in way.checks]


def _client_connects(settings: Settings, inside: Sequence[Check]) -> list[Check]:
    """Whether the client that publishes and captures connects as well: until here it was kafka-python's work."""
    if any(one.state == "problem" for one in inside):
        return []
    try:
        open_client(settings).reader().close()
    except SensorstreamError as error:
        return [Check("cluster", "client", None, "problem", error.message, error.hint or None)]
    return [Check("cluster", "client", None, "ok", "it connects")]
