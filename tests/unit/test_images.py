"""The container images: hadolint finds nothing in their files, and what they copy and call is there."""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from command_lines import commands, parse
from sensorstream import __version__

ROOT = Path(__file__).parents[2]
IMAGES = sorted((ROOT / "deploy").rglob("Dockerfile*"))
RUNNER = ROOT / "deploy" / "runner" / "Dockerfile"


def test_there_are_images() -> None:
    assert RUNNER in IMAGES
    assert len(IMAGES) == 2


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_hadolint_finds_nothing(image: Path) -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([hadolint, str(image)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    faulty = tmp_path / "Dockerfile"
    faulty.write_text(RUNNER.read_text(encoding="utf-8").replace("# hadolint ignore=DL3008\n", ""), encoding="utf-8")
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([hadolint, str(faulty)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DL3008" in done.stdout


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_image_takes_what_the_build_needs(image: Path) -> None:
    """The build needs what pyproject.toml puts into the wheel."""
    text = image.read_text(encoding="utf-8")
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    names = {name for line in copied for name in line}
    assert names >= {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "THIRD_PARTY.md",
        "src",
        "samples",
        "compose",
        "man",
        "sbom",
    }
    assert all((ROOT / name).exists() for name in names)


def test_the_runner_calls_commands_that_exist() -> None:
    text = RUNNER.read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^RUN (sensorstream .+)$", text, re.MULTILINE)
    calls = list(commands(line.replace('${KAFKA_VERSION:+--kafka-version "$KAFKA_VERSION"}', "--kafka-version 3.9")))
    assert [call[:2] for call in calls] == [["cluster", "up"], ["cluster", "down"]]
    for call in calls:
        parse(call)


def test_the_runner_is_named_as_this_version() -> None:
    tags = re.findall(r"-t sensorstream-runner:(\S+)", RUNNER.read_text(encoding="utf-8"))
    assert set(tags) == {__version__}
