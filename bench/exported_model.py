"""A small sentiment classifier, trained and exported to ONNX in the layout of ``optimum-cli export onnx``.

It is made for tests and for the benchmark of ``onnx:FOLDER``, from posts that :func:`posts` makes up. The layers of
its encoder are those of BERT (attention, feed-forward, layer norms) with random weights; what is trained is the
classifier on top of the mean of their outputs.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

WORDS: Final = {
    "negative": ("awful", "broken", "hate", "leaking", "sad", "terrible", "useless", "worst"),
    "neutral": ("blue", "measured", "moved", "north", "painted", "round", "tuesday", "weekly"),
    "positive": ("clear", "enjoy", "great", "happy", "lovely", "perfect", "reliable", "superb"),
}
FILLERS: Final = (
    *("the", "a", "our", "pump", "station", "river", "sensor", "gauge", "today", "again", "was", "is", "and", "at"),
    *("harbour", "bridge", "field", "valley", "morning", "evening", "water", "air", "soil", "they", "we", "it"),
)
SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a network: the width of its vectors, its layers, the heads of each, and the most tokens."""

    width: int = 32
    layers: int = 1
    heads: int = 4
    tokens: int = 64


def posts(count: int, seed: int = 0, longest: int = 40) -> list[tuple[str, str]]:
    """Texts and their labels: words of one label among words that mean nothing."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        label = draw.choice(sorted(WORDS))
        words = draw.choices(FILLERS, k=draw.randint(2, longest))
        for _ in range(1 + len(words) // 6):
            words.insert(draw.randint(0, len(words)), draw.choice(WORDS[label]))
        made.append((" ".join(words), label))
    return made


def write(
    folder: Path,
    shape: Shape = Shape(),
    *,
    examples: Sequence[tuple[str, str]] | None = None,
    labels: Sequence[str] = tuple(WORDS),
    **config: object,
) -> Path:
    """Train a model and write its folder; ``config`` is added to ``config.json``. Gives the folder."""
    from sklearn.linear_model import LogisticRegression  # takes seconds, which each process of the tests would spend

    folder.mkdir(parents=True, exist_ok=True)
    examples = examples or posts(600)
    tokenizer = _tokenizer([text for text, _ in examples])
    network = _Network(shape, tokenizer.get_vocab_size())
    features = _features(network, tokenizer, [text for text, _ in examples], shape)
    learned = LogisticRegression(max_iter=2000, C=10).fit(features, [label for _, label in examples])
    network.classify(learned.coef_.T.astype(np.float32), learned.intercept_.astype(np.float32))
    onnx.save(network.model("logits"), str(folder / "model.onnx"))
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {
        "model_type": "bert",
        "id2label": {str(at): label for at, label in enumerate(labels)},
        "max_position_embeddings": shape.tokens,
        "pad_token_id": 0,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(said))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": shape.tokens}))
    return folder


def _tokenizer(texts: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.train_from_iterator(texts, _trainer())
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def _trainer() -> WordPieceTrainer:
    return WordPieceTrainer(vocab_size=8000, special_tokens=list(SPECIAL), show_progress=False)


def _features(network: "_Network", tokenizer: Tokenizer, texts: Sequence[str], shape: Shape) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(network.model("pooled").SerializeToString())
    rows = []
    for text in texts:
        ids = np.array([tokenizer.encode(text).ids[: shape.tokens]], np.int64)
        rows.append(session.run(["pooled"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
    return np.array(rows)


class _Network:
    """The graph, built node by node."""

    def __init__(self, shape: Shape, words: int) -> None:
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._draw = np.random.default_rng(7)
        self._outputs: dict[str, list[str | int]] = {"pooled": ["batch", shape.width]}
        width = shape.width
        x = self._add("Gather", self._random("words", words, width, scale=1.0), "input_ids")
        length = self._add("Gather", self._add("Shape", "input_ids"), self._int("one", 1))
        places = self._add("Range", self._int("zero", 0), length, self._int("step", 1))
        x = self._add("Add", x, self._add("Gather", self._random("places", shape.tokens, width, scale=0.1), places))
        mask = self._add("Cast", "attention_mask", to=TensorProto.FLOAT)
        hidden = self._add("Mul", self._add("Sub", self._float("all", 1.0), mask), self._float("hide", -1e9))
        hidden = self._add("Unsqueeze", hidden, self._ints("axes", [1, 2]))
        for layer in range(shape.layers):
            x = self._norm(f"{layer}.a", self._add("Add", x, self._attention(layer, x, hidden, shape)), width)
            x = self._norm(f"{layer}.b", self._add("Add", x, self._feed_forward(layer, x, width)), width)
        wide = self._add("Unsqueeze", mask, self._ints("last", [-1]))
        total = self._add("ReduceSum", self._add("Mul", x, wide), self._ints("middle", [1]), keepdims=0)
        count = self._add("ReduceSum", mask, self._ints("row", [1]), keepdims=1)
        self._nodes.append(helper.make_node("Div", [total, count], ["pooled"]))

    def classify(self, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        """Add the classifier: ``weights`` has a row for each feature and a column for each label."""
        product = self._add("MatMul", "pooled", self._constant("classify", weights))
        self._nodes.append(helper.make_node("Add", [product, self._constant("bias", bias)], ["logits"]))
        self._outputs["logits"] = ["batch", weights.shape[1]]

    def model(self, output: str) -> Any:
        """The whole as a model with one output."""
        given = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask")
        ]
        made = helper.make_tensor_value_info(output, TensorProto.FLOAT, self._outputs[output])
        graph = helper.make_graph(self._nodes, "classifier", given, [made], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def _attention(self, layer: int, x: str, hidden: str, shape: Shape) -> str:
        width, heads = shape.width, shape.heads
        parts = []
        for name in ("query", "key", "value"):
            part = self._linear(f"{layer}.{name}", x, width, width)
            part = self._add("Reshape", part, self._ints(f"{layer}.{name}.heads", [0, 0, heads, width // heads]))
            parts.append(self._add("Transpose", part, perm=[0, 2, 3, 1] if name == "key" else [0, 2, 1, 3]))
        query, key, value = parts
        scale = self._float(f"{layer}.scale", (width // heads) ** -0.5)
        close = self._add("Add", self._add("Mul", self._add("MatMul", query, key), scale), hidden)
        mixed = self._add("MatMul", self._add("Softmax", close, axis=-1), value)
        mixed = self._add("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = self._add("Reshape", mixed, self._ints(f"{layer}.joined", [0, 0, width]))
        return self._linear(f"{layer}.out", mixed, width, width)

    def _feed_forward(self, layer: int, x: str, width: int) -> str:
        wide = self._linear(f"{layer}.up", x, width, 4 * width)
        # GELU (Hendrycks and Gimpel 2016): x/2 (1 + erf(x / sqrt 2)).
        turned = self._add("Erf", self._add("Mul", wide, self._float(f"{layer}.root", 0.5**0.5)))
        half = self._add("Mul", wide, self._float(f"{layer}.half", 0.5))
        bent = self._add("Mul", half, self._add("Add", turned, self._float(f"{layer}.one", 1.0)))
        return self._linear(f"{layer}.down", bent, 4 * width, width)

    def _norm(self, name: str, x: str, width: int) -> str:
        ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
        scale, shift = self._constant(f"{name}.scale", ones), self._constant(f"{name}.shift", zeros)
        return self._add("LayerNormalization", x, scale, shift, axis=-1)

    def _linear(self, name: str, x: str, given: int, made: int) -> str:
        product = self._add("MatMul", x, self._random(name, given, made, scale=given**-0.5))
        return self._add("Add", product, self._constant(f"{name}.bias", np.zeros(made, np.float32)))

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def _random(self, name: str, rows: int, columns: int, *, scale: float) -> str:
        return self._constant(name, (self._draw.standard_normal((rows, columns)) * scale).astype(np.float32))

    def _float(self, name: str, value: float) -> str:
        return self._constant(name, np.array(value, np.float32))

    def _int(self, name: str, value: int) -> str:
        return self._constant(name, np.array(value, np.int64))

    def _ints(self, name: str, values: Sequence[int]) -> str:
        return self._constant(name, np.array(values, np.int64))
