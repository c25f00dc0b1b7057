"""A slow transform gets fewer records at once, whatever it is."""

from sensorstream.pipelines.stream.pace import FIRST, LEAST, MOST, Pace


def test_a_slow_transform_gets_what_it_does_in_a_second() -> None:
    pace = Pace()
    assert pace.rows == FIRST
    pace.took(250, 0.01)
    assert pace.rows == MOST
    pace.took(2500, 25.0)
    assert pace.rows == 100
    pace.took(100, 60.0)
    assert pace.rows == LEAST
    pace.took(10, 0.0)
    assert pace.rows == MOST, "it finds its way back"
    pace.took(0, 5.0)
    assert pace.rows == MOST
