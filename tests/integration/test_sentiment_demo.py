"""``demo --sentiment`` on three real brokers: the verdict, the keys of its JSON, its files, and nothing left behind."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from running import cli
from sensorstream.config import samples_folder

pytestmark = pytest.mark.broker

POSTS = len((samples_folder() / "posts.jsonl").read_bytes().splitlines())


def test_every_post_is_scored_once_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, kept = tmp_path / "tmp", tmp_path / "kept" / "here"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    # What a user has set must reach neither the demonstration nor its workers.
    (tmp_path / "sensorstream.toml").write_text('bootstrap = "127.0.0.1:1"\n[properties]\n"max.poll.records" = 1\n')
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAP", "127.0.0.1:1")
    done = cli("demo", "--sentiment", "--to", str(kept), "--output", "json", cwd=tmp_path, timeout=170)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["command"], document["status"], document["errors"]) == ("demo", "ok", [])
    result = document["result"]
    assert list(result) == [
        *("cluster", "topics", "replay", "stream", "aggregate", "mix", "statuses", "highest", "lowest"),
        *("verification", "passed", "seconds", "files", "folder", "cluster_name"),
    ]
    assert list(result["mix"][0]) == [
        *("page", "posts", "positive", "neutral", "negative", "unscored", "mean", "trend"),
    ]
    assert list(result["mix"][0]["trend"][0]) == ["window_start", "posts", "mean"]
    assert list(result["highest"]) == list(result["lowest"]) == ["id", "page", "compound", "text"]
    assert result["passed"] is True
    assert (result["folder"], result["cluster_name"]) == (None, None)
    assert len(result["cluster"]["bootstrap"]) == 3
    assert [(topic["name"], topic["created"]) for topic in result["topics"]["topics"]] == [
        (name, True) for name in ("POSTS", "POSTS_SCORED", "POSTS_SCORED_DEAD")
    ]
    assert result["verification"] == {
        **dict.fromkeys(("posts", "published", "scored"), POSTS),
        **dict.fromkeys(("dead_letters", "lost", "doubled", "foreign", "changed", "moved"), 0),
        "exactly_once": True,
        "differences": [],
    }
    assert result["stream"]["group"] == "POSTS_to_POSTS_SCORED", "as a user's next `sentiment stream` has it"
    assert result["replay"]["acknowledged"] == result["stream"]["rows_in"] == result["stream"]["rows_out"] == POSTS
    assert result["statuses"] == {"empty": 3, "ok": POSTS - 14, "truncated": 1, "unsupported_language": 10}
    assert sum(page["posts"] for page in result["mix"]) == POSTS
    assert sum(page["unscored"] for page in result["mix"]) == 13
    assert (result["aggregate"]["late"], result["aggregate"]["windows"]) == (0, len(result["aggregate"]["rows"]))

    assert result["files"] == [str(kept / name) for name in ("scored.jsonl", "windows.csv", "mix.svg")]
    scored = [json.loads(line) for line in (kept / "scored.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [post["id"] for post in scored] == [f"p{number:04d}" for number in range(1, POSTS + 1)]
    with (kept / "windows.csv").open(encoding="utf-8", newline="") as file:
        assert sum(int(row["count"]) for row in csv.DictReader(file)) == POSTS
    ElementTree.parse(kept / "mix.svg")

    assert not list(temporary.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "sensorstream.toml", "tmp"]
    lines = (" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    assert not [line for line in lines if str(temporary) in line]
