"""The page on brokers that are not available quotes what the program prints, where no broker is needed to see it."""

import re
from pathlib import Path

import pytest

from running import cli
from sensorstream.cluster.preflight import free_ports
from sensorstream.errors import ExitCode

PAGE = Path(__file__).parents[2] / "docs" / "no-brokers-available.md"
TOLD = re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("address", ["localhost", "http://localhost:9092", "::1:9092", "SSL://localhost:9092"])
def test_an_address_that_is_none(address: str) -> None:
    done = cli("topics", "list", "-b", address)
    assert done.returncode == ExitCode.USAGE
    said = done.stderr.removeprefix("error: command line: ").partition(";")[0]
    assert f"`{said}`" in TOLD


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_nobody_listens(client: str) -> None:
    port = free_ports(1)[0]
    done = cli("topics", "list", "-b", f"127.0.0.1:{port}", "--client", client)
    assert done.returncode == ExitCode.UNREACHABLE
    said = done.stderr.strip().splitlines()[-1].removeprefix("error: ").partition(";")[0]
    assert f"`{said.replace(str(port), '9092')}`" in TOLD
