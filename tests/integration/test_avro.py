"""Avro on real brokers, with a real schema registry and without: written, read by others, captured, cell by cell."""

import csv
import io
import itertools
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from sensorstream import admin
from sensorstream.cli.app import run
from sensorstream.clients import open_client
from sensorstream.cluster import LocalCluster
from sensorstream.cluster.registry import Registry
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import ExitCode
from sensorstream.pipelines.schemas import read_schemas
from sensorstream.records import TopicPartition

pytestmark = pytest.mark.broker
_numbers = itertools.count()

COLUMNS = ["Time", "Station", "Temp", "PM2.5", "N", "Id", "Mixed", "Empty", "Flag", "At"]
ROWS = [
    ["31/08/2023 23:57:00", "Σta", "23.10", "5", "7", "0012", "-5.10", "", "true", "2023-08-31T21:57:00.120Z"],
    ["31/08/2023 23:58:00", "=b", "-0.05", "5.5", "-9223372036854775808", "12", "-5.2", "", "false", ""],
    ["31/08/2023 23:59:00", 'a "q", c', "", "1e-05", "", "7", "n/a", "", "", "1969-12-31T23:59:59.999Z"],
    ["01/09/2023 00:00:00", "line\nend", "0.00", "6", "0", "x", "", "", "true", "2023-08-31T22:00:00.000Z"],
]


@pytest.fixture(scope="module")
def registry(cluster: LocalCluster) -> Iterator[str]:
    """The address of the shared cluster's registry."""
    up = cluster.up(schema_registry=True)
    assert up.schema_registry is not None
    yield up.schema_registry
    status = cluster.status()
    assert status.state == "running"
    assert status.schema_registry is not None
    of_cluster = Registry(cluster.folder)
    assert of_cluster.end()
    assert cluster.status().state == "degraded"
    assert status.data_dir is not None
    of_cluster.forget(Path(status.data_dir))


@pytest.fixture
def here(broker: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Here"]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAP", ",".join(broker))
    made = Here(Settings(bootstrap=broker), tmp_path)
    yield made
    admin.delete_topics(made.settings, made.topics)


class Here:
    """A folder with a source, and topics of the test's own."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.topics: list[str] = []

    def topic(self) -> str:
        name = f"avro-{os.getpid()}-{next(_numbers)}"
        admin.create_topics(self.settings, [TopicSettings(name, partitions=2)])
        self.topics.append(name)
        text = f"[topics.{name}]\nsource = 'a.csv'\ntime_column = 'Time'\ntime_format = '%d/%m/%Y %H:%M:%S'\n"
        (self.folder / "sensorstream.toml").write_text(text + "value_format = 'avro'\n", encoding="utf-8")
        self.write("a.csv", COLUMNS, ROWS)
        return name

    def write(self, name: str, columns: list[str], rows: list[list[str]]) -> None:
        with (self.folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])

    def produce(self, *arguments: str) -> int:
        return run(["produce", "--delay", "0", "-q", *arguments])

    def values(self, topic: str) -> list[bytes]:
        """The values in the order of the source's rows: in turn from each partition."""
        read: dict[TopicPartition, list[bytes]] = {TopicPartition(topic, number): [] for number in range(2)}
        with open_client(self.settings).reader() as reader:
            reader.assign(dict.fromkeys(read, 0))
            ends = reader.end_offsets(read)
            while any(reader.position(where) < ends[where] for where in read):
                for where, records in reader.poll(0.2).items():
                    read[where] += [record.value for record in records if record.value is not None]
        pairs = itertools.zip_longest(*read.values())
        return [value for pair in pairs for value in pair if value is not None]

    def captured(self, topic: str, *arguments: str) -> list[list[str]]:
        """The rows of the topic after a capture, in the order of the source."""
        assert run(["consume", "-t", topic, "-p", "0", "-p", "1", "-e", "-q", "--raw", *arguments]) == 0
        parts: list[list[list[str]]] = []
        for number in range(2):
            with (self.folder / f"{topic}_Consumer_{number}.csv").open(encoding="utf-8", newline="") as file:
                head, *rows = csv.reader(file)
            assert head == COLUMNS
            parts.append(rows)
        return [row for pair in itertools.zip_longest(*parts) for row in pair if row is not None]


def expected(row: dict[str, Any]) -> None:
    """The first row as any reader of Avro sees it: numbers as numbers, times as times."""
    assert str(row["Temp"]) == "23.10"
    assert (row["PM2_5"], row["N"], row["Flag"], row["Id"], row["Empty"]) == (5.0, 7, True, "0012", None)
    assert row["Time"].isoformat() == "2023-08-31T23:57:00"
    assert row["At"].isoformat() == "2023-08-31T21:57:00.120000+00:00"


