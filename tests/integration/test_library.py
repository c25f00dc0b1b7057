"""The public names, and the page about them: its examples run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sensorstream
from sensorstream.cluster.state import cluster_names
from sensorstream.errors import ConfigError, UsageError

PAGE = Path(__file__).parents[2] / "docs" / "library.md"


@pytest.mark.broker
def test_the_examples_of_the_page_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
        # The page says so.
        assert cluster_names() == ()
    finally:
        if cluster_names():
            sensorstream.LocalCluster("library").down(delete_data=True)


def test_all_public_names_are_there_and_importing_the_package_costs_nothing() -> None:
    assert {name for name in sensorstream.__all__ if not hasattr(sensorstream, name)} == set()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sensorstream.nothing
    code = "import sys, sensorstream; print([n for n in sys.modules if n.startswith(('sensorstream.', 'kafka'))])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_wrong_values_are_told_by_the_errors_of_the_package(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bootstrap"):
        sensorstream.replay({"AIR": tmp_path / "air.csv"}, bootstrap="https://localhost:9092")
    with pytest.raises(UsageError, match="vadre"):
        sensorstream.score(["text"], scorer="vadre")
    with pytest.raises(UsageError, match="would read its own output"):
        sensorstream.stream("AIR", "AIR", ["select"], bootstrap="localhost:1", transform_options={"columns": "a"})


def test_scores_are_those_of_the_command() -> None:
    scores = sensorstream.score(["I love it", "", "the bus", "\udcff"], explain=True)
    assert [one.status for one in scores] == ["ok", "empty", "ok", "error"]
    assert scores[0].words is not None
    assert [word.word for word in scores[0].words] == ["I", "love", "it"]
