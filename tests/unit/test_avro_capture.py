"""Capturing Avro whose schemas nobody tells for a while, or at all: no record is lost, passed over or stored twice."""

import csv
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import ExitCode, SchemasRefused, SchemasUnreachable, UsageError
from sensorstream.events import Event, Notice
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.capture.spec import CaptureResult
from sensorstream.serde.avro_encode import AvroEncoder
from sensorstream.serde.avro_infer import SchemaFinder
from sensorstream.serde.avro_schema import CONFLUENT, compact
from sensorstream.serde.decoders import DecoderSettings

PREFIX = CONFLUENT + (7).to_bytes(4, "big")
FINDER = SchemaFinder(["n", "t"])
FINDER.add_cells(["1.50", "x"])
SCHEMA = FINDER.schema("AIR")
ROWS = [[f"{number}.50", "-1"] for number in range(6)]


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("AIR", 1)
    encoder = AvroEncoder(SCHEMA, PREFIX, ["n", "t"], whole=False)
    with MemoryClient(made).publisher() as publisher:
        for row in ROWS:
            publisher.publish("AIR", encoder.encode(row), partition=0)
        publisher.flush(5)
    return made


class Registry:
    """Tells the schema after it has failed with ``errors``."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def __call__(self, number: bytes) -> str | None:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return compact(SCHEMA) if number == PREFIX[1:] else None


@contextmanager
def asking(registry: Callable[[bytes], str | None]) -> Iterator[None]:
    """While inside, captures of Avro ask this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "sensorstream.pipelines.schemas.decoder_settings", lambda *_: DecoderSettings("AIR", registry, None)
        )
        yield


def consume(
    broker: MemoryBroker,
    folder: Path,
    told: list[Event],
    stop: threading.Event | None = None,
    **options: Any,
) -> CaptureResult:
    chosen = {"topic": "AIR", "partitions": (0,), "exit_at_end": True, "to": str(folder), "value_format": "avro"}
    plan = make_job(load(environ={}), CaptureOptions(**{**chosen, **options}))
    return capture(MemoryClient(broker), plan.job, plan.make_sink, stop=stop, listener=told.append)


def cells(folder: Path) -> list[list[str]]:
    with (folder / "AIR_Consumer_0.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_registry_that_is_away_is_waited_for(broker: MemoryBroker, tmp_path: Path, form: str) -> None:
    registry = Registry(*[SchemasUnreachable("the registry can't be reached")] * 2)
    told: list[Event] = []
    with asking(registry):
        result = consume(broker, tmp_path, told, format=form)
    assert (result.ended, result.rows, result.rejected) == ("end", len(ROWS), 0)
    assert registry.asked == 3
    warnings = [event.text for event in told if isinstance(event, Notice) and event.level == "warning"]
    assert warnings == ["the registry can't be reached; trying again until it answers"]
    if form == "csv":
        assert cells(tmp_path) == [["n", "t"], *ROWS]


def test_a_stop_meanwhile_leaves_all_for_the_next_run(broker: MemoryBroker, tmp_path: Path) -> None:
    stop = threading.Event()

    def away(_: bytes) -> str | None:
        stop.set()
        raise SchemasUnreachable("away")

    with asking(away):
        assert consume(broker, tmp_path, [], stop).ended == "stopped"
    with asking(Registry()):
        assert consume(broker, tmp_path, []).rows == len(ROWS)
    assert cells(tmp_path) == [["n", "t"], *ROWS]


def test_refused_credentials_end_it_at_once_and_lose_nothing(broker: MemoryBroker, tmp_path: Path) -> None:
    with asking(Registry(SchemasRefused("refused"))), pytest.raises(SchemasRefused) as caught:
        consume(broker, tmp_path, [])
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    with asking(Registry()):
        assert consume(broker, tmp_path, []).rows == len(ROWS)
    assert cells(tmp_path) == [["n", "t"], *ROWS]


def test_an_unknown_schema_makes_dead_letters_with_the_reason(broker: MemoryBroker, tmp_path: Path) -> None:
    with asking(lambda _: None):
        assert consume(broker, tmp_path, []).rejected == len(ROWS)
    assert "the registry has no schema 7" in (tmp_path / "AIR_Consumer_0.rejected.jsonl").read_text(encoding="utf-8")


def test_a_registry_is_for_avro_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--schema-registry is for --value-format avro"):
        consume(MemoryBroker(), tmp_path, [], value_format="json", schema_registry="http://x")
