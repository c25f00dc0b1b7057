"""The network and the tokenizer of an exported model, by onnxruntime and tokenizers: texts in, probabilities out.

Neither library is imported before a model is opened. Both are held to a number of threads: brokers and other workers
run on the same machine.
"""

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from sensorstream.errors import DataError, UsageError
from sensorstream.sentiment.exported.folder import EXPORT, ExportedModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Device: TypeAlias = Literal["auto", "cpu", "gpu"]

TOKENS_AT_ONCE: Final = 512
"""The most tokens of one run for each thread, with what fills up the shorter texts. More of them leave a core's cache:
with 4,096 a network of 4 layers, 256 wide, gave 470 texts/s, with 512 600."""
TOKENS_AT_ONCE_GPU: Final = 16_384
"""A GPU has its work in large pieces, and its memory bounds them."""

_CPU: Final = "CPUExecutionProvider"
_GPUS: Final = ("CUDAExecutionProvider", "ROCMExecutionProvider")
_SILENT: Final = 4
_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")
_PREAMBLE: Final = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from .*? failed: ?)?")
_TYPES: Final = {"tensor(int64)": "int64", "tensor(int32)": "int32"}


class Tokens(NamedTuple):
    """The tokens of one text. ``cut``: it had more of them than the model takes."""

    ids: Sequence[int]
    types: Sequence[int]
    cut: bool


