"""What a command may import: the packages named here, and nothing else that is not Python's own.

A package that comes with one of them (pydantic with typer) is named with it. Whoever adds a name makes starts slower.
"""

import subprocess
import sys
from collections.abc import Sequence

import pytest

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
