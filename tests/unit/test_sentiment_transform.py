"""Scoring as a transform: fields, collisions, and rows without a text."""

import json
from datetime import datetime
from importlib.metadata import entry_points

import pytest

from sensorstream.errors import UsageError
from sensorstream.records import ConsumedRecord, Json, Number, Row
from sensorstream.sentiment.transform import FIELDS, make
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable

GERMAN = "Das Essen war wirklich gut und die Bedienung freundlich."


def rows(*given: Row) -> list[InputRow]:
    return [InputRow(row, ConsumedRecord("POSTS", 1, 40 + n, 0, b"k", b"{}")) for n, row in enumerate(given)]


def apply(*given: Row, **options: str) -> list[Transformed]:
    return list(make(options).apply(rows(*given)))


def one(transformed: Transformed) -> Row:
    assert not isinstance(transformed, Unusable)
    (output,) = transformed
    assert isinstance(output, OutputRow)
    assert (output.key, output.timestamp_ms) == (None, None), "key and timestamp of the post are kept"
    return output.row


def test_a_post_keeps_its_fields_and_gets_its_scores() -> None:
    row = one(apply({"id": Number("0"), "page": "p", "text": "It is good!", "tags": Json('["a"]')})[0])
    assert list(row) == ["id", "page", "text", "tags", *FIELDS]
    assert (row["id"], row["tags"]) == ("0", '["a"]')
    assert (row["compound"], row["pos"], row["label"], row["language"]) == ("0.4926", "0.615", "positive", "en")
    assert type(row["compound"]) is Number
    assert type(row["scorer"]) is Json
    assert json.loads(row["scorer"]) == {
        "name": "vader",
        "version": "3.3.2",
        "thresholds": {"positive": 0.05, "negative": -0.05},
    }
    assert (row["status"], row["reason"]) == ("ok", None)
    assert (row["source_topic"], row["source_partition"], row["source_offset"]) == ("POSTS", "1", "40")
    assert type(row["source_offset"]) is Number
    moment = str(row["scored_at"])
    assert moment.endswith("Z")
    assert datetime.fromisoformat(moment).utcoffset() is not None


def test_only_the_moment_differs_when_it_is_done_again() -> None:
    post: Row = {"text": "It is good!"}
    first, second = (dict(one(apply(post)[0])) for _ in range(2))
    del first["scored_at"], second["scored_at"]
    assert first == second


def test_a_figure_and_a_partition_keep_their_own_letters() -> None:
    row = one(apply({"text": "nothing"})[0])
    assert (row["neu"], row["pos"], row["source_partition"]) == ("1.0", "0.0", "1")
    again = one(apply({"text": "nothing"})[0])
    assert (again["neu"], again["source_partition"]) == ("1.0", "1")


def test_rows_without_a_score() -> None:
    statuses = [one(answer)["status"] for answer in apply({"text": ""}, {"text": None}, {"text": GERMAN})]
    assert statuses == ["empty", "empty", "unsupported_language"]
    row = one(apply({"text": GERMAN})[0])
    assert (row["compound"], row["label"], row["language"]) == (None, None, "de")


def test_rows_without_a_text_are_unusable_and_cost_nobody_else() -> None:
    answers = apply({"text": "good"}, {"body": "x"}, {"text": True}, {"text": Json("{}")}, {"text": Number("7")}, {})
    assert [isinstance(answer, Unusable) for answer in answers] == [False, True, True, True, False, True]
    assert answers[1] == Unusable("there is no field 'text'")
    assert answers[2] == Unusable("the field 'text' is a truth value, not a text")
    assert one(answers[4])["source_offset"] == "44", "each answer belongs to its own row"
    assert apply() == []


def test_fields_of_the_same_name_are_kept_beside_ours() -> None:
    row = one(apply({"text": "good", "label": "mine", "original_label": "older", "status": Number("3")})[0])
    assert (row["label"], row["original_label"], row["original_original_label"]) == ("positive", "older", "mine")
    assert row["original_status"] == "3"
    again = one(apply(row)[0])
    assert again["original_compound"] == row["compound"]
    assert set(row) - set(FIELDS) <= set(again), "a scored row can be scored again, and loses nothing"


def test_options() -> None:
    row = one(apply({"body": "It isn\u2019t good"}, text_field="body", scorer="vader+clean", positive="0.3")[0])
    assert row["label"] == "negative"
    assert json.loads(str(row["scorer"]))["thresholds"]["positive"] == 0.3
    with pytest.raises(UsageError, match="no option"):
        make({"text_feild": "body"})


def test_it_is_installed_as_a_transform() -> None:
    (point,) = entry_points(group="sensorstream.transforms", name="score")
    assert point.load() is make
