"""The guard, the language check, and scorers by their names."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.records import ConsumedRecord
from sensorstream.sentiment.base import Score, Scorer, Thresholds, WordScore
from sensorstream.sentiment.checked_scorer import CheckedScorer
from sensorstream.sentiment.language import language_of
from sensorstream.sentiment.scorers import open_scorer, scorer_names
from sensorstream.sentiment.transform import ScoreTransform
from sensorstream.sentiment.vader import VaderScorer
from sensorstream.serde.json import encode
from sensorstream.transforms.base import InputRow, Unusable

GERMAN = "Das Essen war wirklich gut und die Bedienung freundlich."
FOREIGN = [
    ("de", GERMAN),
    ("de", "Ich bin heute sehr traurig"),
    ("fr", "Le film était vraiment mauvais, je ne le recommande pas."),
    ("fr", "C'est magnifique, j'adore !"),
    ("es", "La comida estaba muy buena y el servicio excelente."),
    ("it", "Il film era bellissimo, lo consiglio a tutti"),
    ("pt", "Que filme horrível, não gostei nada"),
    ("nl", "Het eten was erg lekker en de bediening was vriendelijk"),
    ("sv", "Det var en riktigt bra film och jag är glad"),
    ("pl", "To był naprawdę okropny film"),
    ("tr", "Bu film gerçekten çok kötüydü"),
    ("ru", "Этот фильм был ужасным"),
    ("zh", "这部电影太好看了"),
    ("ja", "この映画はとても良かったです"),
    ("ko", "오늘 정말 행복해요"),
    ("ar", "هذا الفيلم رائع جدا"),
    ("hi", "यह फिल्म बहुत अच्छी है"),
    ("el", "\N{GREEK CAPITAL LETTER ETA} ταινία ήταν πολύ καλή"),
]


@pytest.mark.parametrize(("code", "text"), FOREIGN, ids=lambda value: ascii(value)[:20])
def test_foreign_texts_have_no_score(code: str, text: str) -> None:
    assert language_of(text) == code
    assert open_scorer().score_batch([text]) == [Score(None, None, None, None, None, "unsupported_language", code)]


@pytest.mark.parametrize(
    "text",
    [":)", "lol", "100", "!!!", "omg", "SUX", "http://t.co/abc @you", "\ud800", "\x00", "\N{GRINNING FACE}" * 50],
)
def test_a_text_that_cannot_be_told_is_scored(text: str) -> None:
    (score,) = open_scorer().score_batch([text])
    assert (score.status, score.language) == ("ok", None)
    assert score[:5] == VaderScorer().score(text)[:5]


def english() -> Iterator[tuple[str, list[str]]]:
    folder = os.environ.get("SENSORSTREAM_TEST_DATA")
    if folder is None:
        pytest.skip("SENSORSTREAM_TEST_DATA is not set: the texts are not part of the project")
    for name, column in (("vader_tweets/tweets_GroundTruth.txt", 2), ("goemotions/test.tsv", 0)):
        lines = (Path(folder) / name).read_bytes().decode().split("\n")
        yield name, [line.rstrip("\r").split("\t")[column] for line in lines if line]


def test_english_is_hardly_ever_turned_away() -> None:
    for name, texts in english():
        foreign = [text for text in texts if language_of(text) not in ("en", None)]
        assert len(foreign) / len(texts) < 0.01, f"{name}: {foreign[:5]}"


def test_the_model_can_be_read_ahead() -> None:
    """In a process of its own: here it may have been read long ago."""
    program = """
import sys, threading
from sensorstream.sentiment.scorers import open_scorer
from sensorstream.sentiment.transform import ScoreTransform
from sensorstream.transforms.base import get_ready

def begun():
    return [one for one in threading.enumerate() if one.name == "sensorstream-language-model"]

get_ready(ScoreTransform(open_scorer(check_language=False)))
assert not begun() and "numpy" not in sys.modules
scorer = open_scorer()
get_ready(ScoreTransform(scorer))
(thread,) = begun()
get_ready(ScoreTransform(scorer))
assert begun() in ([], [thread]) and "numpy" not in sys.modules
thread.join(60)
from sensorstream.sentiment import language_file
assert len(language_file._at_hand) == 1
print(scorer.score_batch(["Das Essen war wirklich gut."])[0].language, len(language_file._at_hand))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("de 0\n", "")


