"""``sentiment score`` as people and scripts use it, with what they may send it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from running import PROGRAM, cli, ok

GERMAN = "Das Essen war wirklich gut und die Bedienung freundlich."


def score(stdin: bytes, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Score lines of stdin; the whole JSON envelope."""
    command = [*PROGRAM, "sentiment", "score", "--output", "json", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_text() -> None:
    result = ok("sentiment", "score", "VADER is smart, handsome, and funny!")
    assert result["scorer"] == {
        "name": "vader",
        "version": "3.3.2",
        "thresholds": {"positive": 0.05, "negative": -0.05},
    }
    (found,) = result["scores"]
    assert list(found) == [
        *("text", "compound", "pos", "neu", "neg", "label", "status", "language", "reason", "words"),
    ]
    assert (found["compound"], found["pos"], found["neu"], found["neg"]) == (0.8439, 0.752, 0.248, 0.0)
    assert (found["label"], found["status"], found["words"]) == ("positive", "ok", None)


def test_a_line_of_stdin_is_a_text() -> None:
    for arguments in ((), ("-",)):
        answer = score(f"I love it\r\n\nI hate it\n{GERMAN}\nfine".encode(), *arguments)
        scores = answer["result"]["scores"]
        assert [one["status"] for one in scores] == ["ok", "empty", "ok", "unsupported_language", "ok"]
        assert [one["label"] for one in scores] == ["positive", None, "negative", None, "positive"]
        assert (scores[0]["text"], scores[3]["language"], answer["status"]) == ("I love it", "de", "ok")


def test_nothing_on_stdin_is_nothing_to_score() -> None:
    assert score(b"")["result"]["scores"] == []


def test_bad_input_is_told_and_costs_no_other_line() -> None:
    lines = [b"good\x00good", b"\xff\xfe good", b"\xed\xa0\x80 good", b"it is good " * 100_000, b"good"]
    answer = score(b"\n".join(lines), code=1)
    scores = answer["result"]["scores"]
    assert [one["status"] for one in scores] == ["ok", "error", "error", "truncated", "ok"]
    assert scores[1]["reason"] == "byte 0 is not UTF-8"
    assert scores[1]["compound"] is None
    assert answer["status"] == "partial"
    assert answer["errors"][0]["message"] == "2 of 5 texts could not be scored"


@pytest.mark.skipif(os.name == "nt", reason="its arguments are text")
def test_an_argument_that_is_no_utf_8() -> None:
    command = [*map(os.fsencode, PROGRAM), b"sentiment", b"score", b"\xff good", b"--output", b"json"]
    done = subprocess.run(
        command, capture_output=True, timeout=60, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["result"]["scores"][0]["status"] == "error"


def test_the_table_shows_no_control_characters() -> None:
    command = [*PROGRAM, "sentiment", "score", "--explain"]
    stdin = b"\x1b[31mgood\x1b[0m \x00\n" + b"long " * 1000 + b"\n\xff\n"
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout
    assert b"\x00" not in done.stdout
    assert b"\\x1b[31mgood" in done.stdout
    assert b"vader 3.3.2: positive from 0.05" in done.stdout


def test_explain() -> None:
    (found,) = ok("sentiment", "score", "It is not very good", "--explain")["scores"]
    words = {word["word"]: word for word in found["words"]}
    assert list(words) == ["It", "is", "not", "very", "good"]
    assert list(words["good"]) == ["word", "valence", "contribution", "negated", "boosted", "boost"]
    assert (words["good"]["valence"], words["good"]["negated"], words["good"]["boost"]) == (1.9, True, 0.293)
    assert words["very"]["valence"] is None
    table = cli("sentiment", "score", "It is not very good", "--explain").stdout
    assert "+1.9" in table
    assert "-1.623" in table


def test_options() -> None:
    (found,) = ok("sentiment", "score", GERMAN, "--no-language-check")["scores"]
    assert (found["status"], found["language"]) == ("ok", None)
    assert ok("sentiment", "score", GERMAN, "--set", "language=off")["scores"][0]["status"] == "ok"
    result = ok("sentiment", "score", "It isn\u2019t good", "--scorer", "vader+clean", "--set", "negative=-0.9")
    assert (result["scorer"]["name"], result["scores"][0]["label"]) == ("vader+clean", "neutral")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["x", "--scorer", "vadr"], "did you mean 'vader'"),
        (["x", "--set", "colour"], "KEY=VALUE"),
        (["x", "--set", "colour=red"], "no option 'colour'"),
        (["x", "--set", "max_chars=0"], "max_chars"),
        (["x", "--set", "language=off", "y"], "unexpected extra argument"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(arguments: list[str], says: str) -> None:
    done = cli("sentiment", "score", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["sentiment", "--help"], ["sentiment", "score", "--help"]])
def test_help_reads_no_lexicon(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom sensorstream.cli.app import run\n"
        f"run({arguments!r})\n"
        "heavy = {'vaderSentiment', 'py3langid', 'numpy', 'sensorstream.sentiment.vader'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr


def test_a_plain_score_loads_no_language_model() -> None:
    code = (
        "import sys\nfrom sensorstream.cli.app import run\n"
        "run(['sentiment', 'score', 'this is what I like about you'])\n"
        "heavy = {'py3langid', 'numpy', 'kafka', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_has_seen_enough_of_a_table_is_no_failure() -> None:
    """As in ``| head -1``; rich would end the program with exit code 1."""
    program = subprocess.Popen(
        [sys.executable, "-m", "sensorstream", "sentiment", "score"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdin.write(b"a great day\n" * 2000)  # more of a table than a pipe holds
    program.stdin.close()
    program.stdout.readline()
    program.stdout.close()
    told = program.stderr.read()
    program.stderr.close()
    assert (program.wait(60), told) == (0, b"")
