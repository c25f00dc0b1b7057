"""Plug-ins are plain functions and classes: they are tested without Kafka."""

from marine import line_protocol, nmea
from marine.beaufort import make as beaufort
from marine.emoticons import make as emoticons

from sensorstream.records import ConsumedRecord, Number
from sensorstream.sources.plug_in import Unreadable
from sensorstream.transforms.base import InputRow, Unusable

WIND = "$WIMWV,214.8,R,5.2,M,A*28"


def record(value: bytes = b"{}") -> ConsumedRecord:
    return ConsumedRecord("AIR", 0, 7, 1690848000000, None, value, ())


def test_nmea() -> None:
    assert list(nmea.rows(iter([f"{WIND}\r\n", "\r\n", "$WIMTW,19.52,C*32\n"]))) == [
        {"talker": "WI", "sentence": "MWV", "angle": 214.8, "reference": "R", "speed": 5.2, "unit": "M", "valid": "A"},
        {"talker": "WI", "sentence": "MTW", "temperature": 19.52, "unit": "C"},
    ]
    for text in ("hello", "$WIMWV,214.8,R,5.2,M,A*00", "$GPXXX*4F", "$WIMTW,19.52*5D", "$WIMTW,warm,C*1A"):
        (row,) = nmea.rows(iter([text]))
        assert isinstance(row, Unreadable) and row.text == text, row


def test_line_protocol() -> None:
    row = {"PM 2.5": 12, "station": 'Tai"pei', "ok": True, "gone": None}
    assert line_protocol.line(row, record()) == 'AIR PM\\ 2.5=12.0,station="Tai\\"pei",ok=true 1690848000000000000'


def test_beaufort() -> None:
    made = beaufort({})
    rows = [InputRow({"speed": Number(speed)}, record()) for speed in ("0.2", "5.5", "40")]
    answers = made.apply([*rows, InputRow({}, record())])
    assert [one[0].row["beaufort"] for one in answers[:3]] == ["0", "4", "12"]
    assert isinstance(answers[3], Unusable)


def test_emoticons() -> None:
    assert [score.label for score in emoticons({}).score_batch(["bus late :(", "sun :) :D", "plain"])] == [
        "negative",
        "positive",
        "neutral",
    ]
