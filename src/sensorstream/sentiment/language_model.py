"""Station 8: the language model of py3langid, many texts at a time.

The model (Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool", ACL; its arrays are read
from the installed package py3langid) walks an automaton over a text's bytes, counts the n-grams that it meets, and
weighs them by naive Bayes. The package takes one step after the other, in Python. Here all bytes of all texts take a
step together: an n-gram has :data:`REACH` bytes at most, so where the automaton stands after a byte depends on so many
bytes alone. What is counted and weighed is the same, in the same order, and so are the answers, to the last bit; a
property test holds them equal. Another version of the package may come with a model that reaches further, so the
project depends on just this one.
"""

import math
import struct
import threading
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sensorstream.sentiment.language_file import Archive, take

REACH: Final = 6
"""The longest n-gram of the model, in bytes: further back the automaton remembers nothing."""
_AT_ONCE: Final = 1 << 16
"""So many bytes take their steps together, one text more at the most: that takes some megabytes."""


class LanguageModel:
    """Tells the most likely language of texts."""

    def __init__(self, arrays: Any) -> None:
        """``arrays`` gives the arrays of py3langid's file by their names there."""
        self._weights: NDArray[np.float16] = arrays["ptc"]
        self._priors: NDArray[np.float32] = arrays["pc"]
        self._classes: list[str] = arrays["classes"].tolist()
        self._next: NDArray[Any] = arrays["nextmove"]
        # Where the row of a state begins; states with equal rows share one.
        self._row: NDArray[np.intp] = arrays["nextmove_row"].astype(np.intp) << 8
        self._feature: NDArray[np.int32] = arrays["out_feat"]
        first = {name: at for at, name in reversed(list(enumerate(self._classes)))}
        # Languages in two scripts have two classes, which count as one.
        self._twins = [(first[name], at) for at, name in enumerate(self._classes) if first[name] != at]

    def classify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """For each text the most likely language and its probability among those that the model knows.

        The time is linear in the length of the texts.
        """
        answers: list[tuple[str, float]] = []
        for group in _groups([_in_bytes(text) for text in texts]):
            ends = np.cumsum([len(one) for one in group]).tolist()
            features = self._features(group)
            start = 0
            for end in ends:
                met = features[start:end]
                answers.append(self._weighed(Counter(met[met >= 0].tolist()), end - start))
                start = end
        return answers

    def _features(self, texts: Sequence[bytes]) -> NDArray[np.int32]:
        """The feature that the automaton finds at each byte of the texts, one after the other; negative: none."""
        letters = np.frombuffer(b"".join(texts), dtype=np.uint8)
        within = np.concatenate([np.arange(len(text)) for text in texts])
        state = np.zeros(len(letters), dtype=np.intp)
        for back in range(min(REACH, len(letters)) - 1, -1, -1):
            # Bytes with fewer than so many before them in their own text are still at its beginning, in state 0.
            moved = self._next[self._row[state[back:]] + letters[: len(letters) - back]]
            state[back:] = np.where(within[back:] >= back, moved, 0)
        return self._feature[state]

    def _weighed(self, met: Counter[int], length: int) -> tuple[str, float]:
        """The answer for a text of ``length`` bytes in which these features were met, in this order."""
        scores = np.zeros(len(self._classes), dtype=np.float32)
        if met:
            found = np.fromiter(met.keys(), dtype=np.intp, count=len(met))
            counts = np.fromiter(met.values(), dtype=np.float32, count=len(met))
            scores = np.log1p(counts) @ self._weights[found] + self._priors
        scores *= 1.0 / math.sqrt(length or 1)
        np.exp(scores - scores.max(), out=scores)
        scores /= scores.sum()
        for one, other in self._twins:
            scores[one] += scores[other]
            scores[other] = 0.0
        best = int(scores.argmax())
        return self._classes[best], float(scores[best])


def _in_bytes(text: str) -> bytes:
    """What the model reads of a text: UTF-8, composed, and in small letters where it is all in capitals."""
    if not text.isascii():
        # Half a surrogate pair is nothing in UTF-8.
        text = text.encode("utf-8", "replace").decode()
    if text.isupper():
        text = text.lower()
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).encode()


def _groups(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The texts in order, as many at a time as are walked together."""
    start = size = 0
    for at, text in enumerate(texts, 1):
        size += len(text)
        if size >= _AT_ONCE:
            yield texts[start:at]
            start, size = at, 0
    if start < len(texts):
        yield texts[start:]


_reading: Final = threading.Lock()


def model() -> LanguageModel:
    """The one model of the process. Reading it takes about half a second, once on a machine; any thread may ask."""
    with _reading:
        return _read()


@cache
def _read() -> LanguageModel:
    return LanguageModel(_arrays(take()))


def _arrays(archive: Archive) -> dict[str, NDArray[Any]]:
    """The arrays of an archive of numpy, by their names: views of it, as they are stored in one piece each.

    ``numpy.load`` would copy them, and check them once more.
    """
    found: dict[str, NDArray[Any]] = {}
    with archive.file, zipfile.ZipFile(archive.file) as zipped:
        for member in zipped.infolist():
            with zipped.open(member) as file:
                version = np.lib.format.read_magic(file)
                if member.compress_type != zipfile.ZIP_STORED or version != (1, 0):
                    raise ValueError(f"the language model's {member.filename} is not stored as it is expected")
                shape, _, kind = np.lib.format.read_array_header_1_0(file)
                head = file.tell()
            # Ahead of its data each member has its own header, with a name and a field of these lengths.
            name, field = struct.unpack_from("<HH", archive.content, member.header_offset + 26)
            start = member.header_offset + 30 + name + field + head
            flat = np.frombuffer(archive.content, kind, math.prod(shape), start)
            found[member.filename.removesuffix(".npy")] = flat.reshape(shape)
    return found
