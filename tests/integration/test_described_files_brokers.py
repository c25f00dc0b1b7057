"""Files of many kinds through real brokers and back: cell by cell, with the descriptions in sensorstream.toml."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import cli, ok
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.config import Settings, TopicSettings
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job

pytestmark = pytest.mark.broker

# Of each kind: the files, the keys of the topic's table that describe them, and the records that they are.
KINDS: dict[str, tuple[dict[str, str], str, list[dict[str, object]]]] = {
    "toa5": (
        {"x.dat": '"TOA5","CR1"\r\n"T","N","V"\r\n"TS","RN","mm"\r\n"","","Avg"\r\n"1:00",1,"NAN"\r\n"2:00",2,-7\r\n'},
        'source = "x.dat"\nskip_lines = 1\nunits_line = [3, 4]\nmissing = ["NAN", "V=-7"]\ntype = { N = "text" }',
        [{"T": "1:00", "N": "1", "V": None}, {"T": "2:00", "N": "2", "V": None}],
    ),
    "european": (
        {"x.csv": "# made in Graz\nOrt;Wert;da;\nGraz;1.234,5;ja\nOrt;Wert;da;\nWien;-2,60;no;\n"},
        'source = "x.csv"\ncomment = "#"\ndecimal = ","\nthousands = "."\nrepeated_header = true\n'
        'trailing_delimiter = true\ndelimiter = ";"\nmissing = "ja"\ntype = { da = "bool", Wert = "number" }',
        [{"Ort": "Graz", "Wert": 1234.5, "da": None}, {"Ort": "Wien", "Wert": -2.6, "da": False}],
    ),
    "blanks": (
        {"x.txt": "YY  MM  W\n#   mo  m\n2023  8  1.50\n 2023 12\t 99.0\n"},
        'source = "x.txt"\ndelimiter = "blanks"\ncomment = "#"\nmissing = ["W=99.0"]',
        [{"YY": 2023, "MM": 8, "W": 1.5}, {"YY": 2023, "MM": 12, "W": None}],
    ),
    "widths": (
        {"x.txt": "id  name\n001 Höhe, a\n002\n"},
        'source = "x.txt"\nwidths = [4, 8]',
        [{"id": "001", "name": "Höhe, a"}, {"id": "002", "name": None}],
    ),
    "several": (
        {"day10.csv": "a,b\n5,6\n", "day2.csv": "a,b\n3,4", "day1.csv": "a,b\n1,=2\n"},
        'source = "day*.csv"',
        [{"a": 1, "b": "=2"}, {"a": 3, "b": 4}, {"a": 5, "b": 6}],
    ),
    "packed": (
        {"x.csv.gz": "1|x\n2|y\n"},
        'source = "x.csv.gz"\ndelimiter = "|"\nno_header = true',
        [{"column_1": 1, "column_2": "x"}, {"column_1": 2, "column_2": "y"}],
    ),
}  # fmt: skip


@pytest.fixture
def topics(broker: tuple[str, ...]) -> Iterator[dict[str, str]]:
    names = {kind: f"described-{kind}-{os.getpid()}" for kind in KINDS}
    settings = Settings(bootstrap=broker)
    admin.create_topics(settings, [TopicSettings(name, partitions=1) for name in names.values()])
    yield names
    admin.delete_topics(settings, list(names.values()))


def test_every_kind_comes_back_as_it_was(topics: dict[str, str], broker: tuple[str, ...], tmp_path: Path) -> None:
    tables = ""
    for kind, (files, table, _) in KINDS.items():
        (tmp_path / kind).mkdir()
        for name, text in files.items():
            data = text.encode()
            (tmp_path / kind / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        placed = table.replace('source = "', f'source = "{kind}/')
        tables += f"[topics.{topics[kind]}]\n{placed}\n"
    (tmp_path / "sensorstream.toml").write_text(tables, encoding="utf-8")
    publish = ["produce", "--delay", "0", "--exactly-once", "--bootstrap", ",".join(broker)]
    rows = sum(len(records) for _, _, records in KINDS.values())
    assert ok(*publish, cwd=tmp_path)["sent"] == rows
    assert ok(*publish, cwd=tmp_path)["sent"] == 0  # each job is known by its files, and is done
    for form in ("csv", "jsonl"):
        folder = tmp_path / form
        folder.mkdir()
        for kind, (_, _, records) in KINDS.items():
            to = folder / f"{topics[kind]}_Consumer_0.{form}"
            settings = Settings(bootstrap=broker)
            options = CaptureOptions(topic=topics[kind], partitions=(0,), to=str(to), exit_at_end=True)
            plan = make_job(settings, options)
            assert capture(open_client(settings), plan.job, plan.make_sink).rows == len(records)
            if form == "jsonl":
                assert [json.loads(line) for line in to.read_text(encoding="utf-8").splitlines()] == records
        assert ok("verify", str(folder), cwd=tmp_path)["compared"] == rows

    # Another rule for the same file is another job's: it is refused, not mixed in.
    (tmp_path / "sensorstream.toml").write_text(tables.replace('missing = "ja"', 'missing = "no"'), encoding="utf-8")
    assert cli(*publish, cwd=tmp_path).returncode != 0
