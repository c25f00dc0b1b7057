"""``onnx:FOLDER``: small models that are trained and exported here, opened and run by the real libraries."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tokenizers import Tokenizer

from bench.exported_model import WORDS, Shape, posts, write
from sensorstream.errors import DataError, SensorstreamError, SourceError, UsageError
from sensorstream.records import ConsumedRecord
from sensorstream.sentiment.evaluate import measure
from sensorstream.sentiment.exported.scorer import MOST_THREADS, default_threads
from sensorstream.sentiment.labelled import LabelledText
from sensorstream.sentiment.scorers import open_scorer
from sensorstream.sentiment.transform import make
from sensorstream.transforms.base import InputRow

EXAMPLES = posts(200, seed=9)
TEXTS = [text for text, _ in EXAMPLES]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models") / "harbour-sentiment")


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(trained, tmp_path / "model"))


def changed(folder: Path, **config: object) -> str:
    path = folder / "config.json"
    said = {**json.loads(path.read_text()), **config}
    path.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
    return f"onnx:{folder}"


def test_its_scores_are_those_of_the_network_one_text_at_a_time(trained: Path) -> None:
    """Batches, with texts of all lengths filled up to the same one, change nothing but the rounding of the last digit.

    In what order the network adds up depends on the shape of its input and on the processor.
    """
    tokenizer = Tokenizer.from_file(str(trained / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(trained / "model.onnx"))
    scorer = open_scorer(f"onnx:{trained}")
    for text, score in zip(TEXTS, scorer.score_batch(TEXTS), strict=True):
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        logits = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
        negative, neutral, positive = np.exp(logits) / np.exp(logits).sum()
        assert score[:4] == pytest.approx((positive - negative, positive, neutral, negative), abs=2e-4)
        assert score.label == ("negative", "neutral", "positive")[int(logits.argmax())]
        assert (score.status, score.reason) == ("ok", None)
    for text, together in zip(TEXTS[:50], scorer.score_batch(TEXTS), strict=False):
        (alone,) = scorer.score_batch([text])
        assert alone[:4] == pytest.approx(together[:4], abs=1.5e-4)
        assert alone[4:] == together[4:]


def test_what_it_learned_is_measured_like_any_scorer(trained: Path) -> None:
    rows = [LabelledText(at, text, label) for at, (text, label) in enumerate(EXAMPLES, 1)]  # type: ignore[arg-type]
    found = measure(rows, open_scorer(f"onnx:{trained}", check_language=False))
    assert found.accuracy > 0.75
    assert (found.scorer.name, found.scorer.thresholds) == ("harbour-sentiment", None)
    assert found.statuses["ok"] == len(rows)


def test_name_and_digest_stand_in_each_scored_row(trained: Path) -> None:
    transform = make({"scorer": f"onnx:{trained}"})
    (answer,) = transform.apply([InputRow({"text": "superb"}, ConsumedRecord("POSTS", 0, 0, 0, None, b""))])
    assert not isinstance(answer, str)
    row = answer[0].row  # type: ignore[index]
    signature = json.loads(str(row["scorer"]))
    assert list(signature) == ["name", "version", "thresholds"]
    assert (signature["name"], signature["thresholds"]) == ("harbour-sentiment", None)
    assert len(signature["version"]) == 12
    assert row["label"] == "positive"


def test_everything_that_changes_scores_changes_the_version(folder: Path) -> None:
    def version(**options: str) -> str:
        return open_scorer(f"onnx:{folder}", options).version

    first = version()
    assert version(name="other", threads="1", positive="0.3", languages="en") == first
    assert version(labels="positive,neutral,negative") != first
    assert version(max_tokens="20") != first
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["brandnew"])
    tokenizer.save(str(folder / "tokenizer.json"))
    second = version()
    assert second != first
    (folder / "model.onnx_data").write_bytes(b"weights")
    assert version() != second, "the weights of large models lie beside them"


def test_long_empty_and_wild_texts(trained: Path) -> None:
    scorer = open_scorer(f"onnx:{trained}")
    texts = ["superb " * 500, "", " \n", "great \ud800 half", "\ud83d\ude00 great", "\x00", "z" * 30_000, "great"]
    statuses = [score.status for score in scorer.score_batch(texts)]
    assert statuses == ["truncated", "empty", "empty", "ok", "ok", "ok", "truncated", "ok"]
    assert scorer.score_batch([]) == []
    head = scorer.score_batch(["superb " * 500, "superb " * 5000])
    assert head[0].compound == head[1].compound, "the head alone is scored"


def test_the_user_says_what_labels_mean(folder: Path) -> None:
    name = changed(folder, id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"})
    with pytest.raises(UsageError, match="LABEL_0"):
        open_scorer(name)
    scorer = open_scorer(name, {"labels": "negative, neutral, positive"})
    assert [score.label for score in scorer.score_batch(["superb lovely", "awful sad"])] == ["positive", "negative"]
    with pytest.raises(DataError, match=r"the shape \(1, 3\), and there are 2 labels"):
        open_scorer(name, {"labels": "negative,positive"})


def test_thresholds_cut_the_compound_score_where_they_are_given(trained: Path) -> None:
    scorer = open_scorer(f"onnx:{trained}", {"positive": "0.999", "negative": "-1"})
    assert scorer.thresholds == (0.999, -1)
    by_cut = scorer.score_batch(TEXTS)
    assert {score.label for score in by_cut} <= {"neutral", "positive"}
    assert [score.compound for score in by_cut] == [
        s.compound for s in open_scorer(f"onnx:{trained}").score_batch(TEXTS)
    ]


def test_languages_that_the_user_names_are_looked_at(trained: Path) -> None:
    german = "Das Essen war wirklich gut und die Bedienung freundlich."
    assert open_scorer(f"onnx:{trained}").score_batch([german])[0].status == "ok", "nobody said which it knows"
    told = open_scorer(f"onnx:{trained}", {"languages": "en"}).score_batch([german])[0]
    assert (told.status, told.language) == ("unsupported_language", "de")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"thread": "1"}, "no option 'thread'"),
        ({"threads": "0"}, "threads=0 is no number of threads"),
        ({"max_tokens": "many"}, "max_tokens=many is no number of tokens"),
        ({"max_tokens": "65"}, "takes 64 tokens at the most, not 65"),
        ({"device": "tpu"}, "device=tpu is not known"),
        ({"device": "gpu"}, "device=gpu"),
        ({"languages": "English"}, "languages=English names no languages"),
        ({"positive": "-2"}, "-2 do not separate the labels"),
        ({"labels": ""}, "the label ''"),
    ],
)
def test_wrong_options_are_told_in_one_line(trained: Path, options: dict[str, str], says: str) -> None:
    if options.get("device") == "gpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError) as caught:
        open_scorer(f"onnx:{trained}", options)
    assert says in caught.value.message
    assert "\n" not in caught.value.message


def _cut(name: str, keep: float) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return spoil


def _put(name: str, data: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return spoil


def _gone(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _config(**config: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        changed(folder, **config)

    return spoil


SPOILT: list[tuple[str, Callable[[Path], None], type[SensorstreamError], str]] = [
    ("no folder", shutil.rmtree, SourceError, "is not there"),
    ("no config", _gone("config.json"), SourceError, "has no config.json"),
    ("no tokenizer", _gone("tokenizer.json"), SourceError, "has no tokenizer.json"),
    ("no model", _gone("model.onnx"), SourceError, "has no model.onnx"),
    ("config is no JSON", _put("config.json", b"{"), DataError, "config.json is not JSON"),
    ("config is binary", _put("config.json", bytes(range(256))), DataError, "config.json is not JSON"),
    ("config is a list", _put("config.json", b"[]"), DataError, "is not a JSON object"),
    ("config is deep", _put("config.json", b"[" * 100_000), DataError, "is not JSON"),
    ("no labels", _config(id2label=None), UsageError, "has no id2label"),
    ("a gap in the labels", _config(id2label={"0": "negative", "2": "positive"}), DataError, "has no '1'"),
    ("too few labels", _config(id2label={"0": "negative", "1": "positive"}), DataError, "the shape (1, 3)"),
    ("several at once", _config(problem_type="multi_label_classification"), UsageError, "several labels at once"),
    ("too few tokens", _config(max_position_embeddings=2), DataError, "2 tokens leave no room"),
    ("a tokenizer of nothing", _put("tokenizer.json", b"{}"), DataError, "tokenizer.json is no tokenizer"),
    ("half a tokenizer", _cut("tokenizer.json", 0.5), DataError, "tokenizer.json is"),
    ("an empty model", _put("model.onnx", b""), DataError, "model.onnx can't be opened"),
    ("half a model", _cut("model.onnx", 0.5), DataError, "model.onnx can't be opened"),
    ("a model of broken text", _put("model.onnx", b"\x08\x08\x12\x04\xff\xfe\xfd\xfc"), DataError, "can't be opened"),
    ("a model of rubbish", _put("model.onnx", b"\xff" * 999), DataError, "model.onnx can't be opened"),
]


@pytest.mark.parametrize(("spoil", "kind", "says"), [one[1:] for one in SPOILT], ids=[one[0] for one in SPOILT])
def test_a_folder_that_is_none_is_told_in_one_line(
    folder: Path,
    spoil: Callable[[Path], None],
    kind: type[SensorstreamError],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(folder)
    with pytest.raises(kind) as caught:
        open_scorer(f"onnx:{folder}")
    assert says in caught.value.message
    assert str(folder) in caught.value.message
    assert caught.value.hint
    assert capsys.readouterr() == ("", ""), "no library prints"
    assert "\n" not in caught.value.message + caught.value.hint
    assert len(caught.value.message) < 400


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(folder: Path) -> None:
    (folder / "model.onnx").chmod(0)
    with pytest.raises(SourceError, match="can't be read"):
        open_scorer(f"onnx:{folder}")


def network(
    folder: Path, inputs: dict[str, tuple[int, list[Any]]], nodes: list[Any], outputs: dict[str, list[Any]]
) -> str:
    """Put another network into the folder: inputs by type and shape."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    graph = helper.make_graph(nodes, "g", given, made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    return f"onnx:{folder}"