def test_with_a_registry_others_read_it_and_every_cell_comes_back(here: Here, registry: str) -> None:
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    topic = here.topic()
    assert here.produce("--schema-registry", registry) == 0
    values = here.values(topic)
    assert len(values) == len(ROWS)

    client = SchemaRegistryClient({"url": registry})
    deserialize = AvroDeserializer(client)
    expected(deserialize(values[0], SerializationContext(topic, MessageField.VALUE)))

    magic, number = struct.unpack(">bI", values[0][:5])
    assert magic == 0
    schema = fastavro.parse_schema(json.loads(client.get_schema(number).schema_str or ""))
    row = fastavro.schemaless_reader(io.BytesIO(values[0][5:]), schema, None)
    assert isinstance(row, dict)
    expected(row)

    assert here.captured(topic, "--schema-registry", registry) == ROWS


def test_schemas_evolve_where_they_are_compatible_and_are_refused_where_not(
    here: Here, registry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = here.topic()
    assert here.produce("--schema-registry", registry) == 0
    # A column more, and one less: both are null by default.
    here.write("b.csv", ["N", "New"], [["7", "x"]])
    assert here.produce("--schema-registry", registry, "--source", f"{topic}=b.csv") == 0
    # Found by itself it would be a number of another kind; the one before holds it, letter for letter.
    here.write("c.csv", ["N", "New"], [["", "y"]])
    assert here.produce("--schema-registry", registry, "--source", f"{topic}=c.csv") == 0
    before = len(here.values(topic))
    capsys.readouterr()

    here.write("d.csv", ["N", "New"], [["true", "x"]])
    assert here.produce("--schema-registry", registry, "--source", f"{topic}=d.csv") == ExitCode.WRONG_DATA
    assert "not compatible" in capsys.readouterr().err
    schema = {"type": "record", "name": topic.replace("-", "_"), "namespace": "sensorstream"}
    fields = [{"name": "N", "type": "string"}, {"name": "New", "type": "string"}]
    (here.folder / "d.avsc").write_text(json.dumps({**schema, "fields": fields}), encoding="utf-8")
    wrong = here.produce("--schema-registry", registry, "--source", f"{topic}=d.csv", "--schema", "d.avsc")
    assert wrong == ExitCode.WRONG_DATA
    assert len(here.values(topic)) == before, "refused before the first row"


def test_without_a_registry_the_cluster_keeps_the_schema_and_a_job_its_rules(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = here.topic()
    assert here.produce("--exactly-once", "--limit", "2") == 0
    assert here.produce("--exactly-once") == 0
    values = here.values(topic)
    assert len(values) == len(ROWS)
    assert {value[:2].hex() for value in values} == {"c301"}
    schemas = read_schemas(open_client(here.settings))
    schema = fastavro.parse_schema(json.loads(schemas[values[0][2:10].hex()]))
    row = fastavro.schemaless_reader(io.BytesIO(values[0][10:]), schema, None)
    assert isinstance(row, dict)
    expected(row)
    assert here.captured(topic) == ROWS
    assert run(["verify", ".", "--source", f"{topic}=a.csv", "--raw"]) == 0
    capsys.readouterr()
    # The same job with values of another format would mix them.
    assert here.produce("--exactly-once", "--value-format", "json") == ExitCode.USAGE
    assert "format" in capsys.readouterr().err


def test_rows_that_do_not_fit_become_dead_letters_and_can_be_mended(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = here.topic()
    schema = {
        "type": "record",
        "name": "Own",
        "fields": [{"name": "N", "type": "int"}, {"name": "v", "type": "string"}],
    }
    (here.folder / "own.avsc").write_text(json.dumps(schema), encoding="utf-8")
    here.write("e.csv", ["N", "v"], [["1", "a"], ["many", "b"], ["3", "c"]])
    assert here.produce("--source", f"{topic}=e.csv", "--schema", "own.avsc") == ExitCode.FAILED
    letters = here.folder / "e.rejected.jsonl"
    text = letters.read_text(encoding="utf-8")
    assert json.loads(text)["reason"] == "column 'N': 'many' is no int"
    letters.write_text(text.replace("many,b", "2,b"), encoding="utf-8")
    assert run(["rejects", "retry", str(letters), "--yes"]) == 0
    parsed = fastavro.parse_schema(schema)
    rows = [fastavro.schemaless_reader(io.BytesIO(value[10:]), parsed, None) for value in here.values(topic)]
    assert sorted(json.dumps(row) for row in rows) == [
        json.dumps({"N": number, "v": letter}) for number, letter in ((1, "a"), (2, "b"), (3, "c"))
    ]
    capsys.readouterr()


def test_json_is_checked_and_nobody_at_the_registrys_address_is_exit_3(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = here.topic()
    check = {"type": "object", "properties": {"Temp": {"type": ["number", "null"], "maximum": 20}}}
    (here.folder / "check.json").write_text(json.dumps(check), encoding="utf-8")
    assert here.produce("--value-format", "json", "--schema", "check.json") == ExitCode.FAILED
    assert len(here.values(topic)) == len(ROWS) - 1
    assert "23.1 is greater than the maximum of 20" in (here.folder / "a.rejected.jsonl").read_text(encoding="utf-8")
    capsys.readouterr()
    assert here.produce("--schema-registry", "http://127.0.0.1:9") == ExitCode.UNREACHABLE
    assert len(capsys.readouterr().err.splitlines()) == 1
