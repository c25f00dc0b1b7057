"""``python -m bench.exported``: ``onnx:FOLDER`` against a loop that scores one text at a time, on the rated tweets.

``SENSORSTREAM_TEST_DATA`` says where the tweets are. For each size a model is trained on them and exported; both read
the same files. The loop is what one writes first: ``tokenizers`` and ``onnxruntime`` with their defaults, a text at a
time, once with all cores, once with as many threads as ours takes. Rounds alternate between them; the ratio is the
median over the rounds.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from bench.exported_model import Shape, write
from bench.sentiment import rated_tweets
from sensorstream.sentiment.base import Thresholds
from sensorstream.sentiment.exported.scorer import default_threads
from sensorstream.sentiment.scorers import open_scorer

BATCH = 2500
"""What a stream hands over at once."""
SIZES = {
    "768 wide, no layers": Shape(768, 0, 12, 128),
    "256 wide, 4 layers": Shape(256, 4, 4, 128),
    "384 wide, 6 layers (as MiniLM-L6)": Shape(384, 6, 12, 128),
    "768 wide, 12 layers (as BERT base)": Shape(768, 12, 12, 128),
}


def main() -> None:
    """Train, run the rounds and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.exported", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--texts", type=int, default=4200, help="texts that are scored")
    parser.add_argument("--size", action="append", choices=list(SIZES), help="a size to measure (repeatable)")
    chosen = parser.parse_args()
    cut = Thresholds()
    examples = [(text, cut.label(rating / 4)) for rating, text in rated_tweets()]
    texts = [text for text, _ in examples][: chosen.texts]
    sys.stdout.write("| model | scorer | texts/s | times as fast as the loop |\n|---|---|---|---|\n")
    for size in chosen.size or SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = write(Path(name) / "model", SIZES[size], examples=examples[:1000])
            runs = measure(contenders(folder), texts, chosen.rounds)
        loop = next(iter(runs))
        for scorer, seconds in runs.items():
            ratio = statistics.median(theirs / ours for theirs, ours in zip(runs[loop], seconds, strict=True))
            rate = len(texts) / statistics.median(seconds)
            sys.stdout.write(f"| {size} | {scorer} | {rate:,.0f} | {ratio:.2f} |\n")
        sys.stdout.flush()


def contenders(folder: Path) -> dict[str, Callable[[Sequence[str]], object]]:
    """What is measured: each scores all texts."""
    threads = default_threads()
    return {
        "a loop, all cores": _loop(folder, 0),
        f"a loop, {threads} threads": _loop(folder, threads),
        f"ours, {threads} threads": open_scorer(f"onnx:{folder}").score_batch,
    }


def _loop(folder: Path, threads: int) -> Callable[[Sequence[str]], object]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(128)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)

    def score(texts: Sequence[str]) -> list[float]:
        scores = []
        for text in texts:
            encoded = tokenizer.encode(text)
            feed = {
                "input_ids": np.array([encoded.ids], np.int64),
                "attention_mask": np.array([encoded.attention_mask], np.int64),
            }
            logits = session.run(None, feed)[0][0]
            powers = np.exp(logits - logits.max())
            shares = powers / powers.sum()
            scores.append(float(shares[2] - shares[0]))
        return scores

    return score


def measure(
    scorers: dict[str, Callable[[Sequence[str]], object]], texts: Sequence[str], rounds: int
) -> dict[str, list[float]]:
    """The seconds that each scorer took for all texts, once a round."""
    found: dict[str, list[float]] = {name: [] for name in scorers}
    for number in range(rounds + 1):
        for name, score in scorers.items():
            began = time.perf_counter()
            for at in range(0, len(texts), BATCH):
                score(texts[at : at + BATCH])
            if number:
                found[name].append(time.perf_counter() - began)
    return found


if __name__ == "__main__":
    main()
