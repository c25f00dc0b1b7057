"""A file has one idea, and is short enough to be read in one go: a test file, too."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_LINES = 400
LONGER: dict[str, str] = {}
"""Files that may have more lines, by their path, each with the reason."""


def test_no_file_is_long_without_a_reason() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("src", "tests", "bench", "tools")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert len(lengths) > 400
    long = {path for path, lines in lengths.items() if lines > MOST_LINES}
    assert not long - LONGER.keys(), "split them by idea, or give the reason in LONGER"
    assert not LONGER.keys() - long, "these are short again: take them out of LONGER"
