import io

import pytest
from rich.console import Console

from sensorstream.cli.narrator import Narrator
from sensorstream.cli.stream import show_stream
from sensorstream.cli.verify import _line as verdict_line
from sensorstream.events import Progress
from sensorstream.pipelines.stream.job import StreamResult
from sensorstream.pipelines.verify.verdict import TopicVerdict
from sensorstream.wording import counted, numbered, plural


def test_numbers_of_things_are_told_in_words() -> None:
    assert [counted(count, "row") for count in (0, 1, 2, 1440)] == ["0 rows", "1 row", "2 rows", "1,440 rows"]
    assert [numbered("broker", ones) for ones in ((2,), (1, 2))] == ["broker 2", "brokers 1, 2"]


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("dead letter", "dead letters"),
        ("entry", "entries"),
        ("day", "days"),
        ("process", "processes"),
        ("box", "boxes"),
    ],
)
def test_words_have_their_plural(one: str, many: str) -> None:
    assert plural(one) == many


def test_a_stream_tells_of_one_transaction() -> None:
    def told(number: int) -> str:
        out = io.StringIO()
        result = StreamResult("A", "B", "B_DEAD", "g", "end", number, number, number, number, 0, ())
        show_stream(Console(file=out, width=120), result)
        return out.getvalue()

    assert "1 dead letter, 1 transaction\n" in told(1)
    assert "2 dead letters, 2 transactions\n" in told(2)


def test_a_verdict_tells_of_one_row_in_one_file() -> None:
    def told(rows: int, *files: str) -> str:
        same = (0, 0, 0, 0, 0, 0, 0)
        return verdict_line(TopicVerdict("AIR", "a.csv", files, 2, rows, rows, *same, (), 0, (), (), (), None, True))

    assert told(1, "a") == "AIR: 1 of 1 row in 1 file, each exactly once"
    assert told(1440, "a", "b") == "AIR: 1,440 of 1,440 rows in 2 files, each exactly once"


def test_progress_tells_of_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensorstream.cli.narrator.PROGRESS_EVERY_S", -1.0)
    out = io.StringIO()
    narrator = Narrator(quiet=False, verbose=False, stream=out)
    narrator.tell(Progress("AIR", 1, 10))
    assert out.getvalue().startswith("AIR: 1 row of 10")