class Network:
    """An exported classifier that has been opened, and has answered once. Used from one thread.

    ``threads`` is how many it may use; ``device`` ``auto`` takes a GPU where onnxruntime finds one. Raises UsageError
    where the extra is not installed or no GPU can be used, DataError for files that are no such model.
    """

    def __init__(self, model: ExportedModel, *, threads: int = 1, device: Device = "auto") -> None:
        self._model = model
        # Read by the tokenizers' own pool of threads when it starts, which otherwise takes every core.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true" if threads > 1 else "false")
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
        try:
            import onnxruntime
            import tokenizers
        except ImportError as error:
            raise UsageError(
                f"ONNX models need {error.name or 'onnxruntime'}, which is not installed",
                hint="pip install 'sensorstream[onnx]'",
            ) from error
        self._tokenizer = _open_tokenizer(tokenizers.Tokenizer, model)
        self._session = _open_session(onnxruntime, model, threads, device)
        self.device: Literal["cpu", "gpu"] = "cpu" if self._session.get_providers()[0] == _CPU else "gpu"
        self._at_once = TOKENS_AT_ONCE * threads if self.device == "cpu" else TOKENS_AT_ONCE_GPU
        self._types: dict[str, str] = {}
        # Sizes that the network fixes.
        self._rows: int | None = None
        self._width: int | None = None
        self.tokens = model.tokens
        for given in self._session.get_inputs():
            self._take_input(given)
        if "input_ids" not in self._types:
            raise self._wrong(f"it has no input 'input_ids', but {', '.join(self._types)}")
        self._tokenizer.no_padding()
        # The special tokens must leave room for one of the text.
        if self.tokens <= self._tokenizer.num_special_tokens_to_add(is_pair=False):
            raise self._wrong(f"{self.tokens} tokens leave no room for a text")
        self._tokenizer.enable_truncation(max_length=self.tokens)
        self._encode = getattr(self._tokenizer, "encode_batch_fast", self._tokenizer.encode_batch)
        self._output = self._find_output()
        self._try_out()

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text. Half surrogates, which JSON allows, are read as ``U+FFFD``."""
        whole = [
            text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            for text in texts
        ]
        return [Tokens(found.ids, found.type_ids, bool(found.overflowing)) for found in self._encode(whole)]

    def run(self, batch: Sequence[Tokens]) -> "NDArray[np.float64]":
        """The probability of each label for each text: a row a text. Raises what onnxruntime raises."""
        import numpy as np

        rows, width = self._rows or len(batch), self._width or max(1, *(len(one.ids) for one in batch))
        ids = np.full((rows, width), self._model.pad_id, np.int64)
        mask = np.zeros((rows, width), np.int64)
        types = np.zeros((rows, width), np.int64)
        for row, (given, kinds, _) in enumerate(batch):
            place = slice(width - len(given), width) if self._model.pad_left else slice(len(given))
            ids[row, place] = given
            mask[row, place] = 1
            types[row, place] = kinds
        mask[len(batch) :, 0] = 1  # a row of nothing would divide by nothing
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        feed = {name: arrays[name].astype(kind, copy=False) for name, kind in self._types.items()}
        logits = self._session.run([self._output], feed)[0][: len(batch)].astype(np.float64)
        with np.errstate(all="ignore"):  # what is no number comes out as none
            # Softmax; the largest is taken off first, so that no exponential overflows.
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return shares

    def batches(self, tokens: Sequence[Tokens]) -> list[list[int]]:
        """Which texts go through the network together: their places, those of like length in one batch."""
        found: list[list[int]] = []
        for place in sorted(range(len(tokens)), key=lambda at: len(tokens[at].ids)):
            width = self._width or max(1, len(tokens[place].ids))
            # Lengths grow, so this text is the longest of its batch.
            most = self._rows or self._at_once // width
            if not found or len(found[-1]) >= most:
                found.append([])
            found[-1].append(place)
        return found

    def _take_input(self, given: Any) -> None:
        """Note one input of the network: its type, and the sizes that it fixes. Raises DataError."""
        if given.name not in _INPUTS:
            raise self._wrong(f"it has the input {given.name!r}; known are {', '.join(_INPUTS)}")
        if given.type not in _TYPES or len(given.shape) != 2:
            raise self._wrong(f"its input {given.name!r} is a {given.type} of {len(given.shape)} dimensions")
        self._types[given.name] = _TYPES[given.type]
        rows, width = given.shape
        self._rows = rows if isinstance(rows, int) else self._rows
        if isinstance(width, int):
            self.tokens = min(self.tokens, width)
            self._width = width

    def _find_output(self) -> str:
        """The output with a figure for each label: ``logits``, or the only one there is."""
        outputs = [output.name for output in self._session.get_outputs()]
        if "logits" in outputs:
            return "logits"
        if len(outputs) == 1:
            return str(outputs[0])
        raise self._wrong(f"it has no output 'logits', but {', '.join(outputs[:8])}")

    def _try_out(self) -> None:
        """Let it answer once: what is wrong with it must not show in the first post of a stream."""
        wanted = len(self._model.meanings)
        try:
            shape = self._session_shape()
        except Exception as error:
            raise self._wrong(f"it can't answer: {_line(error)}") from error
        if shape != (1, wanted):
            raise self._wrong(f"it gives figures of the shape {shape}, and there are {wanted} labels")

    def _session_shape(self) -> tuple[int, ...]:
        (tokens,) = self.tokenize(["It is fine."])
        shape: tuple[int, ...] = self.run([tokens]).shape
        return shape

    def _wrong(self, what: str) -> DataError:
        return DataError(f"{self._model.network} is no model for single texts: {what}", hint=EXPORT)


def _open_tokenizer(factory: Any, model: ExportedModel) -> Any:
    try:
        return factory.from_file(str(model.tokenizer))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the Rust code is no Exception
        raise DataError(f"{model.tokenizer} is no tokenizer: {_line(error)}", hint=EXPORT) from error


def _open_session(onnxruntime: Any, model: ExportedModel, threads: int, device: Device) -> Any:
    onnxruntime.set_default_logger_severity(_SILENT)  # what matters comes as an error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait for work go to sleep, instead of keeping a core busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    there = onnxruntime.get_available_providers()
    gpus = [] if device == "cpu" else [name for name in _GPUS if name in there]
    if device == "gpu" and not gpus:
        raise UsageError("device=gpu: onnxruntime finds no GPU here", hint="pip install onnxruntime-gpu, or device=cpu")
    for providers in ([*gpus, _CPU], [_CPU]):
        try:
            # Its own way to fall back would print to stdout.
            session = onnxruntime.InferenceSession(str(model.network), options, providers=providers, enable_fallback=0)
        except Exception as error:
            if len(providers) > 1 and device == "auto":
                continue
            raise DataError(f"{model.network} can't be opened: {_line(error)}", hint=EXPORT) from error
        if device == "gpu" and session.get_providers()[0] == _CPU:
            raise UsageError("device=gpu: the GPU can't be used", hint="check its driver and libraries, or device=cpu")
        return session
    raise AssertionError  # the last of them is returned or raised


def _line(error: BaseException) -> str:
    """What a library says, in one line, without its own number for it and the path, which the reader knows."""
    said = _PREAMBLE.sub("", " ".join(str(error).split()))
    return said[:200].rstrip(" ;:") or type(error).__name__
