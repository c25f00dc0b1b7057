"""``doctor`` run in a folder of its own, and what it says."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorstream.cli.app import run
from sensorstream.cluster.preflight import free_ports
from sensorstream.doctor import machine
from sensorstream.doctor.results import Check
from sensorstream.errors import ExitCode

Doctor = Callable[..., "Seen"]
java_once = functools.cache(machine.check_java)
"""Java takes its time to start, and says the same each time."""


class Seen:
    """What a run of ``doctor`` came to."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.err = err
        answer = json.loads(out)
        self.status = answer["status"]
        self.errors = answer["errors"]
        self.result = answer["result"]
        self.checks = [Check(**one) for one in self.result["checks"]]

    def one(self, name: str, subject: str | None = None) -> Check:
        """The one check of this name."""
        (found,) = [one for one in self.checks if one.name == name and subject in (None, one.subject)]
        return found

    def problems(self) -> list[str]:
        return [one.name for one in self.checks if one.state == "problem"]

    def is_problem(self, name: str, found: str, advice: str, code: ExitCode = ExitCode.UNREACHABLE) -> None:
        """This is the only problem, told with these words, and all behind it was skipped."""
        assert self.problems() == [name], self.result
        one = self.one(name)
        assert found in one.found
        assert advice in (one.advice or ""), one
        assert (self.code, self.status) == (code, "partial")
        assert one.found in self.err
        assert len(self.err.splitlines()) == len(self.errors) == 1
        if one.area == "connection":
            assert all(check.state == "skipped" for check in self.checks[self.checks.index(one) + 1 :])


def doctor_in(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs ``doctor`` in a folder of its own, with state of its own and nobody else's clusters."""
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(folder / "state"))
    monkeypatch.setattr("sensorstream.doctor.examine.check_java", java_once)
    (folder / "work").mkdir()
    monkeypatch.chdir(folder / "work")

    def call(*arguments: str) -> Seen:
        code = run(["doctor", "--output", "json", "-q", *arguments])
        captured = capsys.readouterr()
        return Seen(code, captured.out, captured.err)

    return call


def nobody() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"