def test_the_check_can_be_switched_off() -> None:
    for scorer in (open_scorer("vader", {"language": "off"}), open_scorer(check_language=False)):
        (score,) = scorer.score_batch([GERMAN])
        assert (score.status, score.language, score.compound) == ("ok", None, VaderScorer().score(GERMAN).compound)
    assert open_scorer("vader", {"language": "on"}, check_language=False).check_language


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000"])
def test_an_empty_text_has_no_score(text: str) -> None:
    assert open_scorer().score_batch([text]) == [Score(None, None, None, None, None, "empty")]


def test_of_a_long_text_the_head_is_scored() -> None:
    scorer = open_scorer("vader", {"max_chars": "12", "language": "off"})
    exact, long, parted, one_word, blanks = scorer.score_batch(
        ["so very good", "so very good and bad", "very good badly", "x" * 500, " " * 50 + "bad"]
    )
    assert (exact.status, long.status) == ("ok", "truncated")
    assert long[:5] == exact[:5]
    assert parted.status == "truncated"
    assert parted.compound == VaderScorer().score("very good").compound, "no half word is scored"
    assert (one_word.status, one_word.compound) == ("truncated", 0)
    assert (blanks.status, blanks.label) == ("ok", "negative")
    assert [word.word for word in scorer.explain("so very good and bad")] == ["so", "very", "good"]
    (default,) = open_scorer().score_batch(["it is good " * 5000])
    assert (default.status, default.language, default.label) == ("truncated", "en", "positive")


class Moody:
    """A plug-in's scorer that does what plug-ins do."""

    name = "moody"
    version = "1"
    languages: frozenset[str] | None = None
    thresholds = Thresholds()

    def __init__(self) -> None:
        self.calls = 0

    def score_batch(self, texts: Sequence[str]) -> list[Score]:
        self.calls += 1
        return [score for text in texts for score in self._score(text)]

    def _score(self, text: str) -> list[Score]:
        if text == "raise":
            raise RuntimeError("no\nidea")
        if text == "exit":
            raise SystemExit(7)
        nan = float("nan")
        odd: Mapping[str, list[Score]] = {
            "none": [],
            "two": [Score(0, 0, 1, 0, "neutral")] * 2,
            "nan": [Score(nan, 0, 1, 0, "neutral")],
            "high": [Score(1.5, 0, 1, 0, "positive")],
            "text": [Score("0.5", 0, 1, 0, "positive")],  # type: ignore[arg-type]
            "label": [Score(0.5, 0, 1, 0, None)],
            "half": [Score(0.5, None, 1, 0, "positive")],
            "foreign": [Score(None, None, None, None, None, "unsupported_language", "de")],
        }
        return odd.get(text, [Score(0.5, 0.5, 0.5, 0.0, "positive")])


def test_one_bad_text_never_costs_the_others_their_scores() -> None:
    moody: Scorer = Moody()
    guarded = CheckedScorer(moody)
    texts = ["fine", "raise", "none", "nan", "high", "half", "two", "foreign", "", "fine", "text", "label", "exit"]
    scores = guarded.score_batch(texts)
    assert [score.status for score in scores] == [
        *("ok", "error", "error", "error", "error", "error", "error", "unsupported_language", "empty", "ok"),
        *("error", "error", "error"),
    ]
    assert scores[1].reason == "RuntimeError: no idea"
    assert scores[2].reason == "the scorer gave 0 scores for 1 text"
    assert scores[7].language == "de"
    assert scores[-1].reason == "SystemExit: 7", "a plug-in does not end the program"
    assert all((score.compound is None) == (score.status != "ok") for score in scores)
    assert (guarded.can_explain, guarded.explain("fine"), guarded.check_language) == (False, [], False)


