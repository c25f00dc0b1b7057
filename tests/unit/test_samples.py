"""The sample generator: the committed files, any length, and what makes them plausible."""

import csv
import itertools
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sensorstream.cli.app import run
from sensorstream.config import samples_folder
from sensorstream.errors import SinkError, UsageError
from sensorstream.events import Event, Progress
from sensorstream.samples import COLUMNS, STATIONS, SampleFile, write_samples

NAMES = {topic: f"{topic}2308.csv" for topic in STATIONS}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", NAMES.values())
def test_the_committed_samples_are_what_the_generator_writes(tmp_path: Path, name: str) -> None:
    write_samples(tmp_path, 2)
    assert (tmp_path / name).read_bytes() == (samples_folder() / name).read_bytes()


def test_the_columns_are_those_of_the_seed_lab() -> None:
    heads = {topic: (samples_folder() / name).read_text().partition("\n")[0] for topic, name in NAMES.items()}
    assert heads == {
        "AIR": "Time,Station,Temperature,Moisture,Light,Total_Rainfall,Rainfall,Wind_Direction,PM2.5,PM10,CO,NOx,SO2",
        "EARTH": "Time,Station,Moisture,Temperature,Salinity,pH,Water_Root,Water_Leaf,Water_Level,Voltage",
        "WATER": "Time,Station,pH,DO,Temperature,Salinity",
    }


@pytest.mark.parametrize(("topic", "station"), [("AIR", "SVDT1"), ("EARTH", "SVDT3"), ("WATER", "SVDT2")])
def test_one_row_a_minute_newest_first(topic: str, station: str) -> None:
    rows = rows_of(samples_folder() / NAMES[topic])
    times = [datetime.strptime(row["Time"], "%d/%m/%Y %H:%M:%S") for row in rows]
    assert times[0] == datetime(2023, 8, 31, 23, 59)
    assert all(a - b == timedelta(minutes=1) for a, b in itertools.pairwise(times))
    assert len(rows) == 2880
    assert {row["Station"] for row in rows} == {station}


def test_a_longer_file_begins_with_the_shorter_one(tmp_path: Path) -> None:
    write_samples(tmp_path / "two", 2)
    written = write_samples(tmp_path / "many", 33)
    assert written.first == "30/07/2023 00:00:00"
    for file in written.files:
        text = Path(file.path).read_bytes()
        assert file == SampleFile(file.topic, file.path, 33 * 1440, len(text))
        assert text.startswith((tmp_path / "two" / Path(file.path).name).read_bytes())
        assert text.count(b"\n") == 33 * 1440 + 1


def test_another_seed_gives_other_weather_and_the_same_seed_the_same(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_samples(tmp_path / folder, 1, seed=seed)
    a, b, c = ((tmp_path / folder / "AIR2308.csv").read_bytes() for folder in "abc")
    assert a == b != c


def test_any_end_may_be_asked_for(tmp_path: Path) -> None:
    write_samples(tmp_path, 1, end=datetime(2024, 3, 1, 11, 29))
    times = [row["Time"] for row in rows_of(tmp_path / "WATER2308.csv")]
    assert (times[0], times[-1], len(times)) == ("01/03/2024 11:29:00", "29/02/2024 11:30:00", 1440)


def test_rain_adds_up_over_the_day_and_darkens_and_wets_it() -> None:
    rows = rows_of(samples_folder() / "AIR2308.csv")
    for day in ("30/08/2023", "31/08/2023"):
        today = [row for row in rows if row["Time"].startswith(day)][::-1]
        fallen = 0.0
        for row in today:
            if not row["Rainfall"]:
                break
            fallen += float(row["Rainfall"])
            if row["Total_Rainfall"]:
                assert float(row["Total_Rainfall"]) == pytest.approx(fallen)
        assert max(float(row["Total_Rainfall"] or 0) for row in today) > 1
    humid = [float(row["Moisture"]) for row in rows if row["Moisture"] and row["Rainfall"] not in ("", "0.0")]
    dry = [float(row["Moisture"]) for row in rows if row["Moisture"] and "12:" in row["Time"][10:14]]
    assert sum(humid) / len(humid) > sum(dry) / len(dry) + 3


def test_readings_are_plausible_and_some_are_missing() -> None:
    bounds = {
        "Temperature": (15, 40), "Moisture": (10, 100), "Light": (0, 120_000), "Rainfall": (0, 10),
        "Total_Rainfall": (0, 300), "Wind_Direction": (0, 359), "PM2.5": (0, 200), "PM10": (0, 300),
        "CO": (0, 5), "NOx": (0, 200), "SO2": (0, 50), "Salinity": (0, 10), "pH": (5, 9),
        "Water_Root": (10, 60), "Water_Leaf": (0, 100), "Water_Level": (0, 60), "Voltage": (11, 14.5), "DO": (0, 12),
    }  # fmt: skip
    for topic, name in NAMES.items():
        rows = rows_of(samples_folder() / name)
        missing = 0
        for column in COLUMNS[topic]:
            low, high = bounds[column]
            values = [float(row[column]) for row in rows if row[column]]
            assert low <= min(values) and max(values) <= high, column
            missing += len(rows) - len(values)
        assert 0 < missing < 0.02 * len(rows) * len(COLUMNS[topic])
    light = [float(row["Light"] or 0) for row in rows_of(samples_folder() / "AIR2308.csv")]
    assert light[0] == 0 and light[12 * 60] > 10_000


def test_files_that_are_there_stay_unless_forced(tmp_path: Path) -> None:
    mine = tmp_path / "WATER2308.csv"
    mine.write_text("mine")
    with pytest.raises(UsageError, match=r"there already.*--force"):
        write_samples(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["WATER2308.csv"]
    assert mine.read_text() == "mine"
    write_samples(tmp_path, 1, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES.values())


@pytest.mark.parametrize(("days", "seed"), [(0, 1), (-1, 1), (36_526, 1), (1, -1), (1, 2**32)])
def test_wrong_numbers_are_usage_errors_and_write_nothing(tmp_path: Path, days: int, seed: int) -> None:
    with pytest.raises(UsageError, match="is not a number from"):
        write_samples(tmp_path / "new", days, seed=seed)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="can't be written"):
        write_samples(tmp_path / "file" / "inside", 1)


def test_an_interrupted_run_leaves_no_half_file(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        assert isinstance(event, Progress)
        if event.what.startswith("EARTH"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(tmp_path, 1, listener=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["AIR2308.csv"]


def test_the_command_tells_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["samples", "write", "--days", "1", "--dir", str(tmp_path / "d"), "-q"]
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    assert f"{tmp_path}/d/AIR2308.csv: 1,440 rows, " in out
    assert (out.splitlines()[-1], err) == ("1 day, 31/08/2023 00:00:00 to 31/08/2023 23:59:00, seed 2308", "")
    assert run(arguments) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert run([*arguments, "--force", "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["result"]) == ["folder", "seed", "days", "first", "last", "files"]
    assert list(document["result"]["files"][0]) == ["topic", "path", "rows", "bytes"]
    assert run(["samples", "write", "--days", "0"]) == run(["samples", "write", "--days", "x"]) == 2