LONG, TEXT = TensorProto.INT64, ["b", "s"]


def test_networks_that_take_or_give_other_things_are_refused(folder: Path) -> None:
    cast = [helper.make_node("Cast", ["input_ids"], ["logits"], to=TensorProto.FLOAT)]
    of_pixels = [helper.make_node("Cast", ["pixels"], ["logits"], to=TensorProto.FLOAT)]
    name = network(folder, {"pixels": (LONG, TEXT)}, of_pixels, {"logits": TEXT})
    with pytest.raises(DataError, match="it has the input 'pixels'; known are input_ids"):
        open_scorer(name)
    of_mask = [helper.make_node("Cast", ["attention_mask"], ["logits"], to=TensorProto.FLOAT)]
    name = network(folder, {"attention_mask": (LONG, TEXT)}, of_mask, {"logits": TEXT})
    with pytest.raises(DataError, match="it has no input 'input_ids', but attention_mask"):
        open_scorer(name)
    name = network(folder, {"input_ids": (LONG, TEXT), "pixels": (LONG, TEXT)}, cast, {"logits": TEXT})
    with pytest.raises(DataError, match="it has the input 'pixels'"):
        open_scorer(name)
    name = network(folder, {"input_ids": (TensorProto.FLOAT, TEXT)}, cast, {"logits": TEXT})
    with pytest.raises(DataError, match=r"its input 'input_ids' is a tensor\(float\)"):
        open_scorer(name)
    name = network(folder, {"input_ids": (LONG, TEXT)}, cast, {"logits": TEXT})
    with pytest.raises(DataError, match=r"the shape \(1, \d+\), and there are 3 labels"):
        open_scorer(name)
    two = [helper.make_node("Cast", ["input_ids"], ["a"], to=TensorProto.FLOAT), helper.make_node("Neg", ["a"], ["b"])]
    name = network(folder, {"input_ids": (LONG, TEXT)}, two, {"a": TEXT, "b": TEXT})
    with pytest.raises(DataError, match="it has no output 'logits', but a, b"):
        open_scorer(name)


