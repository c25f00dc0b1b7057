"""The sample of posts: what a stream of posts is made of is in it, and it is what the documentation says."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from sensorstream.cli.app import run
from sensorstream.config import load, posts_topic, samples_folder
from sensorstream.errors import SinkError, UsageError
from sensorstream.samples import SampleFile, write_posts
from sensorstream.sentiment.scorers import open_scorer
from sensorstream.sources.line_files import JsonlSource

POSTS = samples_folder() / "posts.jsonl"
LINES = POSTS.read_bytes().splitlines()
ALL = [json.loads(line) for line in LINES]


def test_each_post_has_the_same_fields_and_an_id_of_its_own() -> None:
    assert 300 <= len(ALL) <= 600
    assert POSTS.stat().st_size < 150_000
    assert {tuple(post) for post in ALL} == {("id", "page", "time", "author", "text")}
    assert all(isinstance(value, str) for post in ALL for value in post.values())
    assert [post["id"] for post in ALL] == [f"p{number:04d}" for number in range(1, len(ALL) + 1)]
    texts = Counter(post["text"] for post in ALL if post["text"])
    assert max(texts.values()) == 1, "written, not multiplied"


def test_the_times_are_those_of_the_sensors_last_day_oldest_first() -> None:
    times = [post["time"] for post in ALL]
    assert times == sorted(times)
    assert {(time[:11], time[-1]) for time in times} == {("2023-08-31T", "Z")}


def test_the_source_for_posts_reads_it_whole() -> None:
    with JsonlSource(POSTS, fields=("page", "time")) as source:
        batch = source.read(1000)
    assert [row.cells[-1].encode() for row in batch.rows] == LINES
    assert not batch.rejected


def test_every_status_and_label_comes_up_and_the_odd_ones_are_there() -> None:
    scores = open_scorer("vader", {}).score_batch([post["text"] for post in ALL])
    assert Counter(score.status for score in scores) == {
        "ok": 305,
        "unsupported_language": 10,
        "empty": 3,
        "truncated": 1,
    }
    assert {score.language for score in scores if score.status == "unsupported_language"} == {"de", "es", "vi"}
    pages: dict[str, Counter[str | None]] = {}
    for post, score in zip(ALL, scores, strict=True):
        pages.setdefault(post["page"], Counter())[score.label] += 1
    assert sorted(pages) == ["air-watch", "city-water", "harbour-cam", "night-market", "river-club", "school-garden"]
    for labels in pages.values():
        assert min(labels[name] for name in ("positive", "neutral", "negative")) >= 5
    together = "\n".join(post["text"] for post in ALL)
    for odd in (
        "&lt;3",
        "&quot;",
        "isn\u2019t",
        "\u201c",
        "\u2764\ufe0f",
        "https://",
        "\t4\t",
        "READ" if False else "WOW",
    ):
        assert odd in together, odd


def test_the_long_post_quotes_the_sensors_own_readings() -> None:
    long = max((post["text"] for post in ALL), key=len)
    assert len(long) > 20_000
    with (samples_folder() / "AIR2308.csv").open(newline="") as file:
        readings = {
            f"{row['Time'][11:16]} {row['PM2.5']}/{row['PM10']}"
            for row in csv.DictReader(file)
            if row["Time"].startswith("31/08/2023")
        }
    quoted = long[long.index("00:00 ") : long.index(". That is all.")].split(", ")
    assert len(quoted) > 1000
    assert set(quoted) <= readings


def test_its_topic_is_known_and_not_one_of_the_configured() -> None:
    topic = posts_topic()
    assert (topic.name, topic.source, topic.time_column, topic.key) == ("POSTS", POSTS, "time", "page")
    assert [known.name for known in load(environ={}).topics] == ["AIR", "EARTH", "WATER"]


def test_the_command_writes_the_kept_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["samples", "posts", "--dir", str(tmp_path / "d")]
    assert run([*arguments, "--output", "json"]) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    file = tmp_path / "d" / "posts.jsonl"
    assert result == {"topic": "POSTS", "path": str(file), "rows": len(ALL), "bytes": POSTS.stat().st_size}
    assert file.read_bytes() == POSTS.read_bytes()
    assert run(arguments) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert run([*arguments, "--force"]) == 0
    assert capsys.readouterr().out == f"{file}: {len(ALL)} posts, 74.9 kB\n"
    assert [path.name for path in file.parent.iterdir()] == ["posts.jsonl"]


def test_what_is_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text("mine")
    with pytest.raises(UsageError, match=r"there already.*--force"):
        write_posts(tmp_path)
    assert write_posts(tmp_path, force=True) == SampleFile(
        "POSTS", str(tmp_path / "posts.jsonl"), len(ALL), POSTS.stat().st_size
    )
    with pytest.raises(SinkError, match="can't be written"):
        write_posts(tmp_path / "posts.jsonl" / "inside")
