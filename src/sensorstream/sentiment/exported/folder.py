"""The folder of an exported model: its files, and what they say about the model. Nothing in it is run here."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sensorstream.errors import DataError, SourceError, UsageError
from sensorstream.sentiment.exported.meanings import SAY, Meaning, meanings
from sensorstream.wording import counted

EXPORT: Final = "optimum-cli export onnx --model NAME FOLDER makes one"
USUAL: Final = ("model.onnx", "onnx/model.onnx")
VERSION_DIGITS: Final = 12
TOKENS: Final = 512
"""The most tokens of a text, where the folder does not say."""

_MOST_JSON: Final = 256 << 20
_MOST_TOKENS: Final = 1_000_000  # what transformers writes for "no limit" is far above
_NO_CLASSES: Final = {"multi_label_classification": "gives several labels at once", "regression": "gives no labels"}
# The first positions of these are never used: fairseq counts from behind the padding's id.
_COUNT_FROM_PADDING: Final = frozenset(
    ("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet", "longformer", "ibert",
     "data2vec-text")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What a folder holds. ``tokens`` is the most that the model takes of a text, special ones among them.

    ``pad_id`` fills up shorter texts, on the left where ``pad_left``. ``version`` is a digest of everything that makes
    the scores: the network, the tokenizer, the meanings and ``tokens``.
    """

    folder: Path
    network: Path
    tokenizer: Path
    name: str
    version: str
    meanings: tuple[Meaning, ...]
    tokens: int
    pad_id: int
    pad_left: bool


def read_folder(
    folder: Path,
    *,
    name: str | None = None,
    network: str | None = None,
    labels: Sequence[str] | None = None,
    tokens: int | None = None,
) -> ExportedModel:
    """What is in a folder, and what the user says beyond it: which file, the outputs' labels, fewer tokens.

    Raises SourceError for what is not there or can't be read, DataError for what is not as it should be, UsageError for
    labels that are not known, and for more tokens than the model takes.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        raise SourceError(f"{folder} {what}", hint=f"--scorer onnx:FOLDER names the folder of a model; {EXPORT}")
    config = _json(folder / "config.json")
    path = _network(folder, network)
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise SourceError(
            f"{folder} has no tokenizer.json",
            hint="AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER) stores it beside the model",
        )
    said = _json(folder / "tokenizer_config.json", needed=False)
    problem = _NO_CLASSES.get(str(config.get("problem_type")))
    if problem is not None:
        raise UsageError(
            f"{folder} is a model that {problem}", hint="a sentiment model gives each text one of its labels"
        )
    whose = str(folder / "config.json") if labels is None else "--set labels"
    meant = meanings(_labels(config, folder) if labels is None else labels, whose)
    pad_id = _pad_id(config, said, tokenizer)
    known = _tokens(config, said, pad_id)
    if tokens is not None and known is not None and tokens > known:
        raise UsageError(f"{folder} takes {known} tokens at the most, not {tokens}", hint=f"max_tokens={known} is all")
    most = tokens or known or TOKENS
    return ExportedModel(
        folder,
        path,
        tokenizer,
        name or folder.resolve().name,
        _digest(path, tokenizer, meant, most),
        meant,
        most,
        pad_id,
        said.get("padding_side") == "left",
    )


def _json(path: Path, *, needed: bool = True) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_JSON:
            raise DataError(
                f"{path} has {counted(path.stat().st_size, 'byte')}: it is not what it is called", hint=EXPORT
            )
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if not needed:
            return {}
        raise SourceError(f"{path.parent} has no {path.name}", hint=EXPORT) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {' '.join(str(error).split())[:120]}", hint=EXPORT) from error
    if not isinstance(found, dict):
        raise DataError(f"{path} is not a JSON object", hint=EXPORT)
    return found


def _network(folder: Path, named: str | None) -> Path:
    if named is not None:
        path = folder / named
        if not path.is_file():
            raise SourceError(f"{folder} has no {named}", hint=_there(folder) or EXPORT)
        return path
    for usual in USUAL:
        if (folder / usual).is_file():
            return folder / usual
    found = _networks(folder)
    if len(found) == 1:
        return folder / found[0]
    if found:
        raise UsageError(f"{folder} has several models", hint=_there(folder))
    raise SourceError(f"{folder} has no model.onnx, nor onnx/model.onnx", hint=EXPORT)


def _networks(folder: Path) -> list[str]:
    try:
        paths = sorted([*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")])
    except OSError as error:
        raise _unreadable(folder, error) from error
    return [str(path.relative_to(folder)) for path in paths if path.is_file()]


def _there(folder: Path) -> str:
    found = _networks(folder)
    return f"--set model=NAME is one of: {', '.join(found[:8])}" if found else ""


def _labels(config: dict[str, Any], folder: Path) -> list[str]:
    """The names of the outputs, in their order."""
    path = folder / "config.json"
    told = config.get("id2label")
    if not isinstance(told, dict) or not told:
        raise UsageError(f"{path} has no id2label", hint=SAY)
    try:
        return [str(told[str(at)]) for at in range(len(told))]
    except KeyError as error:
        raise DataError(
            f"{path}: id2label has no {error.args[0]!r}, but {counted(len(told), 'entry')}", hint=SAY
        ) from error


def _pad_id(config: dict[str, Any], said: dict[str, Any], tokenizer: Path) -> int:
    given = config.get("pad_token_id")
    if isinstance(given, int) and given >= 0:
        return given
    token = said.get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    parts = _json(tokenizer)
    padding = parts.get("padding")
    if isinstance(padding, dict) and isinstance(padding.get("pad_id"), int):
        return int(padding["pad_id"])
    added = parts.get("added_tokens")
    for one in added if isinstance(added, list) else ():
        if isinstance(one, dict) and one.get("content") == token and isinstance(one.get("id"), int):
            return int(one["id"])
    return 0


def _tokens(config: dict[str, Any], said: dict[str, Any], pad_id: int) -> int | None:
    """The most tokens that the model takes; None where nobody says."""
    limits = []
    most = said.get("model_max_length")
    if isinstance(most, int | float) and 0 < most < _MOST_TOKENS:
        limits.append(int(most))
    for key in ("max_position_embeddings", "n_positions"):
        places = config.get(key)
        if isinstance(places, int) and 0 < places < _MOST_TOKENS:
            unused = pad_id + 1 if config.get("model_type") in _COUNT_FROM_PADDING else 0
            limits.append(max(1, places - unused))
    return min(limits) if limits else None


def _digest(network: Path, tokenizer: Path, meant: tuple[Meaning, ...], tokens: int) -> str:
    digest = hashlib.sha256(json.dumps([meant, tokens]).encode())
    for path in (network, *_beside(network), tokenizer):
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise _unreadable(path, error) from error
    return digest.hexdigest()[:VERSION_DIGITS]


def _beside(network: Path) -> list[Path]:
    """The weights of a large network lie in files beside it: ``model.onnx_data``, ``model.onnx.data``."""
    try:
        near = [path for path in network.parent.iterdir() if path.name.startswith(network.name) and path != network]
    except OSError as error:
        raise _unreadable(network.parent, error) from error
    return sorted(path for path in near if path.is_file())


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"{path} can't be read: {error.strerror or error}", hint="check the path and its permissions")
