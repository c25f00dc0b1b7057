"""``python -m bench.sentiment``: vader against vaderSentiment, side by side in one process, on the rated tweets.

``SENSORSTREAM_TEST_DATA`` says where the tweets are. Each round times every scorer in turn, in seconds of CPU (all
run in one thread); the ratios are medians over the rounds of theirs' time by ours' time.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from sensorstream.records import ConsumedRecord
from sensorstream.sentiment.scorers import open_scorer
from sensorstream.sentiment.transform import ScoreTransform
from sensorstream.transforms.base import InputRow

BATCH = 500
THEIRS = "vaderSentiment 3.3.2"


def main() -> None:
    """Run the rounds and print the table, and how long hostile texts take."""
    parser = argparse.ArgumentParser(prog="python -m bench.sentiment", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count, after one that does not")
    rounds = parser.parse_args().rounds
    texts = tweets()
    runs = measure(contenders(), texts, rounds)
    sys.stdout.write(
        "| scorer | texts/s | microseconds a text | times as fast as vaderSentiment |\n|---|---|---|---|\n"
    )
    for name, seconds in runs.items():
        median = statistics.median(seconds)
        ratio = statistics.median(theirs / ours for theirs, ours in zip(runs[THEIRS], seconds, strict=True))
        sys.stdout.write(f"| {name} | {len(texts) / median:,.0f} | {median / len(texts) * 1e6:.1f} | {ratio:.2f} |\n")
    hostile()


def tweets() -> list[str]:
    """The 4,200 rated tweets."""
    return [text for _, text in rated_tweets()]


def rated_tweets() -> list[tuple[float, str]]:
    """The mean rating of each tweet, from -4 to 4, and its text."""
    folder = os.environ.get("SENSORSTREAM_TEST_DATA")
    if folder is None:
        raise SystemExit("bench: SENSORSTREAM_TEST_DATA is not set")
    file = Path(folder) / "vader_tweets" / "tweets_GroundTruth.txt"
    rows = [line.rstrip("\r").split("\t", 2) for line in file.read_bytes().decode().split("\n") if line]
    return [(float(rating), text) for _, rating, text in rows]


def contenders() -> Mapping[str, Callable[[Sequence[str]], object]]:
    """What is measured: each scores all texts."""
    theirs = SentimentIntensityAnalyzer()
    bare = open_scorer().scorer
    transform = ScoreTransform(open_scorer())
    record = ConsumedRecord("POSTS", 0, 0, 0, None, None)

    def transformed(texts: Sequence[str]) -> None:
        transform.apply([InputRow({"id": "1", "page": "p", "text": text}, record) for text in texts])

    return {
        THEIRS: lambda texts: [theirs.polarity_scores(text) for text in texts],
        "vader": bare.score_batch,
        "vader+clean": open_scorer("vader+clean").scorer.score_batch,
        "vader, guarded, no language check": open_scorer(check_language=False).score_batch,
        "vader, guarded, with language check": open_scorer().score_batch,
        "the same as a transform of rows": transformed,
    }


def measure(
    scorers: Mapping[str, Callable[[Sequence[str]], object]], texts: Sequence[str], rounds: int
) -> dict[str, list[float]]:
    """The seconds that each scorer took for all texts, in batches, once a round."""
    found: dict[str, list[float]] = {name: [] for name in scorers}
    for number in range(rounds + 1):
        for name, score in scorers.items():
            began = time.process_time()
            for at in range(0, len(texts), BATCH):
                score(texts[at : at + BATCH])
            if number:
                found[name].append(time.process_time() - began)
    return found


def hostile() -> None:
    """How long texts take for which the reference takes seconds."""
    scorer = open_scorer(check_language=False).scorer
    words = ("this is not a very good film, the worst of all, but I love it " * 300)[:16_000]
    for name, text in {"16,000 characters": words, "4,000 emoji": "\N{FACE WITH TEARS OF JOY}" * 4_000}.items():
        times = []
        for _ in range(9):
            began = time.process_time()
            scorer.score_batch([text])
            times.append(time.process_time() - began)
        sys.stdout.write(f"{name}: {statistics.median(times) * 1000:.1f} ms, at most {max(times) * 1000:.1f} ms\n")


if __name__ == "__main__":
    main()
