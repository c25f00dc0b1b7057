"""Station 8: the scorer ``onnx:FOLDER``: a sentiment model of Hugging Face's, exported to ONNX, from a local folder."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, get_args

from sensorstream.config import nearest
from sensorstream.errors import UsageError
from sensorstream.sentiment.base import LABELS, Label, Score, Thresholds
from sensorstream.sentiment.exported.folder import ExportedModel, read_folder
from sensorstream.sentiment.exported.network import Device, Network, Tokens
from sensorstream.sentiment.vader import thresholds_of

OPTIONS: Final = (
    *("labels", "model", "max_tokens", "threads", "device", "languages", "name"),
    *("positive", "negative"),
)
DIGITS: Final = 4
"""Figures are rounded: with how many others a text goes through the network must not show in its scores."""
MOST_THREADS: Final = 4
_DEVICES: Final[tuple[Device, ...]] = get_args(Device)


class OnnxScorer:
    """An exported model as a scorer.

    ``pos``, ``neu`` and ``neg`` are the probabilities of the labels that mean so, not, as VADER's, proportions of the
    text; ``compound`` is the mean of what the labels are worth (from -1 to 1), weighed by their probabilities. The
    label is the most probable one, and there are no ``thresholds``; where some are given, ``compound`` is cut at them.
    A text with more tokens than the model takes is ``truncated``.
    """

    def __init__(
        self,
        model: ExportedModel,
        network: Network,
        *,
        thresholds: Thresholds | None = None,
        languages: frozenset[str] | None = None,
    ) -> None:
        self.name = model.name
        self.version = model.version
        self.languages = languages
        self.thresholds = thresholds
        self.model = model
        self._network = network
        self._values = [meaning.value for meaning in model.meanings]
        self._labels: list[Label] = [meaning.label for meaning in model.meanings]
        self._places = {label: [at for at, meant in enumerate(self._labels) if meant == label] for label in LABELS}

    def score_batch(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order. Raises what onnxruntime raises."""
        if not texts:
            return []
        tokens = self._network.tokenize(texts)
        scores: list[Score | None] = [None] * len(texts)
        for places in self._network.batches(tokens):
            shares = self._network.run([tokens[place] for place in places]).tolist()
            for place, probabilities in zip(places, shares, strict=True):
                scores[place] = self._score(probabilities, tokens[place])
        return [score for score in scores if score is not None]

    def _score(self, probabilities: Sequence[float], tokens: Tokens) -> Score:
        if not all(0 <= share <= 1 for share in probabilities):
            return Score(None, None, None, None, None, "error", None, "the model gave no number")
        negative, neutral, positive = (
            round(min(1.0, sum(probabilities[at] for at in self._places[label])), DIGITS) for label in LABELS
        )
        mean = sum(share * value for share, value in zip(probabilities, self._values, strict=True))
        compound = round(max(-1.0, min(1.0, mean)), DIGITS)
        label = self._labels[max(range(len(probabilities)), key=probabilities.__getitem__)]
        if self.thresholds is not None:
            label = self.thresholds.label(compound)
        return Score(compound, positive, neutral, negative, label, "truncated" if tokens.cut else "ok")


def open_onnx(name: str, options: Mapping[str, str]) -> OnnxScorer:
    """The scorer of a folder; ``name`` is ``onnx:FOLDER``, the options are :data:`OPTIONS`.

    Raises UsageError, and what :func:`~sensorstream.sentiment.exported.folder.read_folder` and
    :class:`~sensorstream.sentiment.exported.network.Network` raise.
    """
    for option in options:
        if option not in OPTIONS:
            known = (*OPTIONS, "language", "max_chars")
            raise UsageError(
                f"the scorer has no option {option!r}", hint=nearest(option, known) or f"it has {', '.join(known)}"
            )
    folder = name.removeprefix("onnx:")
    if not folder:
        raise UsageError("--scorer onnx: names no folder", hint="it is onnx:FOLDER, with the folder of a model")
    device = next((one for one in _DEVICES if one == options.get("device", "auto")), None)
    if device is None:
        raise UsageError(f"device={options['device']} is not known", hint=f"it is one of {', '.join(_DEVICES)}")
    cuts = {side: options[side] for side in ("positive", "negative") if side in options}
    threads = _count(options, "threads") or default_threads()
    model = read_folder(
        Path(folder).expanduser(),
        name=options.get("name"),
        network=options.get("model"),
        labels=options["labels"].split(",") if "labels" in options else None,
        tokens=_count(options, "max_tokens"),
    )
    return OnnxScorer(
        model,
        Network(model, threads=threads, device=device),
        thresholds=thresholds_of(cuts) if cuts else None,
        languages=_languages(options.get("languages")),
    )


def default_threads() -> int:
    """Half of the cores, four at the most: the brokers need the others."""
    return max(1, min(MOST_THREADS, (os.cpu_count() or 1) // 2))


def _languages(text: str | None) -> frozenset[str] | None:
    if text is None or text == "any":
        return None
    codes = [code.strip() for code in text.split(",")]
    if not all(code.isascii() and code.isalpha() and code.islower() and len(code) in (2, 3) for code in codes):
        raise UsageError(f"languages={text} names no languages", hint="it is ISO 639-1 codes, en or en,de; or any")
    return frozenset(codes)


def _count(options: Mapping[str, str], name: str) -> int | None:
    if name not in options:
        return None
    text = options[name]
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text)):
        raise UsageError(f"{name}={text} is no number of {name.removeprefix('max_')}", hint="it is 1 or more")
    return int(text)
