"""A cluster that the fault cases may break, with a proxy in front of each broker, and the figures of a campaign."""

import os
from collections.abc import Iterator

import pytest

from faults.breaking import Breaker
from faults.proxy import LOOPBACK, Proxies
from sensorstream.cluster import LocalCluster, node, preflight

BEHIND = "PROXIED"
"""The listener that the brokers advertise under the proxies' ports."""


@pytest.fixture(scope="module")
def _behind_proxies(_own_surroundings: None) -> Iterator[tuple[Breaker, Proxies]]:
    """Three brokers; past the proxies they are reached by ``Breaker.cluster.bootstrap``."""
    local = LocalCluster("breakable")
    ports = preflight.free_ports(6)
    proxies = Proxies(ports[:3], ports[3:])
    plain_configure = node.Node.configure

    def configure(self: node.Node, text: str, logs: tuple[str, str]) -> None:
        if self.folder.parent == local.folder:
            lines = dict(line.split("=", 1) for line in text.splitlines())
            lines["listeners"] += f",{BEHIND}://{LOOPBACK}:{ports[2 + self.node_id]}"
            lines["advertised.listeners"] += f",{BEHIND}://{LOOPBACK}:{ports[self.node_id - 1]}"
            lines["listener.security.protocol.map"] += f",{BEHIND}:PLAINTEXT"
            text = "".join(f"{key}={value}\n" for key, value in lines.items())
        plain_configure(self, text, logs)

    with pytest.MonkeyPatch.context() as patch, proxies.running():
        patch.setattr(node.Node, "configure", configure)
        local.up(kafka_version=os.environ.get("SENSORSTREAM_TEST_KAFKA_VERSION"), ports="auto")
        try:
            yield Breaker(local), proxies
        finally:
            local.down(delete_data=True)


@pytest.fixture
def breaker(_behind_proxies: tuple[Breaker, Proxies]) -> Iterator[Breaker]:
    """Breaks a cluster of three brokers that is there for it; the cluster is whole again when the test ends."""
    breaker, _ = _behind_proxies
    yield breaker
    if len(breaker.cluster.running_brokers()) < 3:
        breaker.start()


@pytest.fixture
def proxies(_behind_proxies: tuple[Breaker, Proxies]) -> Proxies:
    """The way to that cluster which can be made slow, cut, and half-open."""
    return _behind_proxies[1]
