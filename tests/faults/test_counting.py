"""The counter counts: a loss, a double, a row out of order or in a wrong partition is seen, and stands in the page."""

from pathlib import Path

import pytest

from faults.counting import Count, compare, count_files
from faults.figures import PAGE, Figures, write


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({0: [0, 2, 4], 1: [1, 3, 5]}, Count(6)),
        ({0: [0, 4], 1: [1, 3, 5]}, Count(6, lost=1)),
        ({1: [1, 3, 5]}, Count(6, lost=3)),
        ({0: [0, 2, 2, 4], 1: [1, 3, 5]}, Count(6, doubled=1)),
        ({0: [0, 2, 4], 1: [1, 3, 5, 1, 3]}, Count(6, doubled=2)),
        ({0: [0, 2, 4], 1: [1, 3, 5, 7]}, Count(6, doubled=1)),
        ({0: [0, 4, 2], 1: [1, 3, 5]}, Count(6, reordered=1)),
        ({0: [0, 2, 3], 1: [1, 4, 5]}, Count(6, reordered=2)),
    ],
)
def test_what_is_wrong_is_counted(found: dict[int, list[int]], wanted: Count) -> None:
    assert compare(found, range(6), 2) == wanted
    assert wanted.is_zero == (wanted == Count(6))


def test_captured_files_are_counted_by_partition(tmp_path: Path) -> None:
    (tmp_path / "a_Consumer_0.csv").write_text('n,text\n0,"row 0\nof many"\n2,"row 2\nof many"\n')
    (tmp_path / "a_Consumer_1.jsonl").write_text('{"n":1,"text":"row 1\\nof many"}\n')
    (tmp_path / "a_Consumer_1.rejected.jsonl").write_text("not counted\n")
    assert count_files(tmp_path, range(4), 2) == Count(4, lost=1)
    (tmp_path / "a_Consumer_0.csv").write_text('n,text\n0,"row 0\nof ma')
    with pytest.raises(AssertionError, match="not whole"):
        count_files(tmp_path, range(4), 2)


def test_a_line_of_the_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    before = len(page.read_text().splitlines())
    for lost in (7, 0):
        write(Figures(99, "none", "librdkafka", "c", 1, Count(10, lost=lost), 0.25, 5, 1, "4.4.0"), page)
        lines = page.read_text().splitlines()
        assert len(lines) == before + 1
        assert any(
            line.startswith(f"| 99 | none | librdkafka | c | 10 | 1 | {lost} | 0 | 0 | 0 | 0.2 s | 5 s | 1 |")
            for line in lines
        )
