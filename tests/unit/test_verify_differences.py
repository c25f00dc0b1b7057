"""verify: captured files whole and with mishaps, each of which is found, counted and named."""

import json
from pathlib import Path

import pytest

from sensorstream.errors import UsageError
from sensorstream.pipelines.verify.verdict import VerifyOptions
from sensorstream.sources.formats import SourceForm
from verify_labs import capture, check, edit, figures, write_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "AIR.csv")


@pytest.fixture
def folder(source: Path, tmp_path: Path) -> Path:
    return capture(source, tmp_path / "captured")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("sidecars", [True, False])
def test_a_whole_capture_is_right(source: Path, tmp_path: Path, form: str, raw: bool, sidecars: bool) -> None:
    folder = capture(source, tmp_path / "it", form=form, raw=raw)
    if not sidecars:
        for position in folder.glob("*.position"):
            position.unlink()
    verdict = check(source, folder, options=VerifyOptions(raw=raw))
    assert verdict.exactly_once, verdict.first_difference
    assert (verdict.expected, verdict.captured, verdict.partitions) == (60, 60, 2)
    assert [Path(name).name for name in verdict.captured_files] == [f"AIR_Consumer_{p}.{form}" for p in (0, 1)]


def test_unescaped_text_where_escaped_is_expected_is_a_difference(source: Path, tmp_path: Path) -> None:
    folder = capture(source, tmp_path / "it", raw=True)
    for position in folder.glob("*.position"):
        position.unlink()
    verdict = check(source, folder)
    assert not verdict.exactly_once
    assert verdict.missing == verdict.unexpected == 0
    assert verdict.different > 5


