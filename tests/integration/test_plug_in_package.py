"""The example package of plug-ins, installed as a user would: one of each kind, from a device's file to a sink's."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from running import cli, ok

EXAMPLE = Path(__file__).parents[2] / "examples" / "plug-ins"
GOOD = ["$WIMWV,214.8,R,5.2,M,A*28", "$WIMTW,19.52,C*32"] * 20
BAD = "$WIMWV,214.8,R,5.2,M,A*29"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plug-ins")
    source = shutil.copytree(EXAMPLE, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(source)], check=True, timeout=300)
    return folder / "site"


@pytest.fixture(autouse=True)
def _on_the_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), *([there] if there else [])]))


def test_its_own_tests_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=EXAMPLE / "tests", capture_output=True, text=True, timeout=120, check=False)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_the_scorer_scores() -> None:
    done = cli("sentiment", "score", "bus late :(", "--scorer", "emoticons", "--output", "json")
    assert json.loads(done.stdout)["result"]["scores"][0]["label"] == "negative", done.stderr


@pytest.mark.broker
def test_from_a_device_s_file_to_a_sink_s(broker: tuple[str, ...], tmp_path: Path) -> None:
    b = ["-b", ",".join(broker)]
    (tmp_path / "wind.nmea").write_text("\r\n".join([*GOOD[:7], BAD, *GOOD[7:], ""]))
    ok("topics", "create", "WIND", "--partitions", "1", *b)
    produce = ["produce", "--source", "WIND=wind.nmea", "--delay", "0", "--exactly-once", "--output", "json", *b]
    done = cli(*produce, cwd=tmp_path)
    assert done.returncode == 1, done.stderr  # there is a dead letter
    sent = json.loads(done.stdout)["result"]
    assert (sent["acknowledged"], sent["rejected"]) == (40, 1)
    again = json.loads(cli(*produce, cwd=tmp_path).stdout)["result"]
    assert again["acknowledged"] == 0, "the job is complete"

    capture = ["consume", "-t", "WIND", "-p", "0", *b]
    for count in ("25", "15"):
        ok(*capture, "-c", count, "--to", "wind.lp", cwd=tmp_path)
    lines = (tmp_path / "wind.lp").read_text().splitlines()
    assert len(lines) == 40
    assert lines[0].startswith('WIND talker="WI",sentence="MWV",angle=214.8,reference="R",speed=5.2,')
    ok(*capture, "-c", "40", "--to", "plain.jsonl", cwd=tmp_path)
    verified = cli("verify", "plain.jsonl", "--source", "WIND=wind.nmea", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    ok(*capture, "-c", "1", "--transform", "beaufort", "--to", "scaled.jsonl", cwd=tmp_path)
    assert json.loads((tmp_path / "scaled.jsonl").read_text())["beaufort"] == 3

    for arguments, said in (
        ([*capture, "--to", "other.lp", "--rotate-rows", "5"], "are not rotated"),
        ([*capture, "--format", "pl", "--to", "x"], "csv, jsonl, sqlite, parquet, lp"),
        ([*capture, "--format", "lp", "--to", "-"], "can't go to stdout"),
        (["produce", "--source", "WIND=wind.nmea", "--follow", *b], "the plug-in nmea reads it"),
        (["produce", "--source", "WIND=wind.nmea", "--delimiter", ";", *b], "only for CSV and TSV sources"),
        (["verify", "wind.lp", "--source", "WIND=wind.nmea"], "which partition it holds"),
    ):
        refused = cli(*arguments, cwd=tmp_path)
        assert refused.returncode == 2, (arguments, refused.stderr)
        assert said in refused.stderr
