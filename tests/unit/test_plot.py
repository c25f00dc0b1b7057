"""Curves of files: what is read, what is thinned, and that no name of a file or column is obeyed."""

import json
import math
import os
import re
import stat
from pathlib import Path

import pytest

from running import cli
from sensorstream.cli.app import run
from sensorstream.errors import SinkError, SourceError, UsageError
from sensorstream.plotting.curves import POINTS, Curve, Panel, Plot
from sensorstream.plotting.image import draw
from sensorstream.plotting.page import figure, page
from sensorstream.plotting.table import read_plot
from sensorstream.plotting.terminal import text_plot
from sensorstream.plotting.written import write_whole

HEAD = "Time,Station,PM2.5,Temperature\n"


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_each_column_is_a_panel_and_each_station_a_curve_in_order_of_time(tmp_path: Path) -> None:
    rows = "".join(f"2023-08-31 00:0{n}:00,{'AB'[n % 2]},{n}.5,20\n" for n in reversed(range(6)))
    plot, drawn = read_plot([write(tmp_path / "air.csv", HEAD + rows)], ["PM2.5", "Temperature"], "Station")
    assert [panel.title for panel in plot.panels] == ["PM2.5", "Temperature"]
    first = plot.panels[0]
    assert [(curve.label, list(curve.y)) for curve in first.curves] == [("A", [0.5, 2.5, 4.5]), ("B", [1.5, 3.5, 5.5])]
    assert first.x_is_time
    assert list(first.curves[0].x) == [1693440000.0, 1693440120.0, 1693440240.0]
    assert (drawn.rows, drawn.first, drawn.last, drawn.left_out) == (6, 1693440000.0, 1693440300.0, 0)


def test_without_columns_the_first_numbers_are_drawn_and_what_is_missing_is_a_gap(tmp_path: Path) -> None:
    text = HEAD + "".join(f"2023-08-31 00:0{n}:00,A,{'' if n == 1 else n},-999\n" for n in range(3))
    plot, drawn = read_plot([write(tmp_path / "air.csv", text.replace("-999\n", "7\n"))])
    assert drawn.columns == ("PM2.5", "Temperature")
    values = list(plot.panels[0].curves[0].y)
    assert (values[0], math.isnan(values[1]), values[2]) == (0.0, True, 2.0)


def test_a_file_without_times_is_drawn_by_its_rows_and_objects_by_their_fields(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"n": n, "name": "x"}) + "\n" for n in range(4))
    plot, drawn = read_plot([write(tmp_path / "a.jsonl", lines)], ["n"])
    assert not plot.panels[0].x_is_time
    assert (list(plot.panels[0].curves[0].x), list(plot.panels[0].curves[0].y)) == ([0, 1, 2, 3], [0, 1, 2, 3])
    assert drawn.first is None


def test_decimal_commas_and_semicolons_are_read_as_a_replay_reads_them(tmp_path: Path) -> None:
    text = "Time;PM\n2023-08-31 00:00:00;2,5\n2023-08-31 00:01:00;3,5\n"
    plot, _ = read_plot([write(tmp_path / "air.csv", text)])
    assert list(plot.panels[0].curves[0].y) == [2.5, 3.5]


