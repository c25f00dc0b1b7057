"""Station 5: a process that belongs to a cluster and runs with its brokers: its port and pid are stored.

<cluster>/<name>/state.json     its port and process; where it is, the cluster has one
<data>/<name>/                  what it keeps
"""

import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensorstream.cluster import node
from sensorstream.cluster.preflight import NODE_MARK
from sensorstream.cluster.state import NodeProcess, write_json
from sensorstream.errors import Interrupted, LocalClusterError

if TYPE_CHECKING:
    import psutil

_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of the process; ``process`` is None while it was not started again."""

    port: int
    process: NodeProcess | None


class Companion:
    """The process ``name`` of the cluster whose folder is ``cluster_folder``. Making the object starts nothing."""

    def __init__(self, cluster_folder: Path, name: str) -> None:
        self.folder = cluster_folder / name
        self._state = self.folder / "state.json"

    def end(self) -> bool:
        """End it, also one that nobody has noted; whether there was any."""
        found = self._all()
        node.end(found, deadline_s=10.0)
        known = self.known()
        if known is not None and known.process is not None:
            self.remember(Known(known.port, None))
        return bool(found)

    def forget(self, data: Path) -> None:
        """Delete what it has kept in the cluster's ``data``; the cluster has none from now on. It does not run."""
        shutil.rmtree(data / self.folder.name, ignore_errors=True)
        self.forget_port()

    def forget_port(self) -> None:
        """The cluster has none from now on; what it has kept stays."""
        self._state.unlink(missing_ok=True)

    def process(self, known: Known) -> "psutil.Process | None":
        """The live process, or None."""
        return node.running(known.process, self.folder)

    def known(self) -> Known | None:
        """What is remembered; None where the cluster has none."""
        try:
            content = json.loads(self._state.read_text(encoding="utf-8"))
            process = content["process"]
            return Known(int(content["port"]), None if process is None else NodeProcess(**process))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, known: Known) -> None:
        """Remember it, so that a reader sees the old or the new."""
        write_json(self._state, asdict(known))

    def wait(
        self,
        known: Known,
        answers: Callable[[], bool],
        name: str,
        stop: threading.Event,
        *,
        within_s: float,
        log_file: Path,
        last_words: Callable[[], str],
        many: bool = False,
    ) -> None:
        """Wait until it answers. ``name`` is what it is called, ``many`` says that this is a plural.

        Raises Interrupted; LocalClusterError with its ``last_words`` when it has ended, or when it takes too long.
        """
        it_is, was = ("they are", "were") if many else ("it is", "was")
        see_log = f"see {log_file}"
        deadline = time.monotonic() + within_s
        while not answers():
            if stop.is_set():
                raise Interrupted(f"stopped while {name} {was} starting", hint=f"{it_is} not left running")
            if self.process(known) is None:
                pronoun = it_is.partition(" ")[0]
                words = last_words() or f"{pronoun} did not say why"
                raise LocalClusterError(f"{name} ended while {pronoun} {was} starting: {words}", hint=see_log)
            if time.monotonic() > deadline:
                raise LocalClusterError(f"{name} {was} not ready within {within_s:g} s", hint=see_log)
            stop.wait(_POLL_S)

    def _all(self) -> "list[psutil.Process]":
        import psutil

        mark = f"{NODE_MARK}{self.folder}"
        return [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE and mark in (process.info["cmdline"] or ())
        ]
