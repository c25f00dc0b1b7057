"""A dump of posts with names of its own: its id, page, time and text are carried through to windows and views."""

import json

import pytest

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import UsageError
from sensorstream.pipelines.aggregate.aggregate import aggregate
from sensorstream.pipelines.aggregate.job import AggregateOptions, make_job
from sensorstream.pipelines.aggregate.targets import Kept
from sensorstream.pipelines.scored_feed.job import FeedJob
from sensorstream.pipelines.scored_feed.watch import watch
from sensorstream.pipelines.start_at import StartAt
from sensorstream.records import ConsumedRecord, Number, Row, Value
from sensorstream.sentiment.feed import PostFields, ScoredPost
from sensorstream.sentiment.transform import FIELDS, make
from sensorstream.serde import json as json_serde
from sensorstream.transforms.base import InputRow, OutputRow, Unusable

DUMP = {
    "id_field": "status_id",
    "page_field": "site",
    "time_field": "status_published",
    "time_format": "mdy",
    "text_field": "status_message",
}
NAMES = ["id", "page", "text", "time"]


def post(at: int, **more: Value) -> Row:
    return {
        "status_id": f"7_{at}",
        "site": "harbour" if at % 2 else "market",
        "status_message": "I love it" if at % 2 else "I hate it",
        "status_published": f"3/1/2016 10:0{at}:00",
        **more,
    }


def score(row: Row, **options: str) -> Row | Unusable:
    record = ConsumedRecord("POSTS", 0, 3, 9, None, b"")
    (answer,) = make(options).apply([InputRow(row, record)])
    if isinstance(answer, Unusable):
        return answer
    (output,) = answer
    assert isinstance(output, OutputRow)
    return output.row


def scored(row: Row, **options: str) -> Row:
    answer = score(row, **options)
    assert not isinstance(answer, Unusable), answer
    return answer


def refused(row: Row, **options: str) -> str:
    answer = score(row, **options)
    assert isinstance(answer, Unusable)
    return answer.reason


def test_a_scored_row_has_them_under_the_usual_names_beside_its_own() -> None:
    row = scored(post(1), **DUMP)
    assert list(row) == [*post(1), *NAMES, *FIELDS]
    assert [row[name] for name in NAMES] == ["7_1", "harbour", "I love it", "2016-03-01T10:01:00Z"]
    assert row["status_published"] == "3/1/2016 10:01:00", "what the post says stays as it was"


def test_values_are_carried_as_they_are_and_null_stays_null() -> None:
    row = scored(post(1, status_id=Number("12.50"), site=None, status_published=None), **DUMP)
    assert (row["id"], row["page"], row["time"]) == ("12.50", None, None)
    assert type(row["id"]) is Number
    row = scored(post(1, status_published=""), **DUMP)
    assert row["time"] is None, "CSV knows no other null"


def test_a_post_own_fields_of_these_names_are_kept() -> None:
    own: Row = {"id": Number("1"), "time": "teatime", "text": "a headline", "original_id": "older"}
    row = scored(post(1, **own), **DUMP)
    assert (row["id"], row["original_id"], row["original_original_id"]) == ("7_1", "older", "1")
    assert (row["time"], row["original_time"]) == ("2016-03-01T10:01:00Z", "teatime")
    assert (row["text"], row["original_text"]) == ("I love it", "a headline")


def test_names_that_are_the_usual_ones_change_nothing_but_the_time() -> None:
    given: Row = {"id": "a", "page": "p", "time": Number("1456826460"), "text": "fine"}
    row = scored(given, id_field="id", page_field="page", text_field="text")
    assert list(row) == [*given, *FIELDS]
    row = scored(given, time_field="time")
    assert (row["time"], row["original_time"]) == ("2016-03-01T10:01:00Z", "1456826460")


def test_a_time_of_two_fields_and_of_a_zone() -> None:
    given: Row = {"day": "1.3.2016", "at": "11:01", "text": "fine"}
    options = {"time_field": "day,at", "time_format": "dmy", "time_zone": "Europe/Berlin"}
    assert scored(given, **options)["time"] == "2016-03-01T10:01:00Z"
    assert scored({**given, "day": None, "at": ""}, **options)["time"] is None
    assert refused({**given, "at": None}, **options) == "the field 'day,at' is no time: day,at holds no time"
    assert refused({"day": "1.3.2016", "text": "fine"}, **options) == "there is no field 'at'"


@pytest.mark.parametrize("field", ["status_id", "site", "status_published", "status_message"])
def test_a_row_without_a_field_that_was_named_is_unusable(field: str) -> None:
    row = {name: value for name, value in post(1).items() if name != field}
    assert refused(row, **DUMP) == f"there is no field {field!r}"


@pytest.mark.parametrize("wrong", ["soon", True, Number("1e400"), "2016-03-01"])
def test_a_time_that_is_none_is_unusable_and_says_where(wrong: Value) -> None:
    assert refused(post(1, status_published=wrong), **DUMP).startswith("the field 'status_published' is no time: ")


def test_what_is_wrong_is_told_before_anything_starts() -> None:
    with pytest.raises(UsageError, match="time format needs a time field"):
        make({"time_format": "iso"})
    with pytest.raises(UsageError, match="'d/m/Y' is not known"):
        make({"time_field": "t", "time_format": "d/m/Y"})
    with pytest.raises(UsageError, match="zone"):
        make({"time_field": "t", "time_zone": "Atlantis/Harbour"})
    with pytest.raises(UsageError, match="no option 'id_feild'"):
        make({"id_feild": "x"})


def test_windows_and_views_need_no_names_any_more() -> None:
    broker = MemoryBroker()
    broker.create_topic("SCORED", 1)
    client = MemoryClient(broker)
    with client.publisher() as publisher:
        for at in range(6):
            value = json_serde.encode(scored(post(at), **DUMP))
            publisher.publish("SCORED", value, partition=0, timestamp_ms=5_000_000 + at)
        publisher.flush(5)
    shown: list[ScoredPost] = []
    job = FeedJob("SCORED", StartAt("beginning"), stop_at_end=True)
    seen = watch(client, job, lambda feed, state, posts: shown.extend(posts))
    assert {page.page: page.posts for page in seen.pages} == {"market": 3, "harbour": 3}
    assert [post.text for post in shown[:2]] == ["I hate it", "I love it"]
    assert [post.time_ms for post in shown] == [1_456_826_400_000 + at * 60_000 for at in range(6)]

    options = AggregateOptions("SCORED", "2m", sentiment=True, time_column="time", exit_at_end=True)
    target = Kept()
    aggregate(client, make_job(load(environ={}), options), target)
    found = [(str(row["window_start"])[11:16], row["page"], row["count"]) for row in target.rows]
    assert found == [(f"10:0{at}", page, "1") for at in (0, 2, 4) for page in ("harbour", "market")]
    assert json.loads(str(target.rows[0]["label_shares"])) == {"positive": 1.0}


def test_a_view_takes_the_timestamp_where_time_holds_none() -> None:
    read = PostFields().reader()
    for time in (None, "half past nine", True, Number("1e400")):
        row = scored({"text": "fine", "time": time})
        assert read(ConsumedRecord("SCORED", 0, 0, 77_000, None, b""), row).time_ms == 77_000, time
