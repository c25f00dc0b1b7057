"""The wheel and the sdist install and run from an empty folder, with the sample data inside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_installs_and_runs_from_an_empty_folder(built: Path, kind: str, tmp_path: Path) -> None:
    (package,) = built.glob(kind)
    target, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(target), str(package)], check=True, timeout=120)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sensorstream", *arguments],
            cwd=empty,
            env={**os.environ, "PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    shown = run("config", "show", "--output", "json")
    sample = target / "sensorstream" / "_samples" / "AIR2308.csv"
    assert str(sample) in shown
    assert sample.read_bytes() == (ROOT / "samples" / "AIR2308.csv").read_bytes()
    assert (target / "sensorstream" / "py.typed").exists()
    page = target / "sensorstream" / "monitor" / "web" / "static"
    assert (page / "index.html").exists()
    assert list((page / "vendor").glob("uPlot-*.js"))
    assert not list(target.rglob("axe*.js")), "for tests alone"
    assert list((target / "sensorstream" / "cluster" / "pins").glob("*.json"))
    manuals = target / "share" / "man" / "man1"
    assert {path.name for path in manuals.iterdir()} == {path.name for path in (ROOT / "man").iterdir()}
    (bill,) = target.glob("sensorstream-*.dist-info/sboms/*.cdx.json")
    assert bill.read_bytes() == (ROOT / "sbom" / "sensorstream.cdx.json").read_bytes()
    composed = target / "sensorstream" / "_compose"
    there = {path.relative_to(composed) for path in composed.rglob("*") if path.is_file()}
    source = ROOT / "compose"
    assert there == {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    assert run("samples", "write", "--days", "1", "--dir", "made")
    assert (empty / "made" / "WATER2308.csv").exists()
    assert run("samples", "posts", "--dir", "made")
    assert (empty / "made" / "posts.jsonl").read_bytes() == (ROOT / "samples" / "posts.jsonl").read_bytes()
