"""Station 5 in containers: find and call the engine's command line. Its output is returned as text."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sensorstream.errors import EngineUnreachable, Interrupted, LocalClusterError

_ANSWER_S: Final = 30.0
_LOCAL: Final = "leave out --docker: cluster up needs no containers"


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine tells of it. ``health`` is None where it has no health check."""

    service: str
    image: str
    state: str
    health: str | None
    exit_code: int | None
    restarts: bool
    bootstrap: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether it does what it is there for: healthy, or running without a check, or a one-shot that is done."""
        if self.state == "running":
            return self.health in (None, "healthy")
        return self.state == "exited" and self.exit_code == 0 and not self.restarts

    @property
    def failed(self) -> bool:
        """Whether waiting for it is no use."""
        return self.state in ("exited", "dead") and not self.restarts and self.exit_code != 0


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that answers: ``compose`` are the words with which its compose command begins."""

    docker: str
    compose: tuple[str, ...]

    def containers(self, project: Sequence[str]) -> tuple[Container, ...]:
        """The containers of a compose project, those that have ended too. Raises LocalClusterError."""
        ids = self.ask([*self.compose, *project, "ps", "-a", "-q"]).split()
        if not ids:
            return ()
        told = json.loads(self.ask([self.docker, "inspect", *ids]))
        return tuple(sorted((_container(one) for one in told), key=lambda one: one.service))

    def ask(self, words: Sequence[str]) -> str:
        """What a quick command prints. Raises LocalClusterError with the engine's own words."""
        try:
            done = _run(words)
        except subprocess.TimeoutExpired as error:
            raise LocalClusterError(
                f"{_shown(words)} did not answer within {_ANSWER_S:g} s", hint="check the container engine"
            ) from error
        if done.returncode != 0:
            raise LocalClusterError(f"{_shown(words)}: {_last_line(done.stderr or done.stdout)}")
        return done.stdout

    def work(self, words: Sequence[str], stop: threading.Event, tell: Callable[[str], None]) -> None:
        """Run a command that may take minutes; its lines go to ``tell``. Raises LocalClusterError, Interrupted."""
        child = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us: we end it ourselves, then undo
        )
        lines: list[str] = []

        def read() -> None:
            for line in child.stdout or ():
                if line.strip():
                    lines[:] = [*lines[-20:], line.strip()]
                    tell(line.strip())

        reader = threading.Thread(target=read, name="engine output", daemon=True)
        reader.start()
        try:
            while child.poll() is None:
                if stop.wait(0.1):
                    raise Interrupted("stopped while the containers were starting", hint="nothing new was left running")
        finally:
            if child.poll() is None:
                child.terminate()
            child.wait()
            reader.join(5.0)
        if child.returncode != 0:
            last = lines[-1] if lines else ""
            raise LocalClusterError(f"{_shown(words)}: {_last_line(last)}")


def find_engine() -> Engine:
    """The engine of this machine: `docker compose`, else `docker-compose`. Raises EngineUnreachable."""
    docker = shutil.which("docker")
    if docker is None:
        raise EngineUnreachable(
            "there is no container engine here: no command docker", hint=f"install one, or {_LOCAL}"
        )
    single = shutil.which("docker-compose")
    if _answers([docker, "compose", "version"]) is None:
        compose: tuple[str, ...] = (docker, "compose")
    elif single is not None:
        compose = (single,)
    else:
        raise EngineUnreachable(
            "docker is here, but neither its plugin compose nor docker-compose",
            hint=f"install docker-compose-plugin, or {_LOCAL}",
        )
    problem = _answers([docker, "info"])
    if problem is not None:
        raise EngineUnreachable(f"the container engine does not answer: {problem}", hint=f"start it, or {_LOCAL}")
    return Engine(docker, compose)


def _run(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_ANSWER_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _answers(words: Sequence[str]) -> str | None:
    """None where the command succeeds, else what is wrong."""
    try:
        done = _run(words)
    except subprocess.TimeoutExpired:
        return f"no answer within {_ANSWER_S:g} s"
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    return None if done.returncode == 0 else _last_line(done.stderr or done.stdout)


def _container(told: dict[str, Any]) -> Container:
    state, config = told["State"], told["Config"]
    return Container(
        service=(config.get("Labels") or {}).get("com.docker.compose.service", told["Name"].lstrip("/")),
        image=config["Image"],
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status"),
        exit_code=state.get("ExitCode") if state["Status"] in ("exited", "dead") else None,
        restarts=told["HostConfig"]["RestartPolicy"]["Name"] not in ("", "no"),
        bootstrap=_bootstrap(config.get("Env") or []),
    )


def _bootstrap(environment: Sequence[str]) -> tuple[str, ...]:
    """The advertised addresses of a broker that are of this machine."""
    names = dict(one.partition("=")[::2] for one in environment)
    listeners = names.get("KAFKA_ADVERTISED_LISTENERS", "").split(",")
    addresses = (listener.strip().partition("://")[2] for listener in listeners)
    return tuple(address for address in addresses if address.rpartition(":")[0] in ("127.0.0.1", "localhost", "[::1]"))


def _shown(words: Sequence[str]) -> str:
    return " ".join([Path(words[0]).name, *(word for word in words[1:] if not Path(word).is_absolute())])[:80]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it did not say why"
