"""What ``make audit`` makes of pip-audit's reports, and what it asks about."""

import json
import subprocess

import pytest

from tools import audit

REPORT = json.dumps(
    {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {
                "name": "bad",
                "version": "2",
                "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3"], "aliases": ["CVE-2026-1"], "description": ""}],
            },
            {"name": "private", "skip_reason": "Dependency not found on PyPI"},
        ],
        "fixes": [],
    }
)
NOTHING = json.dumps({"dependencies": [{"name": "good", "skip_reason": "Dependency not found on PyPI"}], "fixes": []})


def answering(monkeypatch: pytest.MonkeyPatch, *reports: str) -> None:
    """Have pip-audit answer so, one report for each time it is called."""
    left = list(reports)

    def run(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess(command, 1, left.pop(0), "Temporary failure in name resolution")

    monkeypatch.setattr(subprocess, "run", run)


def test_everything_that_is_installed_with_the_program_is_asked_about() -> None:
    found = audit.dependencies()
    assert {"kafka-python", "typer", "pandas", "confluent-kafka", "pyarrow", "cryptography", "keyring"} <= set(found)
    assert {"crc32c", "jsonschema", "click" if "click" in found else "rich"} <= set(found)
    assert not {"sensorstream", "pytest", "ruff", "mypy"} & set(found)


def test_a_vulnerability_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answering(monkeypatch, REPORT)
    assert audit.main([]) == 1
    told = capsys.readouterr().out
    assert "vulnerable: bad 2: PYSEC-2026-1, mended in 3" in told
    assert "nothing is known of: private" in told


def test_one_that_does_not_touch_the_program_is_left_out() -> None:
    for known in ("PYSEC-2026-1", "CVE-2026-1"):
        answer = audit.read(REPORT, {known: "that part is not used"})
        assert answer is not None
        assert answer.known == 2
        assert not answer.found


def test_no_answer_is_said_and_fails_before_a_release_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, NOTHING, "")
    assert audit.main([]) == 0
    told = capsys.readouterr().out
    assert "PyPI has not answered: it knows none of" in told
    assert "OSV has not answered: Temporary failure in name resolution" in told
    assert "no index has answered" in told
    answering(monkeypatch, NOTHING, "")
    assert audit.main(["--strict"]) == 3
    answering(monkeypatch, "", REPORT)
    assert audit.main(["--strict"]) == 1
