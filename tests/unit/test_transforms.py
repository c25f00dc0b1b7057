"""Transforms: the ones that come along, plug-ins by entry point, chains, and a capture through them."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import ConfigError, PositionMismatch, UsageError
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.capture.spec import CaptureResult
from sensorstream.pipelines.capture.transformed import TransformedSink
from sensorstream.records import ConsumedRecord, Json, Number, Row
from sensorstream.serde.json import decode
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.csv_file import CsvFileSink
from sensorstream.transforms.base import InputRow, OutputRow, Transform, Transformed, Unusable, get_ready
from sensorstream.transforms.chain import Chain, Guarded
from sensorstream.transforms.load import BUILT_IN, open_chain, open_transform, transform_names

AIR = '{"Time":"31/08/2023 23:59:00","Station":"SVDT1","Temperature":23.10,"PM10":null,"id":12345678901234567890}'


def rows(*values: str) -> list[InputRow]:
    return [
        InputRow(decode(value.encode()), ConsumedRecord("AIR", 0, offset, 0, None, value.encode()))
        for offset, value in enumerate(values)
    ]


def one(transform: Transform, value: str = AIR) -> list[Row] | str:
    [answer] = transform.apply(rows(value))
    return answer.reason if isinstance(answer, Unusable) else [output.row for output in answer]


def test_select_keeps_columns_in_the_order_given_and_each_value_in_its_letters() -> None:
    made = one(open_transform("select", {"columns": "Temperature, id"}))
    assert made == [{"Temperature": "23.10", "id": "12345678901234567890"}]
    assert all(type(value) is Number for value in made[0].values())
    assert one(open_transform("select", {"columns": '"a,b"'}), '{"a,b": true}') == [{"a,b": True}]


def test_a_column_that_is_not_there_makes_a_row_unusable_and_names_what_is() -> None:
    for name, options in (
        ("select", {"columns": "Temprature"}),
        ("rename", {"Temprature": "t"}),
        ("filter", {"where": "Temprature > 3"}),
        ("round", {"columns": "Temprature"}),
    ):
        reason = one(open_transform(name, options))
        assert "'Temprature'" in reason
        assert "Station, Temperature" in str(reason)


def test_rename_keeps_places_and_loses_no_value() -> None:
    assert one(open_transform("rename", {"a": "c"}), '{"a":1,"b":2}') == [{"c": "1", "b": "2"}]
    assert list(one(open_transform("rename", {"a": "c"}), '{"a":1,"b":2}')[0]) == ["c", "b"]
    assert one(open_transform("rename", {"a": "b", "b": "a"}), '{"a":1,"b":2}') == [{"b": "1", "a": "2"}]
    assert "'b' already" in one(open_transform("rename", {"a": "b"}), '{"a":1,"b":2}')


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("Temperature > 23", True),
        ("Temperature>23.1", False),
        ("Temperature >= 23.1", True),
        ("Temperature == 23.1", True),  # 23.10 is the same number
        ("Temperature = '23.10'", False),  # but not the same as a text
        ("id == 12345678901234567890", True),
        ("id > 12345678901234567889", True),  # a double could not tell
        ("Station == SVDT1", True),
        ("Station != SVDT1", False),
        ('"Station" == "SVDT1" and Temperature < 30', True),
        ("Station == SVDT1 and Temperature < 3", False),
        ("Station contains DT", True),
        ("Station < SVDT2", True),
        ("PM10 == null", True),
        ("PM10 != null", False),
        ("PM10 > 3", False),
        ("PM10 <= 3", False),
        ("Station == null", False),
    ],
)
def test_filter_compares_numbers_with_numbers_and_texts_with_texts(where: str, kept: bool) -> None:
    assert one(open_transform("filter", {"where": where})) == ([decode(AIR.encode())] if kept else [])


def test_filter_does_not_drop_what_it_cannot_order() -> None:
    assert one(open_transform("filter", {"where": "Station > 3"})) == "Station is SVDT1, not a number"
    assert one(open_transform("filter", {"where": "Temperature > abc"})) == "Temperature is 23.10, not text"


@pytest.mark.parametrize(
    ("number", "digits", "rounded"),
    [
        ("23.15", "1", "23.2"),
        ("23.25", "1", "23.2"),
        ("-0.04", "1", "-0.0"),
        ("1e3", "1", "1e3"),
        ("7", "2", "7"),
        ("0.1234567890123456789", "3", "0.123"),
        ("123456789012345678901234567890.15", "1", "123456789012345678901234567890.2"),
        ("1.5e-400", "2", "0.00"),
    ],
)
def test_round_is_decimal(number: str, digits: str, rounded: str) -> None:
    transform = open_transform("round", {"columns": "x", "digits": digits})
    assert one(transform, f'{{"x":{number}}}') == [{"x": rounded}]


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("selct", {}, "did you mean 'select'?"),
        ("select", {}, "columns"),
        ("select", {"colums": "a"}, "did you mean 'columns'?"),
        ("select", {"columns": "a,,b"}, "columns"),
        ("select", {"columns": "a,a"}, "twice"),
        ("rename", {}, "OLD=NEW"),
        ("rename", {"a": "c", "b": "c"}, "same name"),
        ("filter", {"where": "Temperature"}, "no condition"),
        ("filter", {"where": "__import__('os').system('x')"}, "no condition"),
        ("filter", {"where": "a > 1 or b > 2"}, "not expected"),
        ("filter", {"where": "a > null"}, "null"),
        ("round", {"columns": "a", "digits": "-1"}, "digits"),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError, match=r"transform|where|name|nothing") as refused:
        open_transform(name, options)
    assert named in str(refused.value)


def test_every_built_in_is_named() -> None:
    assert set(BUILT_IN) <= set(transform_names())


class Twice:
    """Each row twice; a row with ``fail`` breaks it, one with ``bad`` is refused."""

    name, version = "twice", "1"

    def apply(self, given: Sequence[InputRow]) -> Sequence[Transformed]:
        answers: list[Transformed] = []
        for row, record in given:
            if "fail" in row:
                raise ZeroDivisionError("by\nnought")
            if "exit" in row:
                raise SystemExit(7)
            twin = OutputRow({**row, "twin": Number("2")}, key=b"k")
            answers.append(Unusable("bad") if "bad" in row else [OutputRow(row, timestamp_ms=7), twin])
            assert record.topic == "AIR"
        return answers


def test_a_row_that_breaks_a_plug_in_is_the_only_one_that_is_unusable() -> None:
    answers = Guarded(Twice()).apply(rows('{"n":1}', '{"fail":1}', '{"n":2}', '{"exit":1}'))
    assert answers[1] == Unusable("transform twice failed: ZeroDivisionError: by nought")
    assert answers[3] == Unusable("transform twice failed: SystemExit: 7")
    assert [len(answer) for answer in answers if not isinstance(answer, Unusable)] == [2, 2]


def test_a_chain_hands_on_rows_keys_and_times() -> None:
    chain = Chain([Twice(), Twice(), open_transform("filter", {"where": "n != 2"})])
    answers = chain.apply(rows('{"n":1}', '{"bad":1,"n":1}', '{"n":2}'))
    first = answers[0]
    assert not isinstance(first, Unusable)
    assert [(row.key, row.timestamp_ms, "twin" in row.row) for row in first] == [
        (None, 7, False),
        (b"k", 7, True),
        (b"k", 7, True),
        (b"k", None, True),
    ]
    assert answers[1:] == [Unusable("bad"), []]


class Slow:
    name, version = "slow", "1"

    def __init__(self, begun: list[str], *, broken: bool = False) -> None:
        self._begun, self._broken = begun, broken

    def get_ready(self) -> None:
        if self._broken:
            raise RuntimeError("not today")
        self._begun.append(self.name)

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        return [(OutputRow(row.row),) for row in rows]


def test_what_is_slow_to_start_begins_ahead_and_a_broken_one_stops_nothing() -> None:
    begun: list[str] = []
    slow = Guarded(Slow(begun))
    get_ready(Chain([slow, Guarded(Slow(begun, broken=True)), open_transform("select", {"columns": "a"}), slow]))
    assert begun == ["slow", "slow"]


def test_a_chain_gives_each_transform_its_own_options() -> None:
    chain = open_chain(["filter", "filter", "select"], ["1.where=n > 1", "2.where=n < 4", "select.columns=n"])
    assert one(chain, '{"n":2,"m":0}') == [{"n": "2"}]
    assert one(chain, '{"n":4,"m":0}') == []
    for settings in (["where=n > 1"], ["filter.where=n > 1"], ["4.where=n > 1"]):
        with pytest.raises(UsageError, match="which transform"):
            open_chain(["filter", "filter", "select"], settings)
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        open_chain(["filter"], ["where"])
    with pytest.raises(UsageError, match="--transform"):
        open_chain([], ["where=n > 1"])


PLUG_IN = """
from sensorstream.records import Number
from sensorstream.transforms.base import OutputRow, Unusable
class Kelvin:
    name, version = "kelvin", "1"
    def __init__(self, options):
        self.column = options["column"]
    def apply(self, rows):
        return [[OutputRow({**row, self.column: Number(str(273 + int(row[self.column])))})] for row, record in rows]
