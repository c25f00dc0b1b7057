"""Station 5: the links of a cluster: one process with a proxy in front of every broker and controller.

It is a part of its cluster, as ZooKeeper and the schema registry are: it outlives the command that started it and is
found again by its mark. Its fronts are the ports that the cluster is known by: clients and brokers need not know of it.

    <cluster>/links/state.json    its control port and process
    <cluster>/links/ways.json     see :mod:`sensorstream.cluster.links.ways`
"""

import contextlib
import json
import os
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from sensorstream.cluster import node, preflight
from sensorstream.cluster.companion import Companion, Known
from sensorstream.cluster.links.ways import FOLDER, Ways, load_ways, save_ways
from sensorstream.cluster.preflight import NODE_MARK
from sensorstream.cluster.properties import LOOPBACK
from sensorstream.cluster.results import LinksStatus
from sensorstream.errors import LocalClusterError

_READY_S: Final = 30.0
_ANSWER_S: Final = 10.0


class Links(Companion):
    """The links of the cluster whose folder is ``cluster_folder``. Making the object starts nothing."""

    def __init__(self, cluster_folder: Path) -> None:
        super().__init__(cluster_folder, FOLDER)
        self._cluster_folder = cluster_folder
        self.log_file = self.folder / f"{FOLDER}.log"

    @property
    def ways(self) -> Ways | None:
        """The ways through them; None where the cluster has no links."""
        return load_ways(self._cluster_folder)

    def held(self) -> frozenset[int]:
        """The ports at which they listen just now: taken, but by the cluster itself."""
        known, ways = self.known(), self.ways
        if known is None or ways is None or self.process(known) is None:
            return frozenset()
        return frozenset(way.front for way in ways.ways)

    def status(self) -> LinksStatus | None:
        """What there is of them; None where the cluster has none."""
        known = self.known()
        if self.ways is None:
            return None
        process = None if known is None else self.process(known)
        ready = process is not None and known is not None and self._answers(known)
        return LinksStatus(
            state="stopped" if process is None else "running" if ready else node.condition(process),
            pid=process.pid if process else None,
            memory_bytes=node.memory_bytes(process) if process else None,
            log_file=str(self.log_file),
        )

    def start(self, ways: Ways, stop: threading.Event) -> bool:
        """Have these ways open; False when they were. When this fails or is interrupted nothing of it is left running.

        Raises LocalClusterError, PortTaken, Interrupted.
        """
        known = self.known()
        if known is not None and self.process(known) is not None and self.ways == ways:
            self._wait(known, stop)
            return False
        self.end()
        preflight.require_ports(way.front for way in ways.ways)
        save_ways(self._cluster_folder, ways)
        taken = {port for way in ways.ways for port in (way.front, way.behind)}
        (port,) = preflight.free_ports(1, taken)
        words = [sys.executable, "-P", "-m", "sensorstream.cluster.links.process", str(port)]
        try:
            with self.log_file.open("wb") as output:
                # It works in a folder of its own, where a path such as "src" would mean nothing.
                path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
                words.append(f"{NODE_MARK}{self.folder}")
                child = node.spawn(words, output.fileno(), self.folder, {"PYTHONPATH": path})
        except OSError as error:
            raise LocalClusterError(f"the cluster's links can't be started: {error.strerror or error}") from error
        started = Known(port, node.process_of(child.pid))
        self.remember(started)
        try:
            self._wait(started, stop)
        except BaseException:
            self.end()
            raise
        return True

    def forget_all(self) -> None:
        """The cluster has none from now on. They do not run."""
        self.forget_port()
        (self.folder / "ways.json").unlink(missing_ok=True)

    def disturb(
        self, broker: int, pid: int | None, *, cut: bool = False, latency_s: float = 0.0, bytes_per_s: int | None = None
    ) -> "Disturbance":
        """Cut the links of a broker, or slow them, until what this returns is closed. ``pid`` is its process.

        Raises LocalClusterError when they can't be reached.
        """
        order = {"broker": broker, "pid": pid, "cut": cut, "latency_s": latency_s, "bytes_per_s": bytes_per_s}
        known = self.known()
        try:
            if known is None:
                raise OSError("they do not run")
            connection = self._connect(known)
            return Disturbance(connection, int(_ask(connection, self._order(order))["connections"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LocalClusterError(
                f"the cluster's links do not answer: {error}",
                hint=f"start them: sensorstream cluster up; see {self.log_file}",
            ) from error

    def _order(self, content: dict[str, Any]) -> bytes:
        ways = self.ways
        return json.dumps({"word": "" if ways is None else ways.word, **content}).encode() + b"\n"

    def _connect(self, known: Known) -> socket.socket:
        return socket.create_connection((LOOPBACK, known.port), timeout=_ANSWER_S)

    def _answers(self, known: Known) -> bool:
        with contextlib.suppress(OSError, ValueError), self._connect(known) as connection:
            return "connections" in _ask(connection, self._order({}))
        return False

    def _wait(self, known: Known, stop: threading.Event) -> None:
        self.wait(
            known,
            lambda: self._answers(known),
            "the cluster's links",
            stop,
            within_s=_READY_S,
            log_file=self.log_file,
            last_words=self._last_words,
            many=True,
        )

    def _last_words(self) -> str:
        with contextlib.suppress(OSError, IndexError):
            return self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-1].strip()[:300]
        return ""


@dataclass(slots=True)
class Disturbance:
    """Links of a broker that are slow or cut as long as this is open; ``connections`` were hit at the beginning."""

    _connection: socket.socket
    connections: int

    def close(self) -> None:
        """Make them whole again; they are when this returns. Never raises."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.recv(1)  # it is closed when that is done
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ask(connection: socket.socket, order: bytes) -> dict[str, Any]:
    """The answer to an order. Raises OSError, ValueError where there is none."""
    connection.sendall(order)
    with connection.makefile("rb") as lines:
        answer = json.loads(lines.readline())
    if not isinstance(answer, dict):
        raise ValueError("it is no answer")  # noqa: TRY004 - told as any other answer that is none
    return answer
