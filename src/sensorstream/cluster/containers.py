"""Station 5 in containers: a cluster from a compose file, driven through the engine of this machine.

What is remembered of it stands beside what is remembered of local clusters, so that `status` and `down` know which kind
a name is:

    <state>/clusters/<name>/containers.json     the compose file and its profiles
"""

import json
import re
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from sensorstream.cluster import state
from sensorstream.cluster.compose_files import compose_file
from sensorstream.cluster.engine import Container, Engine, find_engine
from sensorstream.cluster.plan import name_flag
from sensorstream.errors import Interrupted, LocalClusterError, UsageError
from sensorstream.events import Listener, Notice, ignore

READY_TIMEOUT_S: Final = 300.0
_POLL_S: Final = 0.5
_KEPT: Final = "containers.json"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A container: ``state`` is the engine's word (running, exited, ...), ``health`` None where it has no check."""

    service: str
    image: str
    state: str
    health: str | None


@dataclass(frozen=True, slots=True)
class ContainersUp:
    """A cluster in containers that is ready; ``seconds`` is how long it took."""

    name: str
    file: str
    project: str
    bootstrap: tuple[str, ...]
    services: tuple[ServiceStatus, ...]
    already_running: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class ContainersStatus:
    """A cluster in containers as it is: ``running`` whole, ``degraded`` in parts, or ``stopped``."""

    name: str
    state: Literal["running", "degraded", "stopped"]
    file: str
    project: str
    bootstrap: tuple[str, ...]
    services: tuple[ServiceStatus, ...]


@dataclass(frozen=True, slots=True)
class ContainersDown:
    """The services whose containers were removed, and whether their volumes were, too."""

    name: str
    stopped: tuple[str, ...]
    data_deleted: bool


@dataclass(frozen=True, slots=True)
class _Known:
    file: str
    profiles: tuple[str, ...]


