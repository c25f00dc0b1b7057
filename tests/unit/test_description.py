"""The description of a source: what was said, from options and from a topic's table, and what can't be."""

from pathlib import Path
from typing import Any

import pytest

from sensorstream import config
from sensorstream.description import Description, description_of, whole_numbers
from sensorstream.errors import ConfigError, UsageError


def test_what_is_said_on_the_command_line_goes_before_the_table() -> None:
    table = Description(delimiter=";", decimal=",", missing=("NA",))
    given = Description(decimal=".", skip_lines=2)
    assert given.over(table) == Description(delimiter=";", decimal=".", missing=("NA",), skip_lines=2)


def test_a_table_is_read_with_lists_and_single_values() -> None:
    table = {
        "source_format": "csv",
        "columns": ["a", "b"],
        "units_line": 3,
        "missing": ["NA", -999, "b=-200"],
        "type": {"a": "number", "b": "text"},
        "partitions": 2,
    }
    assert description_of(table, "topic X") == Description(
        format="csv",
        columns=("a", "b"),
        units_line=(3,),
        missing=("NA", "-999", "b=-200"),
        types=("a=number", "b=text"),
    )


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"skip_lines": "two"}, "skip_lines = 'two' is not a whole number"),
        ({"skip_lines": True}, "skip_lines = True is not a whole number"),
        ({"no_header": "yes"}, "no_header = 'yes' is not true or false"),
        ({"widths": [1, "2"]}, "widths = \\[1, '2'\\] is not a list of numbers"),
        ({"type": {"a": "integer"}}, "--type 'a=integer' is not COLUMN=TYPE"),
        ({"delimiter": 1}, "delimiter = 1 is not text"),
        ({"source_format": "xls"}, "--source-format 'xls' is not known"),
    ],
)
def test_what_a_table_can_not_say_names_the_topic_and_the_key(table: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=f"topic X: {reason}"):
        description_of(table, "topic X")


@pytest.mark.parametrize(
    "description",
    [
        Description(decimal=",,"),
        Description(decimal="1"),
        Description(thousands="."),
        Description(decimal=",", thousands=","),
        Description(comment=" "),
        Description(skip_lines=-1),
        Description(header_lines=0),
        Description(units_line=(0,)),
        Description(widths=(4, 0)),
        Description(widths=(4,), delimiter=";"),
        Description(columns=("a",), no_header=True),
        Description(columns=("a",), header_lines=2),
        Description(no_header=True, repeated_header=True),
        Description(types=("a=number", "a=text")),
        Description(order="size"),
    ],
)
def test_what_can_not_be_is_refused(description: Description) -> None:
    with pytest.raises(UsageError):
        description.check()


def test_the_file_of_configuration_describes_sources(tmp_path: Path) -> None:
    (tmp_path / config.FILE_NAME).write_text(
        '[topics.BUOY]\nsource = "buoy.txt"\ndelimiter = "blanks"\ncomment = "#"\nmissing = ["MM"]\n'
    )
    settings = config.load(start=tmp_path, environ={})
    assert settings.topic("BUOY").description == Description(delimiter="blanks", comment="#", missing=("MM",))
    assert settings.topic("OTHER").description == Description()


def test_a_rule_of_a_job_holds_what_was_said_alone() -> None:
    assert Description(comment="#", widths=(3, 4), types=("a=text",), order="time").as_rule() == {
        "comment": "#",
        "widths": "3,4",
        "type": "a=text",
    }


def test_numbers_of_an_option() -> None:
    assert whole_numbers("10, 5,8", "--widths") == (10, 5, 8)
    with pytest.raises(UsageError, match="--widths '10,x' is no list of numbers"):
        whole_numbers("10,x", "--widths")
