"""Which Pythons ``tools/each_python.py`` runs the unit tests on, and what it makes of the outcomes."""

import sys
from pathlib import Path

import pytest
import yaml

from tools import each_python

ROOT = Path(__file__).parents[2]


def test_it_runs_the_versions_that_are_supported() -> None:
    assert each_python.supported() == ("3.11", "3.12", "3.13", "3.14")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert tuple(workflow["jobs"]["unit"]["strategy"]["matrix"]["python"]) == each_python.supported()


def test_it_finds_its_own_and_those_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    (other,) = {"3.12", "3.13"} - {own} if own in ("3.12", "3.13") else {"3.12"}
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert each_python.find(own) == sys.executable
    assert each_python.find(other) is None
    kept = tmp_path / "pyenv" / "versions" / f"{other}.1" / "bin" / f"python{other}"
    kept.parent.mkdir(parents=True)
    kept.symlink_to(sys.executable)
    assert each_python.find(other) == str(kept)
    program = tmp_path / "bin" / f"python{other}"
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    assert each_python.find(other) == str(program)
    program.unlink()
    program.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    program.chmod(0o755)
    assert each_python.find(other) == str(kept), "one that does not start is none"


@pytest.mark.parametrize(
    ("passes", "strict", "code"),
    [
        ({"3.11": True}, False, 0),
        ({"3.11": True}, True, 3),
        ({"3.11": True, "3.12": True}, True, 0),
        ({"3.11": True, "3.12": False}, False, 1),
        ({}, False, 3),
    ],
)
def test_a_version_that_is_missing_is_said(
    passes: dict[str, bool], strict: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = dict.fromkeys(passes, "python")
    assert each_python.outcome(("3.11", "3.12"), found, lambda version, _: passes[version], strict=strict) == code
    words = {True: "passed", False: "FAILED", None: "not found"}
    assert capsys.readouterr().out.splitlines() == [f"{one}: {words[passes.get(one)]}" for one in ("3.11", "3.12")]


def test_a_version_that_is_not_supported_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert each_python.main(["3.9"]) == 2
    assert "not supported: 3.9" in capsys.readouterr().out