class ContainerCluster:
    """A named cluster in containers. Making the object starts nothing."""

    def __init__(self, name: str = state.DEFAULT_NAME, *, listener: Listener = ignore) -> None:
        self.name = name
        self.folder = state.cluster_folder(name)
        self._listener = listener

    @property
    def known(self) -> bool:
        """Whether this name is a cluster in containers."""
        return (self.folder / _KEPT).exists()

    def up(
        self,
        file: str | None = None,
        *,
        profiles: Sequence[str] = (),
        stop: threading.Event | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> ContainersUp:
        """Start the containers of a compose file (a name or a path) and wait until all are ready.

        None for ``file`` and no ``profiles`` mean: as it was last, else the three KRaft brokers. Containers that this
        call has made are removed again when it fails; their data stays.

        Raises EngineUnreachable, UsageError (the file, the name), LocalClusterError, Interrupted.
        """
        stop = stop or threading.Event()
        began = time.monotonic()
        before = self._load()
        path = Path(before.file) if before is not None and file is None else compose_file(file)
        known = _Known(str(path), tuple(profiles) or (before.profiles if before is not None else ()))
        self._check(before, known)
        engine = find_engine()
        project = self._project(known)
        try:
            engine.ask([*engine.compose, *project, "config", "-q"])
        except LocalClusterError as error:
            raise UsageError(f"{path.name} can't be used: {error.message}", hint=f"see {path}") from error
        with state.locked(self.folder, stop):
            there = engine.containers(project)
            running = bool(there) and all(one.ready for one in there)
            self._save(known)
            try:
                if not running:
                    self._listener(Notice(f"starting the containers of {path.name}; images are pulled first", "info"))
                engine.work([*engine.compose, *project, "up", "-d"], stop, self._tell)
                ready = self._wait(engine, project, stop, timeout_s)
            except BaseException:
                self._undo(engine, project, before, there)
                raise
        return ContainersUp(
            name=self.name,
            file=str(path),
            project=project[-1],
            bootstrap=_bootstrap(ready),
            services=_services(ready),
            already_running=running,
            seconds=round(time.monotonic() - began, 2),
        )

    def status(self) -> ContainersStatus:
        """What runs. Raises EngineUnreachable, LocalClusterError (there is no such cluster)."""
        known, engine = self._must_know(), find_engine()
        project = self._project(known)
        found = engine.containers(project)
        alive = any(one.state == "running" for one in found)
        whole = alive and all(one.ready for one in found)
        return ContainersStatus(
            name=self.name,
            state="running" if whole else "degraded" if alive else "stopped",
            file=known.file,
            project=project[-1],
            bootstrap=_bootstrap(found),
            services=_services(found),
        )

    def down(self, *, delete_data: bool = False) -> ContainersDown:
        """Remove the containers and their network; the volumes stay unless ``delete_data``.

        That forgets the cluster, too.
        """
        known, engine = self._must_know(), find_engine()
        project = self._project(known)
        with state.locked(self.folder):
            found = engine.containers(project)
            volumes = ["-v"] if delete_data else []
            engine.work([*engine.compose, *project, "down", *volumes], threading.Event(), self._tell)
            if delete_data:
                shutil.rmtree(self.folder, ignore_errors=True)
        return ContainersDown(self.name, tuple(one.service for one in found if one.state == "running"), delete_data)

    def stop_broker(self, broker: int, *, kill: bool = False) -> bool:
        """Stop one broker's container, or kill it; returns whether it ran."""
        engine, project, one = self._broker(broker)
        if one.state != "running":
            return False
        engine.work([*engine.compose, *project, "kill" if kill else "stop", one.service], threading.Event(), self._tell)
        return True

    def start_broker(self, broker: int, *, stop: threading.Event, timeout_s: float = READY_TIMEOUT_S) -> ServiceStatus:
        """Start one broker's container and wait until it is healthy."""
        engine, project, one = self._broker(broker)
        engine.work([*engine.compose, *project, "start", one.service], stop, self._tell)
        ready = self._wait(engine, project, stop, timeout_s, only=one.service)
        return next(found for found in _services(ready) if found.service == one.service)

    def logs_command(self) -> str:
        """The command that shows what the containers say."""
        known = self._must_know()
        return f"docker compose -f {known.file} -p {self._project(known)[-1]} logs"

    # -- within -------------------------------------------------------------------------------------------------

    def _wait(
        self, engine: Engine, project: Sequence[str], stop: threading.Event, timeout_s: float, only: str | None = None
    ) -> tuple[Container, ...]:
        deadline = time.monotonic() + timeout_s
        while True:
            found = engine.containers(project)
            watched = [one for one in found if only in (None, one.service)]
            broken = next((one for one in watched if one.failed), None)
            if broken is not None:
                raise LocalClusterError(
                    f"{broken.service} ended with exit code {broken.exit_code} while the cluster was starting",
                    hint=f"docker compose -f {project[1]} -p {project[-1]} logs {broken.service} shows why",
                )
            if watched and all(one.ready for one in watched):
                return found
            if time.monotonic() > deadline:
                missing = ", ".join(f"{one.service} is {one.health or one.state}" for one in watched if not one.ready)
                raise LocalClusterError(
                    f"the cluster was not ready within {timeout_s:g} s: {missing or 'no container was made'}",
                    hint=f"docker compose -f {project[1]} -p {project[-1]} logs shows more",
                )
            if stop.wait(_POLL_S):
                raise Interrupted("stopped while the containers were starting", hint="nothing new was left running")

    def _undo(self, engine: Engine, project: Sequence[str], before: _Known | None, there: Sequence[Container]) -> None:
        """Take back what this call has made; what was there before stays."""
        if any(one.state == "running" for one in there):
            return
        try:
            engine.ask([*engine.compose, *project, "down"])
        except LocalClusterError as error:
            self._listener(Notice(f"containers may be left: {error.message}", "warning"))
            return
        if before is None:
            (self.folder / _KEPT).unlink(missing_ok=True)

    def _check(self, before: _Known | None, asked: _Known) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise UsageError(
                f"{self.name!r} can't be the name of a cluster in containers",
                hint="use small letters, digits, '_' and '-'",
            )
        if before is None and state.load_state(self.folder) is not None:
            raise LocalClusterError(
                f"cluster {self.name!r} is one of processes of this machine, not of containers",
                hint=f"give another --name, or first: sensorstream cluster down --delete-data{name_flag(self.name)}",
            )
        if before is not None and before.file != asked.file:
            raise LocalClusterError(
                f"cluster {self.name!r} was made from {before.file}",
                hint=f"give another --name, or first: sensorstream cluster down --delete-data{name_flag(self.name)}",
            )

    def _broker(self, broker: int) -> tuple[Engine, list[str], Container]:
        known, engine = self._must_know(), find_engine()
        project = self._project(known)
        found = engine.containers(project)
        one = next((one for one in found if one.service == f"broker-{broker}"), None)
        if one is None:
            has = ", ".join(one.service for one in found) or "no containers now"
            raise UsageError(f"cluster {self.name!r} has no service broker-{broker}", hint=f"it has: {has}")
        return engine, project, one

    def _project(self, known: _Known) -> list[str]:
        profiles = [word for profile in known.profiles for word in ("--profile", profile)]
        return ["-f", known.file, *profiles, "-p", f"sensorstream-{self.name}"]

    def _tell(self, line: str) -> None:
        self._listener(Notice(line, "debug"))

    def _must_know(self) -> _Known:
        known = self._load()
        if known is None:
            raise LocalClusterError(
                f"there is no cluster {self.name!r} in containers",
                hint=f"start it: sensorstream cluster up --docker{name_flag(self.name)}",
            )
        return known

    def _load(self) -> _Known | None:
        path = self.folder / _KEPT
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            return _Known(str(told["file"]), tuple(map(str, told["profiles"])))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LocalClusterError(f"{path} can't be read: {error}", hint="move it away to start over") from error

    def _save(self, known: _Known) -> None:
        state.write_json(self.folder / _KEPT, asdict(known))


def _bootstrap(containers: Sequence[Container]) -> tuple[str, ...]:
    return tuple(address for one in containers for address in one.bootstrap)


def _services(containers: Sequence[Container]) -> tuple[ServiceStatus, ...]:
    return tuple(ServiceStatus(one.service, one.image, one.state, one.health) for one in containers)
