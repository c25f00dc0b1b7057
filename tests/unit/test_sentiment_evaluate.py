"""Labelled files, the arithmetic of an evaluation held against scikit-learn's, and ``sentiment evaluate``."""

import json
import math
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from running import cli, ok
from sensorstream.errors import DataError, ExitCode, SensorstreamError, SourceError, UsageError
from sensorstream.sentiment.base import LABELS, Label, Score, Thresholds
from sensorstream.sentiment.evaluate import UNSCORED, evaluate, measure
from sensorstream.sentiment.labelled import EMOTIONS, LabelledFile, LabelledOptions, LabelledText
from sensorstream.sources.formats import SourceForm

CUT = Thresholds()


class Says:
    """A scorer that answers what the texts themselves say: a number, or the name of a status."""

    name, version, languages, thresholds = "says", "1", None, CUT

    def score_batch(self, texts: Sequence[str]) -> list[Score]:
        return [self.answer(text) for text in texts]

    def answer(self, text: str) -> Score:
        if text in ("empty", "unsupported_language", "error"):
            return Score(None, None, None, None, None, text)  # type: ignore[arg-type]
        compound = float(text)
        return Score(compound, 0.0, 1.0, 0.0, CUT.label(compound))


def rows(path: Path, **options: Any) -> tuple[list[LabelledText], LabelledFile]:
    file = LabelledFile(path, LabelledOptions(**options))
    return list(file.read()), file


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def real(name: str) -> Path:
    folder = os.environ.get("SENSORSTREAM_TEST_DATA")
    if folder is None:
        pytest.skip("SENSORSTREAM_TEST_DATA is not set: the rated texts are not part of the project")
    return Path(folder) / name


# Labelled files


def test_words_are_labels_and_numbers_are_not(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,label\na, Positive\nb,neg\nc,NEU\nd,1\ne,\nf,good\n")
    found, file = rows(path)
    assert [(row.line, row.text, row.label, row.rating) for row in found] == [
        (2, "a", "positive", None),
        (3, "b", "negative", None),
        (4, "c", "neutral", None),
    ]
    assert [(one.line, one.reason.split(" is not ")[0]) for one in file.rejected_rows] == [
        (5, "'1'"),
        (6, "''"),
        (7, "'good'"),
    ]
    assert file.rejected == 3
    assert file.gold_cut is None


def test_other_values_are_explained_or_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text;sentiment\na;4\nb;0\nc;Mixed\nd;pos\n")
    meanings = {"4": "positive", "0": "negative", "mixed": "exclude"}
    found, file = rows(path, labels=meanings, label_column="sentiment", form=SourceForm(delimiter=";"))
    assert [row.label for row in found] == ["positive", "negative", "positive"]
    assert (file.excluded, file.rejected) == ({"Mixed": 1}, 0)


def test_ratings_become_labels_at_the_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "text\tstars\na\t5\nb\t3.1\nc\t3\nd\t1\ne\t9\nf\tnan\ng\tfive\n")
    found, file = rows(path, rating_column="stars", rating_scale=2, rating_centre=3, gold_cut=0.1)
    assert [(row.label, row.rating) for row in found] == [
        ("positive", 1.0),
        ("neutral", pytest.approx(0.05)),
        ("neutral", 0.0),
        ("negative", -1.0),
    ]
    assert [one.line for one in file.rejected_rows] == [6, 7, 8]
    assert "1 to 5" in file.rejected_rows[0].reason


def test_a_label_goes_before_the_rating_that_stands_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,label,rating\na,neutral,0.9\n")
    assert rows(path, label_column="label", rating_column="rating")[0] == [LabelledText(2, "a", "neutral", 0.9)]


def test_json_lines(tmp_path: Path) -> None:
    lines = ['{"text": "a", "label": "pos"}', "", '{"text": "b"}', "[1]", "{", '{"text": 1, "label": "pos"}']
    lines += ['{"text": "c\\u2028d", "label": true}', '{"text": "e\\n\\tf", "label": 2}']
    found, file = rows(written(tmp_path / "a.jsonl", "\n".join(lines)), labels={"2": "positive"})
    assert [(row.line, row.text) for row in found] == [(1, "a"), (8, "e\n\tf")]
    assert [one.line for one in file.rejected_rows] == [3, 4, 5, 6, 7]


def test_quoted_cells_may_hold_lines(tmp_path: Path) -> None:
    found, _ = rows(written(tmp_path / "a.csv", 'text,label\n"two\nlines, ""quoted""",pos\nnext,neg\n'))
    assert [(row.line, row.text) for row in found] == [(2, 'two\nlines, "quoted"'), (4, "next")]


