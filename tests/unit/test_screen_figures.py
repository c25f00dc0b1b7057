"""What the screen writes: figures, sparklines, plots, the order of tables, columns that fit."""

import pytest

from screen_views import view
from sensorstream.monitor.screen import drilling, figures, latency, overview
from sensorstream.monitor.screen.canvas import width_of
from sensorstream.monitor.screen.columns import Cell, Column, Table
from sensorstream.monitor.screen.grid import fit
from sensorstream.monitor.screen.places import Place, path
from sensorstream.monitor.screen.plot import plot, round_up
from sensorstream.monitor.view import Point, View


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (figures.count(1234567), "1,234,567"),
        (figures.count(None), "?"),
        (figures.rate(0), "0"),
        (figures.rate(0.254), "0.25"),
        (figures.rate(12.34), "12.3"),
        (figures.rate(1234.5), "1,234"),
        (figures.rate(None), "?"),
        (figures.size(999), "999 B"),
        (figures.size(12_500_000), "12.5 MB"),
        (figures.duration(0), "0 s"),
        (figures.duration(4.24), "4.2 s"),
        (figures.duration(200), "3m20s"),
        (figures.duration(7500), "2h05m"),
        (figures.duration(563_000), "6d12h"),
        (figures.milliseconds(0.853), "0.85 ms"),
        (figures.milliseconds(1250), "1,250 ms"),
        (figures.sparkline([0, 4, None, 8], 6), "  ▁▅ █"),
        (figures.sparkline([], 3), "   "),
        (fit("Temperature", 6), "Tempe…"),
        (fit("温度計", 4, right=True), "温 …"),
        (fit("7", 3, right=True), "  7"),
    ],
)
def test_figures(made: str, text: str) -> None:
    assert made == text


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (1.2, 2), (37, 50), (5001, 10_000), (0.03, 0.05)])
def test_an_axis_ends_with_a_round_number(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


def test_a_plot_has_gaps_where_nothing_is_known_and_the_newest_on_the_right() -> None:
    series = [Point(float(at), None if at == 2 else 10.0) for at in range(6)]
    drawn = ["".join(cell.text for cell in line) for line in plot(series, 10, 2)]
    assert drawn[0].startswith("10.0┤")
    assert drawn[1].startswith("   0┤")
    assert [line[-3:] for line in drawn] == ["⣿⢸⣿", "⣿⢸⣿"]


def test_a_long_series_shows_its_peaks() -> None:
    series = [Point(float(at), 100.0 if at == 500 else 1.0) for at in range(1000)]
    assert any(dot in "⡇⢸⣿" for dot in "".join(cell.text for cell in plot(series, 30, 4)[0]))


def test_unknown_comes_last_whichever_way_a_table_is_sorted() -> None:
    by_value = Column[int | None]("value", lambda one: Cell(str(one)), lambda one: one, "v", falling=True)
    table = Table([by_value], [3, None, 1, 2], key=lambda one: one, text=str)
    assert table.arranged("v", False, "") == [3, 2, 1, None]
    assert table.arranged("v", True, "") == [1, 2, 3, None]
    assert table.arranged("", False, "") == [3, None, 1, 2]


@pytest.mark.parametrize(("width", "height"), [(80, 21), (72, 18), (160, 45)])
def test_the_overview_fits_its_screen(width: int, height: int) -> None:
    for shown in (view(), view(topics=0, groups=0), view(topics=60, groups=60), View(view().snapshot)):
        lines = overview.lines(shown, width, height)
        assert max(map(width_of, lines)) <= width
        assert len(lines) <= height + 1


def test_the_lag_of_all_groups_is_unknown_when_one_is() -> None:
    series = {"a": (Point(1.0, 5.0), Point(2.0, 6.0)), "b": (Point(1.0, 1.0), Point(2.0, None))}
    found = overview.total_lag(View(view().snapshot, lag_series=series))
    assert found == (Point(1.0, 6.0), Point(2.0, None))


def test_the_slowest_row_of_each_second() -> None:
    points = latency.by_second([(10.1, 0.005), (10.9, 0.02), (12.0, 0.001)])
    assert [point.value for point in points] == [20.0, None, 1.0]


def test_the_busiest_topic_is_shown_first_and_internal_ones_never() -> None:
    assert drilling.likely_topic(view(topics=4)) == "topic-003"
    assert drilling.likely_topic(view(topics=0)) is None


def test_the_path_names_a_partition_by_its_number_below_its_topic() -> None:
    assert (
        path("topics", [Place(), Place(topic="AIR"), Place(topic="AIR", partition=2)]) == "Topics > AIR > partition 2"
    )
    assert path("groups", [Place(), Place(group="g"), Place(topic="AIR", partition=2)]) == "Groups > g > AIR[2]"


def test_letters_of_a_table_are_its_own_and_stand_in_its_titles() -> None:
    shown = view()
    places = [Place(), Place(topic="topic-000"), Place(broker=1), Place(group="group-000")]
    for tab, place in [("brokers", places[0]), ("topics", places[0]), ("groups", places[0])] + [
        ("topics", place) for place in places[1:]
    ]:
        columns = drilling.table_of(shown, tab, place).columns  # type: ignore[arg-type]
        letters = [column.letter for column in columns if column.letter]
        assert len(letters) == len(set(letters)), letters
        assert not set(letters) & set("pqt") - ({"t"} if any(c.title == "topic" for c in columns) else set())
        for column in columns:
            assert column.letter in column.title
