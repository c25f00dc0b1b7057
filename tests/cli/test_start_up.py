"""What a command may import: the packages named here, and nothing else that is not Python's own.

A package that comes with one of them (pydantic with typer) is named with it. Whoever adds a name makes starts slower.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from sensorstream import admin
from sensorstream.config import Settings, TopicSettings

TYPER = {"typer", "annotated_doc", "shellingham"}
TYPER_PARSES = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
# attr where it is installed, to print its classes; linkify_it where Textual has brought it
RICH = {"rich", "pygments", "markdown_it", "mdurl", "attr", "linkify_it", "uc_micro"}
KAFKA = {"kafka", "crc32c", "lz4", "snappy", "cramjam", "zstandard"}

LOOK = """
import sys
before = set(sys.modules)
from sensorstream.cli.app import run
code = run(sys.argv[1:])
found = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
sys.stdout.flush()
sys.stderr.write("imported: " + " ".join(sorted(found)) + "\\n")
sys.exit(code)
"""


def imported(*command: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name for name in done.stderr.splitlines()[-1].split()[1:] if not name.startswith("_")}


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (["--version"], TYPER),
        (["--help"], TYPER | RICH),
        (["produce", "--help"], TYPER | TYPER_PARSES | RICH),
        (["sentiment", "--help"], TYPER | TYPER_PARSES | RICH),
    ],
    ids=["--version", "--help", "produce --help", "sentiment --help"],
)
def test_help_and_version_import_no_more_than(command: Sequence[str], allowed: set[str]) -> None:
    assert imported(*command) - {"sensorstream"} <= allowed


@pytest.mark.broker
def test_topics_list_imports_no_more_than(broker: tuple[str, ...]) -> None:
    found = imported("topics", "list", "-b", ",".join(broker))
    assert "kafka" in found
    assert found - {"sensorstream"} <= TYPER | TYPER_PARSES | RICH | KAFKA | {"platformdirs"}


@pytest.mark.broker
def test_a_replay_with_librdkafka_imports_nothing_of_kafka_python(broker: tuple[str, ...], tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("a,b\n1,x\n")
    settings, topic = Settings(bootstrap=broker), f"start-up-{os.getpid()}"
    admin.create_topics(settings, [TopicSettings(topic, partitions=1)])
    to = ["-b", ",".join(broker), "--client", "librdkafka", "--delay", "0"]
    found = imported("produce", "--source", f"{topic}={source}", *to)
    admin.delete_topics(settings, [topic])
    assert {"confluent_kafka", "numpy"} <= found
    assert found - {"sensorstream"} <= TYPER | TYPER_PARSES | RICH | {"platformdirs", "confluent_kafka", "numpy"}