def test_several_files_are_curves_with_their_names(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.csv", f"{HEAD}2023-08-31 00:00:00,A,1,2\n") for name in "ab"]
    plot, _ = read_plot(files, ["PM2.5"])
    assert [curve.label for curve in plot.panels[0].curves] == ["a.csv", "b.csv"]


def test_a_long_curve_is_thinned_and_keeps_its_peaks(tmp_path: Path) -> None:
    peaks = {5_431: 900, 7_777: -900}
    rows = "".join(f"{1_693_440_000 + n},{peaks.get(n, n % 10)}\n" for n in range(12_000))
    plot, drawn = read_plot([write(tmp_path / "a.csv", "time,v\n" + rows)], ["v"])
    values = list(plot.panels[0].curves[0].y)
    assert drawn.rows == 12_000
    assert len(values) <= POINTS
    assert (max(values), min(values)) == (900, -900)


@pytest.mark.parametrize(
    ("columns", "by", "error", "told"),
    [
        (["PM25"], None, UsageError, "no column 'PM25'"),
        (["PM2.5"], "station", UsageError, "no column 'station'"),
        (["Station"], None, UsageError, "has no numbers"),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, columns: list[str], by: str | None, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        read_plot([write(tmp_path / "air.csv", HEAD + "2023-08-31 00:00:00,A,1,2\n")], columns, by)


def test_a_file_without_rows_or_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises((SourceError, UsageError)):
        read_plot([write(tmp_path / "air.csv", HEAD)], ["PM2.5"])
    with pytest.raises(SourceError):
        read_plot([str(tmp_path / "none.csv")])


EVIL = "<script>alert(1)</script> $x^{$ [red] _b"


def test_names_are_shown_as_they_are_in_every_kind_of_picture() -> None:
    plot = Plot(EVIL, (Panel(EVIL, (Curve("_" + EVIL, [0, 1], [1, 2]), Curve(EVIL, [0], [1])), False, EVIL),))
    svg = draw(plot, "svg").decode()
    assert "<script>" not in svg
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $x^{$ [red] _b" in svg
    assert draw(plot, "svg") == draw(plot, "svg"), "the same rows give the same bytes"
    assert draw(plot, "png", "dark").startswith(b"\x89PNG")
    html = page(EVIL, figure(plot))
    assert "<script>" not in html
    # The names of XML vocabularies alone: nothing is fetched.
    hosts = set(re.findall(r"https?://([^/\"]+)", html))
    assert hosts <= {"www.w3.org", "purl.org", "creativecommons.org"}
    assert "[red]" in text_plot(plot, 80, colour=False)


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "air.svg"
    write_whole(target, b"one")
    write_whole(target, b"two")
    assert target.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [target]
    (tmp_path / "folder").mkdir()
    for place in ("no/air.svg", "air.svg/x.svg", "x" * 300 + ".svg", "folder"):
        with pytest.raises(SinkError, match="can't be written"):
            write_whole(tmp_path / place, b"x")
    write_whole(tmp_path / ("x" * 250 + ".svg"), b"a name as long as it may be")


def test_a_picture_keeps_the_mode_of_the_one_before_and_follows_no_link(tmp_path: Path) -> None:
    target, other = tmp_path / "air.svg", tmp_path / "other"
    other.write_bytes(b"another's")
    (tmp_path / f".air.svg.{os.getpid()}.tmp").symlink_to(other)
    target.write_bytes(b"one")
    target.chmod(0o640)
    write_whole(target, b"two")
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"two", 0o640)
    assert other.read_bytes() == b"another's"


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["INF", "1", "-inf", "2", "1e308"], [math.nan, 1, math.nan, 2, math.nan]),
        (["", "5", ""], [math.nan, 5, math.nan]),
        (["7", "7", "7"], [7, 7, 7]),
        (["5"], [5]),
    ],
)
def test_any_column_with_a_number_is_drawn_in_the_terminal(
    tmp_path: Path, cells: list[str], values: list[float]
) -> None:
    rows = "".join(f"2023-08-31 00:0{n}:00,A,{cell},1\n" for n, cell in enumerate(cells))
    plot, _ = read_plot([write(tmp_path / "air.csv", HEAD + rows)], ["PM2.5"])
    assert list(plot.panels[0].curves[0].y) == pytest.approx(values, nan_ok=True)
    shown = text_plot(plot, 60, colour=False)
    assert any(mark in shown for mark in "▖▗▘▝▄▀▞▚"), shown
    assert ("00:02:00" in shown) is (len(cells) == 3), "times below the axis are those of all rows"


def test_infinity_alone_is_no_number_and_nor_is_what_no_float_can_hold(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no numbers"):
        read_plot([write(tmp_path / "air.csv", HEAD + "2023-08-31 00:00:00,A,inf,1\n")], ["PM2.5"])
    plot, _ = read_plot([write(tmp_path / "a.jsonl", f'{{"n": {10**400}}}\n{{"n": 2}}\n')], ["n"])
    assert list(plot.panels[0].curves[0].y) == pytest.approx([math.nan, 2], nan_ok=True)


def test_the_command_draws_in_the_terminal_and_into_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    air = write(tmp_path / "air.csv", HEAD + "".join(f"2023-08-31 00:0{n}:00,A,{n},2\n" for n in range(5)))
    shown = cli("plot", "air.csv", "--columns", "PM2.5", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "PM2.5" in shown.stdout
    assert "\x1b" not in shown.stdout, "no colours where the output is no terminal"
    # In this process: matplotlib takes a second to import.
    for ending, begin in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".html", b"<!doctype html>")):
        picture = tmp_path / f"air{ending}"
        assert run(["plot", air, "--out", str(picture), "--output", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["result"]["rows"] == 5
        assert picture.read_bytes().startswith(begin)
    assert run(["plot", air, "--out", str(tmp_path / "air.gif")]) == 2
    assert ".png, .svg or .html" in capsys.readouterr().err
