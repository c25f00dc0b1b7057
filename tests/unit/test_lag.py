from sensorstream.admin import GroupDescription, GroupMember
from sensorstream.monitor.lag import lag, lag_of
from sensorstream.records import (
    CommitNote,
    TopicPartition,
    commit_note,
    metadata_of,
    note_in,
    parse_commit_note,
    read_commit_note,
)

AIR0, AIR1 = TopicPartition("AIR", 0), TopicPartition("AIR", 1)


def test_unknown_is_never_0() -> None:
    assert lag(3, 10) == 7
    assert lag(10, 10) == 0
    assert lag(None, 10) is None
    assert lag(3, None) is None
    assert lag(11, 10) is None


def test_a_live_member_is_shown_rather_than_the_note_of_an_older_commit() -> None:
    member = GroupMember("member-1", "client", "10.0.0.7", (AIR0, AIR1))
    note = commit_note("AIR_Consumer_0", "laptop")
    described = GroupDescription("g", "Stable", (member,), {AIR0: (4, note)})
    result = lag_of(described, {AIR0: 10, AIR1: 3})
    first, second = result.partitions
    assert (first.consumer_id, first.host, first.lag) == ("member-1", "10.0.0.7", 6)
    assert (second.consumer_id, second.current_offset, second.lag) == ("member-1", None, None)
    assert result.total_lag is None


def test_a_pinned_or_stopped_consumer_is_known_by_its_note() -> None:
    note = commit_note("AIR_Consumer_0", "laptop")
    described = GroupDescription("g", "Empty", (), {AIR0: (10, note), AIR1: (2, "somebody else's")})
    first, second = lag_of(described, {AIR0: 10, AIR1: 5}).partitions
    assert (first.consumer_id, first.host, first.lag) == ("AIR_Consumer_0", "laptop", 0)
    assert (second.consumer_id, second.host, second.lag) == (None, None, 3)


def test_a_partition_that_does_not_tell_its_end_makes_the_total_unknown() -> None:
    described = GroupDescription("g", "Empty", (), {AIR0: (1, ""), AIR1: (2, "")})
    result = lag_of(described, {AIR1: 2})
    assert [row.lag for row in result.partitions] == [None, 0]
    assert result.total_lag is None
    assert lag_of(GroupDescription("g", "Empty", (), {}), {}).total_lag is None


def test_a_note_comes_back_and_another_programs_metadata_is_none() -> None:
    assert parse_commit_note(commit_note("AIR_Consumer_0", "laptop")) == ("AIR_Consumer_0", "laptop")
    note = commit_note("AIR_Consumer_0", "laptop", "0a1b", 300)
    assert parse_commit_note(note) == ("AIR_Consumer_0", "laptop")
    assert read_commit_note(note) == CommitNote("AIR_Consumer_0", "laptop", "0a1b", 300)
    assert read_commit_note(note + "\0") == read_commit_note(note), "as confluent-kafka commits it"
    assert (metadata_of(note), note_in(metadata_of(note))) == (note + "\0", note)
    assert (metadata_of(""), metadata_of("another's"), note_in(None)) == ("", "another's", "")
    assert parse_commit_note(commit_note("AIR_Consumer_0", "laptop") + "\0") == ("AIR_Consumer_0", "laptop")
    for other in (
        "",
        "sensorstream",
        "sensorstream 2 a b",
        "sensorstream 1 a b c",
        "sensorstream 1 a b c x",
        "x 1 a b",
    ):
        assert parse_commit_note(other) is None
