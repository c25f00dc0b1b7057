"""Real recorded data, replayed and captured, cell by cell equal. ``SENSORSTREAM_TEST_DATA`` says where it is."""

import csv
import os
from pathlib import Path

import pytest

from running import ok

pytestmark = pytest.mark.broker
FILE = "beijing_air/PRSA_Data_Changping_20130301-20170228.csv"


@pytest.fixture
def recording() -> Path:
    folder = os.environ.get("SENSORSTREAM_TEST_DATA")
    if folder is None:
        pytest.skip("SENSORSTREAM_TEST_DATA is not set: the real recordings are not part of the project")
    return Path(folder) / FILE


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_four_years_of_air_quality_come_back_cell_by_cell(
    recording: Path, broker: tuple[str, ...], tmp_path: Path
) -> None:
    b = ["--bootstrap", ",".join(broker)]
    ok("topics", "create", "beijing", *b)
    sent = ok("produce", "--source", f"beijing={recording}", "--delay", "0", *b, cwd=tmp_path)
    assert (sent["acknowledged"], sent["failed"], sent["rejected"]) == (35064, 0, 0)
    for partition in ("0", "1"):
        ok("consume", "-t", "beijing", "-p", partition, "-e", *b, cwd=tmp_path)
    source = rows(recording)
    for number in (0, 1):
        captured = rows(tmp_path / f"beijing_Consumer_{number}.csv")
        assert captured[0] == source[0]
        assert captured[1:] == source[1 + number :: 2]
    assert ok("verify", "--source", f"beijing={recording}", cwd=tmp_path)["exactly_once"] is True