def test_goemotions_by_the_groups_of_its_authors(tmp_path: Path) -> None:
    assert len(EMOTIONS) == 28
    assert (EMOTIONS[0], EMOTIONS[26], EMOTIONS[27]) == ("admiration", "surprise", "neutral")
    content = 'a "b\t0,15\tx1\nb\t2\tx2\nc\t27\tx3\nd\t26\tx4\ne\t0,2\tx5\nf\t0,27\tx6\ng\t28\tx7\nh\t\tx8\ni\n'
    path = written(tmp_path / "a.tsv", content)
    found, file = rows(path, format="goemotions")
    assert [(row.text, row.label) for row in found] == [('a "b', "positive"), ("b", "negative"), ("c", "neutral")]
    assert file.excluded == {"ambiguous": 1, "mixed": 2}
    assert [one.line for one in file.rejected_rows] == [7, 8, 9]
    # The names beside the file go before the usual ones.
    written(tmp_path / "labels.txt", "anger\njoy\n")
    assert [row.label for row in rows(path, format="goemotions")[0]] == []
    written(tmp_path / "labels.txt", "anger\nlust\n")
    with pytest.raises(SourceError, match="lust"):
        rows(path, format="goemotions")


def test_ratings_as_vaders_authors_publish_them(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", '1\t2.5\tgood, "quoted\ttab\r\n2\t-0.1\tmeh\r\n3\t4.5\ttoo high\r\nno tabs\r\n')
    found, file = rows(path, format="vader")
    assert found == [
        LabelledText(1, 'good, "quoted\ttab', "positive", 0.625),
        LabelledText(2, "meh", "neutral", -0.025),
    ]
    assert [one.line for one in file.rejected_rows] == [3, 4]
    assert (file.gold_cut, file.rating_scale) == (0.05, 4.0)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("a.txt", {}, "--format"),
        ("a.csv", {"text_column": "tweet"}, "--text-column"),
        ("a.csv", {"label_column": "gold"}, "--label-column"),
        ("a.csv", {"rating_column": "stars"}, "--rating-column"),
        ("a.csv", {"rating_scale": 2}, "--rating-column"),
        ("a.csv", {"rating_column": "label", "rating_scale": 0}, "rating scale"),
        ("a.csv", {"gold_cut": 1.5}, "gold cut"),
        ("a.csv", {"gold_cut": math.nan}, "gold cut"),
        ("a.csv", {"format": "vader", "label_column": "x"}, "fixes"),
        ("a.jsonl", {"form": SourceForm(delimiter=";")}, "--delimiter: not for the format jsonl"),
        ("a.csv", {"form": SourceForm(encoding="utf-9")}, "encoding"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = written(tmp_path / name, "text,label\na,pos\n")
    with pytest.raises(UsageError, match=says):
        rows(path, **options)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "vader"])
def test_an_unreadable_file_is_wrong_data(kind: Any, tmp_path: Path) -> None:
    for path, says in ((tmp_path / "no", "no file"), (tmp_path, "folder"), (Path("a\0b"), "can't be read")):
        with pytest.raises(SourceError, match=says):
            rows(path, format=kind)
    with pytest.raises(SourceError, match="line 2"):
        path = tmp_path / "latin"
        path.write_bytes(b"1\t1\tfine\n2\t1\tna\xefve\n")
        rows(path, format="vader")


# The arithmetic


def sample(seed: int, labels: Sequence[Label], answers: Sequence[str]) -> list[LabelledText]:
    chance = random.Random(seed)
    return [LabelledText(line, chance.choice(answers), chance.choice(labels)) for line in range(1, 2501)]