"""


@pytest.fixture
def _plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with an entry point, as far as importlib.metadata is concerned."""
    folder = tmp_path / "site"
    info = folder / "kelvin_plugin-1.dist-info"
    info.mkdir(parents=True)
    (folder / "kelvin_plugin.py").write_text(PLUG_IN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kelvin-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sensorstream.transforms]\nkelvin = kelvin_plugin:Kelvin\n")
    monkeypatch.syspath_prepend(str(folder))
    yield


@pytest.mark.usefixtures("_plug_in")
def test_a_plug_in_is_found_by_its_entry_point() -> None:
    assert "kelvin" in transform_names()
    assert one(open_transform("kelvin", {"column": "n"}), '{"n":1}') == [{"n": "274"}]
    assert "ValueError" in one(open_transform("kelvin", {"column": "n"}), '{"n":"x"}')
    with pytest.raises(UsageError, match="KeyError"):
        open_transform("kelvin", {})
    with pytest.raises(UsageError, match="kelvin"):
        open_transform("kelwin", {})


def test_the_package_that_the_documentation_shows_works() -> None:
    page = Path(__file__).parents[2] / "docs" / "transform.md"
    [source] = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    module: dict[str, Any] = {"__name__": "kelvin"}
    exec(source, module)
    kelvin: Transform = module["Kelvin"]({"column": "t"})
    assert one(kelvin, '{"t":23.10,"u":1}') == [{"t": "296.25", "u": "1"}]
    assert one(kelvin, '{"t":"x"}') == "t is no number"
    with pytest.raises(UsageError):
        module["Kelvin"]({})


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("AIR", 1)
    return made