def test_a_missing_row(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_0.csv", lambda lines: lines.pop(3))
    verdict = check(source, folder)
    assert figures(verdict) == {"missing": 1}
    first = verdict.first_difference
    assert first is not None
    assert (first.kind, first.source_file, first.source_line) == ("missing", str(source), 6)
    assert first.text == f"{source} line 6 is missing from {folder}/AIR_Consumer_0.csv"


def test_a_doubled_row(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_1.csv", lambda lines: lines.insert(3, lines[2]))
    verdict = check(source, folder)
    assert figures(verdict) == {"doubled": 1}
    first = verdict.first_difference
    assert first is not None
    assert (first.kind, first.captured_file, first.captured_line) == ("doubled", f"{folder}/AIR_Consumer_1.csv", 4)


def test_a_whole_capture_appended_once_more_is_all_doubled(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_0.csv", lambda lines: lines.extend(lines[1:]))
    assert figures(check(source, folder)) == {"doubled": 30}


def test_a_row_out_of_order(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_1.csv", lambda lines: lines.insert(4, lines.pop(2)))
    verdict = check(source, folder)
    assert figures(verdict) == {"reordered": 1}
    assert verdict.first_difference is not None
    assert "is out of order" in verdict.first_difference.text


def test_a_changed_value_is_named_with_its_column(source: Path, folder: Path) -> None:
    path = folder / "AIR_Consumer_0.csv"
    path.write_bytes(path.read_bytes().replace(b"2023-08-31 00002,SVDT1,,7.02", b"2023-08-31 00002,SVDT1,,7.020"))
    verdict = check(source, folder)
    assert figures(verdict) == {"different": 1}
    first = verdict.first_difference
    assert first is not None
    assert (first.source_line, first.captured_line) == (4, 3)
    assert (first.column, first.expected, first.captured) == ("pH", "7.02", "7.020")
    assert first.text == f"{path} line 3, column pH: '7.020' where {source} line 4 has '7.02'"


def test_a_changed_value_of_a_json_line(source: Path, tmp_path: Path) -> None:
    folder = capture(source, tmp_path / "it", form="jsonl")
    edit(folder / "AIR_Consumer_0.jsonl", lambda it: it.__setitem__(0, it[0].replace(b'"0012"', b"12")))
    edit(folder / "AIR_Consumer_1.jsonl", lambda it: it.__setitem__(4, b"no json\n"))
    verdict = check(source, folder)
    assert figures(verdict) == {"different": 1, "missing": 1, "unexpected": 1}
    assert verdict.first_difference is not None
    assert (verdict.first_difference.expected, verdict.first_difference.captured) == ('"0012"', "12")


def test_json_lines_written_in_another_way_are_the_same(source: Path, tmp_path: Path) -> None:
    folder = capture(source, tmp_path / "it", form="jsonl")
    path = folder / "AIR_Consumer_0.jsonl"
    first, *rest = path.read_text().splitlines()
    row = json.loads(first)
    turned = json.dumps(dict(reversed(row.items())), indent=1).replace("\n", " ").replace("7.0,", "7.00,")
    path.write_text("\n".join([turned, *rest]) + "\n")
    assert check(source, folder).exactly_once


def test_a_row_that_no_source_has(source: Path, folder: Path) -> None:
    edit(folder / "AIR_Consumer_0.csv", lambda lines: lines.append(b"2024,SVDT9,x,1\n"))
    verdict = check(source, folder)
    assert figures(verdict) == {"unexpected": 1}
    edit(folder / "AIR_Consumer_1.csv", lambda lines: lines.append(b"half a ro"))
    assert figures(check(source, folder)) == {"unexpected": 2}


def test_a_value_in_a_column_of_its_own_is_a_difference(source: Path, folder: Path) -> None:
    path = folder / "AIR_Consumer_1.csv"
    lines = path.read_text().replace("pH\n", "pH,More\n", 1)
    path.write_text(lines.replace("7.01\n", "7.01,x\n", 1).replace("\n2023-08-31 00003,SVDT1,1.50,7.03\n", "\n", 1))
    verdict = check(source, folder)
    assert verdict.captured == 29 + 30
    assert not verdict.exactly_once


def test_columns_in_another_order_are_the_same_rows(tmp_path: Path) -> None:
    source = tmp_path / "AIR.csv"
    source.write_text("a,b\n1,2\n3,4\n5,6\n")
    captured = tmp_path / "AIR_Consumer_0.csv"
    captured.write_text("b,c,a\n2,,1\n4,,3\n6,,5\n")
    assert check(source, captured).exactly_once
    captured.write_text("b,c,a\n2,,1\n4,x,3\n6,,5\n")
    verdict = check(source, captured)
    assert figures(verdict) == {"different": 1}


def test_a_partition_without_a_file_is_missing(source: Path, folder: Path) -> None:
    (folder / "AIR_Consumer_0.csv").unlink()
    verdict = check(source, folder)
    assert figures(verdict) == {"missing": 30}
    assert verdict.first_difference is not None
    assert verdict.first_difference.text.endswith("is missing: there is no captured file of AIR[0]")
    assert figures(check(source, folder, options=VerifyOptions(partitions=3)))["missing"] > 30


def test_an_empty_captured_file_holds_no_rows(source: Path, folder: Path) -> None:
    (folder / "AIR_Consumer_1.csv").write_bytes(b"")
    assert figures(check(source, folder)) == {"missing": 30}


def test_rows_sent_by_key_are_right_with_any_and_misplaced_without(source: Path, tmp_path: Path) -> None:
    folder = capture(source, tmp_path / "it", partitions=3, rule=lambda number: number * 7 % 5 % 3)
    assert check(source, folder, options=VerifyOptions(partition_by="any")).exactly_once
    verdict = check(source, folder)
    assert verdict.misplaced == verdict.missing > 10
    assert verdict.first_difference is not None
    edit(folder / "AIR_Consumer_2.csv", lambda lines: lines.insert(2, lines.pop(1)))
    assert figures(check(source, folder, options=VerifyOptions(partition_by="any"))) == {"reordered": 1}
    edit(folder / "AIR_Consumer_2.csv", lambda lines: lines.pop())
    verdict = check(source, folder, options=VerifyOptions(partition_by="any"))
    assert figures(verdict) == {"missing": 1, "reordered": 1}


def posts(folder: Path, kind: str = "jsonl") -> Path:
    """A source of posts and its captured files, as produce and consume make them."""
    lines = [f'{{"id": "p{n}", "n":1.{n}0, "tags":["a", {n}]}}' if n % 3 else f'{{"text":"{n}"}}' for n in range(40)]
    if kind == "text":
        lines = [f"-{n}" for n in range(40)]
    source = folder / f"posts.{kind}"
    source.write_text("".join(f"  {line} \n\n" if kind == "jsonl" else f"{line}\n" for line in lines))
    for partition in (0, 1):
        with (folder / f"AIR_Consumer_{partition}.jsonl").open("w") as file:
            for line in lines[partition::2]:
                file.write(f'{{"text":"{line}"}}\n' if kind == "text" else f"{line}\n")
    return source


def test_posts_are_compared_letter_by_letter(tmp_path: Path) -> None:
    source = posts(tmp_path)
    verdict = check(source, tmp_path)
    assert (verdict.expected, verdict.captured, verdict.exactly_once) == (40, 40, True)
    edit(tmp_path / "AIR_Consumer_1.jsonl", lambda lines: lines.__setitem__(3, lines[3].replace(b"1.70", b"1.7")))
    verdict = check(source, tmp_path)
    assert figures(verdict) == {"different": 1}
    first = verdict.first_difference
    assert first
    assert (first.column, first.expected, first.captured) == ("n", "1.70", "1.7")
    assert (first.source_line, first.captured_line) == (15, 4)
    edit(tmp_path / "AIR_Consumer_0.jsonl", lambda lines: lines.pop(2))
    assert figures(check(source, tmp_path)) == {"different": 1, "missing": 1}


def test_plain_text_is_compared_too(tmp_path: Path) -> None:
    source = posts(tmp_path, "text")
    assert check(source, tmp_path, options=VerifyOptions(form=SourceForm("text"))).exactly_once


def test_posts_are_not_compared_with_captured_csv(tmp_path: Path) -> None:
    (tmp_path / "AIR_Consumer_0.csv").write_text("id\np0\n")
    with pytest.raises(UsageError, match="captured CSV files"):
        check(posts(tmp_path).rename(tmp_path / "p.jsonl"), tmp_path / "AIR_Consumer_0.csv")
