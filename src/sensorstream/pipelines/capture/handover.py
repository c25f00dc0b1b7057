"""Stations 6-9: where a group member continues in its own file after other members have read further.

Members with folders of their own share nothing but what the group has committed. The note that comes with a commit
says which file the rows are in: where that is another one than the member's own, the rows between its own position and
the group's are there, and it goes on behind them.
"""

from dataclasses import dataclass

from sensorstream.records import Commit, CommitNote, read_commit_note
from sensorstream.sinks.held import Held


@dataclass(frozen=True, slots=True)
class Taken:
    """Others have stored the offsets up to before ``position``; ``by`` is who has committed it."""

    position: int
    by: CommitNote


def taken_by_others(held: Held | None, stored: int, commit: Commit | None) -> Taken | None:
    """Whether the group is ahead of a file with another member's, so that the file is to go on behind that.

    None where the group's position is the file's own (it was put back from a copy, say), or where nobody knows in which
    file the rows are: then the file continues at its position, which loses nothing.
    """
    if held is None or commit is None or commit.offset <= stored:
        return None
    by = read_commit_note(commit.note)
    if by is None or by.file in ("", held.file):
        return None
    return Taken(commit.offset, by)