@pytest.mark.parametrize(
    ("labels", "answers"),
    [
        (LABELS, ("-0.5", "0", "0.7")),
        (LABELS, ("-0.5", "0", "0.7", "empty", "unsupported_language", "error")),
        (("negative", "positive"), ("-0.5", "0.7")),
        (("negative", "positive"), ("-0.5", "0.7", "0", "error")),
        (("neutral",), ("0.7",)),
        (LABELS, ("empty",)),
    ],
    ids=str,
)
def test_figures_are_those_of_scikit_learn(labels: Sequence[Label], answers: Sequence[str]) -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

    texts = sample(7, labels, answers)
    found = measure(texts, Says())
    gold = [row.label for row in texts]
    given = [Says().answer(row.text).label or UNSCORED for row in texts]
    assert found.accuracy == pytest.approx(accuracy_score(gold, given))
    occurring = [label for label in LABELS if label in gold or label in given]
    expected = f1_score(gold, given, labels=occurring, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(expected)
    figures = precision_recall_fscore_support(gold, given, labels=LABELS, zero_division=math.nan)
    for at, label in enumerate(LABELS):
        one = found.classes[label]
        for value, other in zip((one.precision, one.recall, one.f1), (column[at] for column in figures), strict=False):
            assert (math.isnan(other) and value is None) or value == pytest.approx(other)
        assert one.support == figures[3][at]
    matrix = confusion_matrix(gold, given, labels=[*LABELS, UNSCORED])[:3]
    assert [list(row.values()) for row in found.confusion.values()] == matrix.tolist()
    assert sum(found.statuses.values()) == found.texts == len(texts)
    assert found.scored == sum(found.predicted.values()) == found.statuses["ok"]


def test_no_answer_is_a_miss_and_never_neutral() -> None:
    texts = [LabelledText(1, "0", "neutral"), LabelledText(2, "empty", "neutral"), LabelledText(3, "error", "positive")]
    found = measure(texts, Says())
    assert found.predicted == {"negative": 0, "neutral": 1, "positive": 0}
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.classes["neutral"].recall == 0.5
    assert found.confusion["neutral"][UNSCORED] == found.confusion["positive"][UNSCORED] == 1
    assert (found.statuses["empty"], found.statuses["error"]) == (1, 1)


def test_what_is_no_score_is_an_error() -> None:
    found = measure([LabelledText(1, "nan", "neutral"), LabelledText(2, "inf", "positive")], Says())
    assert (found.scored, found.statuses["error"], found.statuses["ok"]) == (0, 2, 0)


def test_pearson_is_over_what_is_rated_and_scored() -> None:
    import numpy as np

    chance = random.Random(3)
    ratings = [chance.uniform(-1, 1) for _ in range(3000)]
    answers = [f"{max(-1.0, min(1.0, rating + chance.gauss(0, 0.5)))}" for rating in ratings]
    texts = [
        LabelledText(1, answer, CUT.label(rating), rating) for rating, answer in zip(ratings, answers, strict=True)
    ]
    unheard = [LabelledText(1, "empty", "positive", 0.9), LabelledText(1, "0.9", "negative", None)]
    found = measure([*texts, *unheard], Says())
    assert found.pearson == pytest.approx(float(np.corrcoef(ratings, list(map(float, answers)))[0, 1]), abs=1e-12)
    assert found.pearson_texts == 3000
    same = [LabelledText(1, "0.5", "positive", rating) for rating in (0.1, 0.2)]
    assert measure(same, Says()).pearson is None
    assert measure(texts[:1], Says()).pearson is None


def test_the_worst_errors_are_the_farthest_first_in_the_file() -> None:
    texts = [
        LabelledText(1, "0.9", "positive"),
        LabelledText(2, "0.9", "negative"),
        LabelledText(3, "0.2", "neutral"),
        LabelledText(4, "0.9", "negative"),
        LabelledText(5, "-0.5", "positive", 0.06),
        LabelledText(6, "empty", "positive"),
    ]
    assert [one.line for one in measure(texts, Says(), worst=3).worst] == [2, 4, 5]
    assert [one.line for one in measure(texts, Says(), worst=1).worst] == [2]
    assert [one.line for one in measure(texts, Says(), worst=9).worst] == [2, 4, 5, 3]
    assert measure(texts, Says(), worst=0).worst == ()
    assert measure(texts, Says(), worst=3).worst[2].distance == pytest.approx(0.56)


def test_a_scorer_that_loses_texts_is_found_out() -> None:
    class Loses(Says):
        def score_batch(self, texts: Sequence[str]) -> list[Score]:
            return super().score_batch(texts)[1:]

    with pytest.raises(SensorstreamError, match="0 scores for 1 text"):
        measure([LabelledText(1, "0", "neutral")], Loses())


def test_a_file_without_a_usable_row_is_wrong_data(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,label\na,1\n")
    with pytest.raises(DataError, match="line 2: '1' is not a label"):
        evaluate(LabelledFile(path), Says())


# The real thing


def test_vader_has_the_figures_that_vadersentiment_itself_has() -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    from sensorstream.sentiment.scorers import open_scorer

    path = real("vader_tweets/tweets_GroundTruth.txt")
    found = evaluate(
        LabelledFile(path, LabelledOptions(format="vader")), open_scorer("vader", check_language=False), worst=1
    )
    import numpy as np
    from sklearn.metrics import accuracy_score, f1_score

    with path.open(encoding="utf-8", newline="\r\n") as lines:
        parts = [line.removesuffix("\r\n").split("\t", 2) for line in lines]
    gold = np.array([float(rating) / 4 for _, rating, _ in parts])
    analyser = SentimentIntensityAnalyzer()
    compound = np.array([analyser.polarity_scores(text)["compound"] for _, _, text in parts])
    cut = [np.where(values >= 0.05, 1, np.where(values <= -0.05, -1, 0)) for values in (gold, compound)]
    assert found.texts == found.scored == len(parts) == 4200
    assert found.accuracy == pytest.approx(accuracy_score(*cut), abs=1e-12)
    assert found.macro_f1 == pytest.approx(f1_score(*cut, average="macro"), abs=1e-12)
    assert found.pearson == pytest.approx(float(np.corrcoef(gold, compound)[0, 1]), abs=1e-9)
    assert (round(found.accuracy, 3), round(found.macro_f1, 3), round(found.pearson or 0, 3)) == (0.899, 0.740, 0.872)
    assert (found.gold_cut, found.rejected) == (0.05, 0)


def test_goemotions_has_the_figures_that_the_docs_say() -> None:
    from sensorstream.sentiment.scorers import open_scorer

    options = LabelledOptions(format="goemotions")
    found = evaluate(LabelledFile(real("goemotions/test.tsv"), options), open_scorer("vader", check_language=False))
    assert found.gold == {"negative": 1070, "neutral": 1606, "positive": 1863}
    assert found.excluded == {"ambiguous": 677, "mixed": 211}
    assert found.rejected == 0
    assert (round(found.accuracy, 3), round(found.macro_f1, 3)) == (0.648, 0.625)
    assert found.pearson is None


# The command


def test_the_command_tells_people_and_scripts(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,label\nI love it,pos\nI hate it,neg\n,neutral\nIch liebe es,pos\n")
    result = ok("sentiment", "evaluate", str(path))
    assert list(result) == [
        *("scorer", "texts", "scored", "statuses", "gold", "predicted", "accuracy", "macro_f1", "classes"),
        *("confusion", "pearson", "pearson_texts", "texts_per_s", "worst", "file", "format", "gold_cut"),
        *("rating_scale", "rating_centre", "rejected", "rejected_rows", "excluded"),
    ]
    assert result["scorer"] == {
        "name": "vader",
        "version": "3.3.2",
        "thresholds": {"positive": 0.05, "negative": -0.05},
    }
    assert (result["texts"], result["scored"], result["statuses"]["empty"], result["pearson"]) == (4, 3, 1, None)
    assert result["statuses"]["unsupported_language"] == 0, "the language check is off"
    assert [one["line"] for one in result["worst"]] == [5]
    shown = cli("sentiment", "evaluate", str(path), "--min-macro-f1", "0.1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "counted as missed: 1 empty" in shown.stdout


def test_under_the_minimum_is_exit_code_5(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,label\nI love it,neg\nI hate it,neg\n")
    done = cli("sentiment", "evaluate", str(path), "--min-macro-f1", "0.9", "--output", "json")
    assert done.returncode == ExitCode.THRESHOLD
    answer = json.loads(done.stdout)
    assert answer["status"] == "error"
    assert answer["result"]["accuracy"] == 0.5
    assert answer["errors"][0]["exit_code"] == 5
    assert done.stderr == "error: macro-F1 0.3333 of vader is under 0.9\n"


def test_rows_that_can_not_be_used_are_told_and_make_it_partial(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,label\nI love it,pos\nx,1\ny\n")
    done = cli("sentiment", "evaluate", str(path), "--output", "json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["status"], answer["result"]["texts"]) == (1, "partial", 1)
    assert [one["line"] for one in answer["result"]["rejected_rows"]] == [3, 4]
    assert "2 rows could not be used; the first, line 3: '1' is not a label" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["no.csv"], ExitCode.WRONG_DATA, "no.csv"),
        (["a.csv", "--label", "4"], ExitCode.USAGE, "VALUE=LABEL"),
    ],
)
def test_failures_are_one_line(arguments: list[str], code: ExitCode, says: str, tmp_path: Path) -> None:
    written(tmp_path / "a.csv", "text,label\nI love it,pos\n")
    done = cli("sentiment", "evaluate", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done.stderr
    assert says in done.stderr


def test_a_labelled_file_is_described_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('# tweets\n1\tsay "no"\tpositive\n2\t"so"\tneg\n', encoding="utf-8")
    form = SourceForm(columns=("id", "text", "label"), comment="#")
    file = LabelledFile(path, LabelledOptions(form=form))
    assert [(row.line, row.text, row.label) for row in file.read()] == [
        (2, 'say "no"', "positive"),
        (3, '"so"', "negative"),
    ]
