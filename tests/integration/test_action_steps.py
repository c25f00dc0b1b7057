"""The steps of the GitHub Action, run as a runner runs them; only the installation is left out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from running import ok
from sensorstream.cluster import LocalCluster

pytestmark = pytest.mark.broker
ACTION = Path(__file__).parents[2] / "action.yml"


def test_the_action_starts_a_cluster_that_later_steps_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    steps = {step["name"]: step for step in yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]}
    start = steps["Start the cluster"]
    program = tmp_path / "bin" / "sensorstream"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sensorstream "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    given = {"BROKERS": "1", "KAFKA_VERSION": "", "NAME": "ci"}
    assert set(given) == set(start["env"])
    files = {name: str(tmp_path / name) for name in ("GITHUB_ENV", "GITHUB_OUTPUT")}
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    try:
        # As GitHub's runner calls it: bash --noprofile --norc -eo pipefail.
        subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", start["run"]],
            env={**os.environ, **given, **files, "PATH": path},
            check=True,
            timeout=300,
        )
        lines = (tmp_path / "GITHUB_ENV").read_text(encoding="utf-8").splitlines()
        variables = dict(line.split("=", 1) for line in lines)
        outputs = (tmp_path / "GITHUB_OUTPUT").read_text(encoding="utf-8").splitlines()
        assert outputs == [f"bootstrap-servers={variables['KAFKA_BOOTSTRAP_SERVERS']}"]
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert [broker["id"] for broker in ok("brokers")["brokers"]] == [1]
    finally:
        LocalCluster("ci").down(delete_data=True)
