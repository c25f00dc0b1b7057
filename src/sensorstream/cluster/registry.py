"""Station 5: a schema registry of a cluster: Apicurio Registry, with Confluent's API, on the loopback.

It is a part of its cluster: a process of its own that outlives the command which started it, found again by its mark.
Its schemas are in a database file (H2) beside the brokers' data, written through at each change, so they outlive the
process, killed or not, and go with ``down --delete-data``.

    <cluster>/schema-registry/         its port and process, and its log
    <data>/schema-registry/            the database
"""

import contextlib
import http.client
import json
import threading
from pathlib import Path
from typing import Any, Final

from sensorstream.cluster import node, preflight
from sensorstream.cluster.companion import Companion, Known
from sensorstream.cluster.java_runtime import Java
from sensorstream.cluster.preflight import NODE_MARK
from sensorstream.cluster.properties import LOOPBACK
from sensorstream.cluster.registry_files import RUNNER
from sensorstream.cluster.results import RegistryStatus
from sensorstream.errors import LocalClusterError
from sensorstream.own_files import make_folder

DEFAULT_PORT: Final = 8081
"""Where Confluent's registry listens, too."""
API: Final = "/apis/ccompat/v7"
COMPATIBILITY: Final = "BACKWARD"
"""What a new schema must be to the one before; the default of Confluent's registry."""
_NAME: Final = "schema-registry"
_READY_S: Final = 120.0
_ANSWER_S: Final = 5.0
_HEAP_MB: Final = 192


class Registry(Companion):
    """The schema registry of the cluster whose folder is ``cluster_folder``. Making the object starts nothing."""

    def __init__(self, cluster_folder: Path) -> None:
        super().__init__(cluster_folder, _NAME)
        self.log_file = self.folder / f"{_NAME}.log"

    @property
    def exists(self) -> bool:
        """Whether the cluster has one, running or not."""
        return self.known() is not None

    def url(self) -> str | None:
        """Its address; None where there is none."""
        known = self.known()
        return None if known is None else address(known.port)

    def status(self) -> RegistryStatus | None:
        """What there is of it; None where the cluster has none."""
        known = self.known()
        if known is None:
            return None
        process = self.process(known)
        ready = process is not None and _ask(known.port, "GET", "/subjects") is not None
        return RegistryStatus(
            url=address(known.port),
            state="stopped" if process is None else "running" if ready else "starting",
            pid=process.pid if process else None,
            port=known.port,
            memory_bytes=node.memory_bytes(process) if process else None,
            log_file=str(self.log_file),
        )

    def start(self, java: Java, program: Path, data: Path, stop: threading.Event, *, any_port: bool) -> bool:
        """Start it and wait until it answers; False when it ran already.

        ``data`` is the cluster's; ``any_port``: not the default one, where none is remembered. When this fails or is
        interrupted it is ended again. Raises LocalClusterError, PortTaken, Interrupted.
        """
        known = self.known()
        if known is not None and self.process(known) is not None:
            self._wait(known, stop)
            return False
        self.end()  # strays
        if known is not None:
            preflight.require_ports([known.port])
        port = known.port if known is not None else _choose_port(any_port=any_port)
        folder = data / _NAME
        try:
            make_folder(folder)
            make_folder(self.folder)
            fresh = not any(folder.glob("registry.mv.db"))
            if self.log_file.exists():
                self.log_file.replace(self.log_file.with_name(f"{self.log_file.name}.before"))
            with self.log_file.open("wb") as output:
                child = node.spawn_java(self._command(java, program, port), output.fileno(), folder)
        except OSError as error:
            raise LocalClusterError(
                f"the schema registry can't be started: {error.strerror or error}", hint="choose another --data-dir"
            ) from error
        started = Known(port, node.process_of(child.pid))
        self.remember(started)
        try:
            self._wait(started, stop)
            if fresh:
                _ask(port, "PUT", "/config", {"compatibility": COMPATIBILITY})
        except BaseException:
            self.end()
            if known is None:
                self.forget_port()
            raise
        return True

    def _command(self, java: Java, program: Path, port: int) -> list[str]:
        words = [
            str(java.executable),
            f"{NODE_MARK}{self.folder}",
            f"-Xmx{_HEAP_MB}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Djava.awt.headless=true",
            f"-Dquarkus.http.host={LOOPBACK}",
            f"-Dquarkus.http.port={port}",
            "-Dquarkus.log.console.color=false",
            "-Dregistry.storage.kind=mem",
            # Its "memory" is a database that may be a file as well, in the folder that it is started in; without
            # WRITE_DELAY=0 a killed registry forgets the last second.
            "-Dquarkus.datasource.jdbc.url=jdbc:h2:file:./registry;WRITE_DELAY=0",
            "-Dregistry.datasource.url=jdbc:h2:file:./registry;WRITE_DELAY=0",
        ]
        if java.major >= 24:
            words += ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]
        return [*words, "-jar", str(program / RUNNER)]

    def _wait(self, known: Known, stop: threading.Event) -> None:
        self.wait(
            known,
            lambda: _ask(known.port, "GET", "/subjects") is not None,
            "the schema registry",
            stop,
            within_s=_READY_S,
            log_file=self.log_file,
            last_words=self._last_error,
        )

    def _last_error(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
            for mark in ("Caused by: ", " ERROR ", "Error", "Exception"):
                hits = [line for line in lines if mark in line]
                if hits:
                    return hits[-1].strip()[:300]
        return ""


def address(port: int) -> str:
    """What to give to ``--schema-registry``."""
    return f"http://{LOOPBACK}:{port}{API}"


def _choose_port(*, any_port: bool) -> int:
    if not any_port and preflight.is_free(DEFAULT_PORT):
        return DEFAULT_PORT
    return preflight.free_ports(1)[0]


def _ask(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> object | None:
    """What the registry answers; None while it does not."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_S)
    try:
        connection.request(
            method, API + path, None if body is None else json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