def publish(broker: MemoryBroker, values: Sequence[object]) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for value in values:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            publisher.publish("AIR", data, partition=0)
        publisher.flush(5)


def consume(broker: MemoryBroker, folder: Path, *names: str, **options: Any) -> CaptureResult:
    chosen = {"topic": "AIR", "partitions": (0,), "exit_at_end": True, "to": str(folder), **options}
    plan = make_job(load(environ={}), CaptureOptions(**chosen, transforms=names))
    return capture(MemoryClient(broker), plan.job, plan.make_sink)


def lines(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def letters(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_capture_stores_what_the_transform_makes_and_passes_the_rest(
    broker: MemoryBroker, tmp_path: Path, form: str
) -> None:
    publish(broker, [{"n": 1, "m": 1}, {"n": 5, "m": 2}, {"m": 3}, b"{", {"n": 7, "m": 4}, {"n": 1, "m": 5}])
    settings: dict[str, Any] = {"transform_settings": ("filter.where=n > 3", "select.columns=m"), "format": form}
    result = consume(broker, tmp_path, "filter", "select", **settings)
    assert (result.rows, result.rejected, result.partitions[0].next_offset) == (2, 2, 6)
    captured = tmp_path / f"AIR_Consumer_0.{form}"
    kept = [row[0] for row in lines(captured)[1:]] if form == "csv" else [str(row["m"]) for row in letters(captured)]
    assert kept == ["2", "4"]
    dead = letters(next(tmp_path.glob("*.rejected.jsonl")))
    assert [(one["offset"], one["value"]) for one in dead] == [(2, '{"m": 3}'), (3, "{")]
    assert dead[0]["reason"] == "it has no column 'n'; it has m"
    # It goes on where it was, and only with the same transforms.
    publish(broker, [{"n": 9, "m": 6}])
    assert consume(broker, tmp_path, "filter", "select", **settings).rows == 1
    with pytest.raises(PositionMismatch, match=r"made with transform filter \+ select, not none;"):
        consume(broker, tmp_path, format=form)
    with pytest.raises(
        PositionMismatch, match=r"made with transform filter \+ select, not select; .*; set .*, not columns=m;"
    ):
        consume(broker, tmp_path, "select", transform_settings=("columns=m",), format=form)


class Widening:
    """A record becomes rows of which each has a column more than the one before."""

    name, version = "widening", "1"

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        pass

    def apply(self, given: Sequence[InputRow]) -> Sequence[Transformed]:
        return [
            [OutputRow({f"{row['name']}{column}": Number(str(column)) for column in range(width + 1)})
             for width in range(int(str(row["rows"])))]
            for row, _ in given
        ]  # fmt: skip


class Half:
    """Gives what can't be written: half of a pair of surrogates, outside of a text."""

    name, version = "half", "1"

    def apply(self, given: Sequence[InputRow]) -> Sequence[Transformed]:
        return [[OutputRow({"a": Json("\ud800")})] if row["n"] == "1" else [OutputRow(row)] for row, _ in given]


def test_a_row_that_cannot_be_written_is_rejected_alone(tmp_path: Path) -> None:
    log = Checkpoint("AIR", 0, "c", "t", "csv", raw=False, next_offset=0, transform="half")
    sink = TransformedSink(CsvFileSink(tmp_path / "AIR.csv", log), Half())
    assert sink.open() is None
    sink.start(0)
    sink.write([ConsumedRecord("AIR", 0, n, 0, None, b'{"n":%d}' % n) for n in range(3)])
    sink.commit(3)
    assert (sink.rows, sink.rejected) == (2, 1)
    sink.close()
    assert "half failed" in (tmp_path / "AIR.rejected.jsonl").read_text()


def test_rows_of_one_record_are_all_there_or_none(tmp_path: Path) -> None:
    """A widening stores a position in the middle of a batch: it must not lie in the middle of a record."""
    path = tmp_path / "AIR.csv"
    log = Checkpoint("AIR", 0, "c", "t", "csv", raw=False, next_offset=0, transform="widening")
    records = [
        ConsumedRecord("AIR", 0, offset, 0, None, json.dumps({"name": name, "rows": count}).encode())
        for offset, (name, count) in enumerate([("a", 1), ("b", 0), ("c", 3), ("d", 2)])
    ]
    for _ in range(2):  # the second run begins where the first one, never committed by anybody, was cut
        sink = TransformedSink(CsvFileSink(path, log), Widening())
        position = sink.open()
        if position is None:
            position = 0
            sink.start(0)
        sink.write(records[position:])
        sink.close()
    assert position == 3, "the last widening was at the record with two rows"
    sink = TransformedSink(CsvFileSink(path, log), Widening())
    resumed = sink.open()
    assert resumed == 3
    sink.write(records[resumed:])
    sink.commit(4)
    sink.close()
    table = lines(path)
    assert table[0] == ["a0", "c0", "c1", "c2", "d0", "d1"]
    assert ["".join(row) for row in table[1:]] == ["0", "0", "01", "012", "0", "01"]
