"""Station 5: metrics of the brokers for Prometheus: an agent in each broker's process, each on its own port.

The agent is Prometheus' JMX exporter (https://prometheus.github.io/jmx_exporter/), fetched and verified as Kafka's jars
are. What it makes of a broker's figures, its rules say: ``compose/metrics/kafka-rules.yml``, the same for containers.

    <cluster>/metrics.json     the port of each broker's agent; where it is, brokers are started with their agents
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from sensorstream.cluster.artifacts import Jar, fetch_files
from sensorstream.cluster.compose_files import compose_folder
from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.preflight import free_ports, is_free
from sensorstream.cluster.properties import LOOPBACK
from sensorstream.errors import LocalClusterError
from sensorstream.events import Listener, ignore
from sensorstream.own_files import make_folder

AGENT: Final = Jar(
    "io.prometheus.jmx:jmx_prometheus_javaagent:1.0.1",
    "7d61f737fd661610ccc14aea79764faa1ea94a340cbc8f0029b3d2edea3d80c1",
    2886599,
)


class Metrics:
    """The agents of the cluster whose folder is ``cluster_folder``. Making the object starts nothing."""

    def __init__(self, cluster_folder: Path) -> None:
        self._file = cluster_folder / "metrics.json"

    @property
    def wanted(self) -> bool:
        """Whether brokers are started with an agent."""
        return self._file.is_file()

    def want(self) -> None:
        """From now on, brokers are started with an agent. Raises LocalClusterError."""
        if not self.wanted:
            self._save({})

    def forget(self) -> None:
        """Start brokers without an agent again."""
        self._file.unlink(missing_ok=True)

    def forget_broker(self, broker: int) -> None:
        """Forget the port of a broker that is no more."""
        ports = self._ports()
        if ports.pop(broker, None) is not None:
            self._save(ports)

    def fetch(self, *, offline: bool = False, listener: Listener = ignore) -> Path:
        """The agent's jar. Raises ArtifactError."""
        command = "sensorstream cluster up --metrics"
        return fetch_files([AGENT], "the metrics agent", command, offline=offline, listener=listener)[0]

    def launch(self, plain: Launch, broker: int, taken: Iterable[int]) -> Launch:
        """What to start this broker with: as ``plain``, with its agent where one is wanted, on none of these ports.

        A broker keeps its agent's port, unless somebody else has taken it meanwhile. Raises ArtifactError.
        """
        if not self.wanted:
            return plain
        ports = self._ports()
        if broker not in ports or not is_free(ports[broker]):
            (ports[broker],) = free_ports(1, {*taken, *ports.values()})
            self._save(ports)
        jar, rules = self.fetch(offline=True), compose_folder() / "metrics" / "kafka-rules.yml"
        agent = f"-javaagent:{jar}={LOOPBACK}:{ports[broker]}:{rules}"
        return replace(plain, options=(*plain.options, agent))

    def url(self, broker: int) -> str | None:
        """Where the figures of a broker are, when it runs; None where it has no agent."""
        port = self._ports().get(broker)
        return None if port is None else f"http://{LOOPBACK}:{port}/metrics"

    def _ports(self) -> dict[int, int]:
        try:
            return {int(broker): int(port) for broker, port in json.loads(self._file.read_text("utf-8")).items()}
        except (OSError, ValueError, AttributeError):  # not there, or not ours: ports are chosen anew
            return {}

    def _save(self, ports: Mapping[int, int]) -> None:
        try:
            make_folder(self._file.parent)
            self._file.write_text(json.dumps(ports), encoding="utf-8")
        except OSError as error:
            raise LocalClusterError(
                f"{self._file} can't be written: {error.strerror or error}",
                hint="set SENSORSTREAM_STATE_DIR to a folder that can be written",
            ) from error
