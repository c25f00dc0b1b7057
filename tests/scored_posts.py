"""Posts as ``sentiment stream`` has scored them."""

from sensorstream.records import ConsumedRecord, Number, Value
from sensorstream.sentiment.scorers import open_scorer
from sensorstream.sentiment.transform import ScoreTransform
from sensorstream.serde import json as json_serde
from sensorstream.transforms.base import InputRow, OutputRow

TOPIC = "SCORED"
TRANSFORM = ScoreTransform(open_scorer(check_language=False))
GOOD, BAD, PLAIN = "I love this, it is great!", "This is horrible, I hate it.", "The bus leaves at nine."


def scored(text: str, page: str = "one", at_ms: int = 0, **fields: str) -> bytes:
    """The value of a scored record, as ``sentiment stream`` writes it."""
    record = ConsumedRecord("POSTS", 0, 0, at_ms, None, b"")
    row: dict[str, Value] = {"id": Number("1"), "page": page, "text": text, **fields}
    (made,) = TRANSFORM.apply([InputRow(row, record)])
    assert isinstance(made, tuple)
    (output,) = made
    assert isinstance(output, OutputRow)
    return json_serde.encode(output.row)
