"""Stations 1-4 described: how rows are read and published, stored in the dead letters of unusable rows."""

from typing import TYPE_CHECKING, Any

from sensorstream.sources.base import Source

if TYPE_CHECKING:
    from sensorstream.pipelines.replay.spec import Rules


def how_published(source: Source, rules: "Rules") -> dict[str, Any]:
    """The source's form, and of the rules what decides a record's value, partition, key and time, unless it is the
    default.

    The source is open.
    """
    how: dict[str, Any] = dict(source.form)
    if rules.partition_by != "row":
        how["partition_by"] = rules.partition_by
    if rules.key is not None:
        how["key"] = rules.key
    if rules.value is not None:
        how |= rules.value.how
    if rules.original_timestamps and rules.time is not None:
        how |= {"time_column": rules.time.column, "time_format": rules.time.format}
        if rules.time.zone is not None:
            how["time_zone"] = rules.time.zone
    return how
