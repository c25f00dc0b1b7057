"""The pytest plug-in in a test run that does not use it: it imports next to nothing."""

import os
import subprocess
import sys
from pathlib import Path

TEST = """
import sys

def test_light():
    ours = {name for name in sys.modules if name.startswith("sensorstream")}
    assert ours == {"sensorstream", "sensorstream.testing", "sensorstream.testing.plugin"}
    assert not {"kafka", "confluent_kafka", "pandas", "psutil", "typer", "rich"} & set(sys.modules)
"""


def test_a_run_without_kafka_imports_no_client(tmp_path: Path) -> None:
    (tmp_path / "test_light.py").write_text(TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