def test_an_explanation_that_fails_is_one_line() -> None:
    class Mute(VaderScorer):
        def explain(self, text: str) -> list[WordScore]:
            raise RuntimeError("no\nwords")

    with pytest.raises(SensorstreamError, match="can't explain this text: RuntimeError: no words"):
        CheckedScorer(Mute()).explain("good")


def test_a_batch_is_scored_in_one_call() -> None:
    moody = Moody()
    assert len(CheckedScorer(moody).score_batch(["fine"] * 50)) == 50
    assert moody.calls == 1
    assert CheckedScorer(moody).score_batch([]) == []


def test_the_figures_of_a_plug_in_become_plain_numbers() -> None:
    """A model's figures are numpy's: their ``repr`` is no JSON, and some of them no JSON writer takes."""

    class OfNumpy(Moody):
        def score_batch(self, texts: Sequence[str]) -> list[Score]:
            return [Score(np.float64(0.5), np.float32(0.5), 0, 1, "positive") for _ in texts]  # type: ignore[arg-type]

    (score,) = CheckedScorer(OfNumpy()).score_batch(["fine"])
    assert [type(figure) for figure in score[:4]] == [float] * 4
    record = ConsumedRecord("POSTS", 0, 0, 0, None, None)
    (answer,) = ScoreTransform(CheckedScorer(OfNumpy())).apply([InputRow({"text": "fine"}, record)])
    assert not isinstance(answer, Unusable)
    assert json.loads(encode(answer[0].row))["compound"] == 0.5


def test_a_plug_in_that_gives_no_list_at_all_is_an_error_of_each_text() -> None:
    class Nothing(Moody):
        def score_batch(self, texts: Sequence[str]) -> list[Score]:
            return None  # type: ignore[return-value]

    scores = CheckedScorer(Nothing()).score_batch(["fine", "good"])
    assert [score.status for score in scores] == ["error", "error"]


def test_batches_do_not_change_scores() -> None:
    texts = ["good", "", "bad " * 9000, GERMAN, "it is not good", "\x00"] * 3
    random.Random(1).shuffle(texts)
    scorer = open_scorer()
    assert scorer.score_batch(texts) == [scorer.score_batch([text])[0] for text in texts]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("vadr", {}, "did you mean 'vader'"),
        ("quite-else", {}, "there are: vader, vader\\+clean"),
        ("vader", {"language": "maybe"}, "on or off"),
        ("vader", {"max_chars": "0"}, "1 or more"),
        ("vader", {"max_chars": "many"}, "1 or more"),
        ("vader", {"colour": "red"}, "no option 'colour'"),
    ],
)
def test_what_is_wrong_is_named(name: str, options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_scorer(name, options)


def install(folder: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a plug-in, as pip would: a module, and the metadata that name its entry point."""
    (folder / "moody_scorer.py").write_text(
        "from sensorstream.sentiment.vader import VaderScorer\n"
        "def make(options):\n"
        "    scorer = VaderScorer()\n"
        "    scorer.name, scorer.languages = 'moody', None\n"
        "    return scorer\n"
        "def broken(options):\n"
        "    raise RuntimeError('no model here')\n",
        encoding="utf-8",
    )
    info = folder / "moody_scorer-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moody-scorer\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[sensorstream.scorers]\n{name} = {value}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "moody_scorer", raising=False)


def test_a_plug_in_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "moody", "moody_scorer:make", monkeypatch)
    assert "moody" in scorer_names()
    scorer = open_scorer("moody")
    assert scorer.name == "moody"
    assert scorer.score_batch([GERMAN])[0].status == "ok", "it knows all languages"


@pytest.mark.parametrize(
    ("name", "value", "asked", "says"),
    [
        ("vader", "moody_scorer:make", "other", "calls itself 'vader'"),
        ("moody", "moody_scorer:broken", "moody", "no model here"),
        ("moody", "moody_scorer:absent", "moody", "can't be opened"),
        ("moody", "absent_module:make", "moody", "can't be opened"),
    ],
)
def test_a_plug_in_that_cannot_be_is_refused(
    name: str, value: str, asked: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, name, value, monkeypatch)
    with pytest.raises(UsageError, match=says):
        open_scorer(asked)
    assert open_scorer("vader").name == "vader", "the one built in stays what it is"