def fixed(folder: Path, rows: Any, kind: int = TensorProto.INT32) -> str:
    """A network of a fixed size: the first three of 8 ids, as figures."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["at"], value_ints=[0, 1, 2]),
        helper.make_node("Gather", ["f", "at"], ["logits"], axis=1),
    ]
    return network(folder, {"input_ids": (kind, [rows, 8])}, nodes, {"logits": [rows, 3]})


@pytest.mark.parametrize("rows", ["b", 1, 4])
def test_networks_of_a_fixed_size_get_it(folder: Path, rows: Any) -> None:
    scorer = open_scorer(fixed(folder, rows))
    scores = scorer.score_batch([*TEXTS[:9], "superb"])
    assert [score.status for score in scores] == [
        *("truncated" if len(text.split()) > 6 else "ok" for text in TEXTS[:9]),
        "ok",
    ]
    assert scores == [scorer.score_batch([text])[0] for text in [*TEXTS[:9], "superb"]]


def test_figures_that_are_no_numbers_are_an_error_of_that_text(folder: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["at"], value_ints=[0, 1, 2]),
        helper.make_node("Gather", ["f", "at"], ["three"], axis=1),
        helper.make_node("Sub", ["three", "three"], ["zero"]),
        helper.make_node("Div", ["zero", "zero"], ["logits"]),
    ]
    scorer = open_scorer(network(folder, {"input_ids": (LONG, ["b", 8])}, nodes, {"logits": ["b", 3]}))
    (score,) = scorer.score_batch(["fine"])
    assert (score.status, score.reason, score.compound) == ("error", "the model gave no number", None)


def test_which_model_of_several(folder: Path) -> None:
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    assert open_scorer(f"onnx:{folder}").score_batch(["superb"])[0].label == "positive"
    (folder / "onnx" / "model.onnx").rename(folder / "onnx" / "model_int8.onnx")
    assert open_scorer(f"onnx:{folder}").score_batch(["superb"])[0].label == "positive"
    shutil.copy(folder / "onnx" / "model_int8.onnx", folder / "other.onnx")
    with pytest.raises(UsageError, match="several models") as caught:
        open_scorer(f"onnx:{folder}")
    assert "onnx/model_int8.onnx" in str(caught.value.hint)
    assert open_scorer(f"onnx:{folder}", {"model": "other.onnx"}).score_batch(["superb"])[0].label == "positive"
    with pytest.raises(SourceError, match=r"has no third\.onnx"):
        open_scorer(f"onnx:{folder}", {"model": "third.onnx"})


def test_roberta_counts_its_places_from_behind_the_padding(folder: Path) -> None:
    name = changed(folder, model_type="roberta", pad_token_id=1, max_position_embeddings=64)
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(UsageError, match="takes 62 tokens at the most"):
        open_scorer(name, {"max_tokens": "63"})


def test_a_folder_without_its_prefix_is_told_how_to_write_it(folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_scorer(str(folder))
    assert f"onnx:{folder}" in str(caught.value.hint)
    with pytest.raises(UsageError, match="names no folder"):
        open_scorer("onnx:")


def test_threads_leave_room_for_the_brokers() -> None:
    assert 1 <= default_threads() <= min(MOST_THREADS, max(1, (os.cpu_count() or 1) // 2))


SCRIPT = """
import sys
from sensorstream.sentiment.scorers import open_scorer
open_scorer("vader").score_batch(["fine"])
print("onnxruntime" in sys.modules, "tokenizers" in sys.modules)
sys.modules["onnxruntime"] = None
try:
    open_scorer(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error.message, error.hint)
"""


def test_without_the_extra_it_says_what_to_install_and_others_never_load_it(trained: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"onnx:{trained}"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        "False False",
        "UsageError ONNX models need onnxruntime, which is not installed pip install 'sensorstream[onnx]'",
    ]


def test_commands_take_it(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "said.csv"
    file.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in EXAMPLES))

    def run(*arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "sensorstream", "sentiment", *arguments, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.stderr == "", "nothing that a library says"
        answer: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == 0, answer
        result: dict[str, Any] = answer["result"]
        return result

    scored = run("score", "a superb and lovely gauge", "--scorer", f"onnx:{trained}")
    assert (scored["scores"][0]["label"], scored["scorer"]["thresholds"]) == ("positive", None)
    shown = subprocess.run(
        [sys.executable, "-m", "sensorstream", "sentiment", "evaluate", str(file), "--scorer", f"onnx:{trained}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "harbour-sentiment" in shown.stdout
    assert "the most probable label" in shown.stdout


def test_the_words_of_the_benchmark_are_those_of_its_labels() -> None:
    assert tuple(WORDS) == ("negative", "neutral", "positive")
    assert Shape().width % Shape().heads == 0
