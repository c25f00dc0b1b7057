from sensorstream.wording import counted, numbered


def test_numbers_of_things_are_told_in_words() -> None:
    assert [counted(count, "row") for count in (0, 1, 2, 1440)] == ["0 rows", "1 row", "2 rows", "1,440 rows"]
    assert [numbered("broker", ones) for ones in ((2,), (1, 2))] == ["broker 2", "brokers 1, 2"]
