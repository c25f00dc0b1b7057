"""Stations 1-4, exactly once: whether a job can be continued from its stored progress."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sensorstream.errors import UsageError
from sensorstream.events import Notice
from sensorstream.pipelines.replay.job_records import JobProgress, JobRecord, JobState
from sensorstream.wording import counted

_SHOWN: Final = {"partition_by": "the partition rule"}


def going_on(wanted: JobRecord, jobs: Mapping[str, JobState], *, restart: bool) -> JobState | None:
    """The stored job that this one goes on with; None when it begins anew. ``jobs`` are those that are stored.

    Raises UsageError for one that must not be published, unless it is restarted.
    """
    if restart:
        return None
    refused = refusal(wanted, jobs)
    if refused is not None:
        raise refused
    state = jobs.get(wanted.name)
    if state is None or is_gone(state.record, wanted):
        return None
    if state.record.shares != wanted.shares:
        parts = f"shared by {state.record.shares} processes" if state.record.shares > 1 else "published by one process"
        raise UsageError(
            f"job {wanted.name} was begun with its source {parts}",
            hint="continue with the same --processes, or publish all of it from the beginning with --restart",
        )
    return state


def how_it_begins(topic: str, key: str, done: JobProgress, *, new_topic: bool, loop: bool) -> Notice:
    """What to tell of a job that begins, anew or behind what is ``done``. ``new_topic``: its topic was made anew."""
    if new_topic:
        return Notice(f"topic {topic} was created again since job {key} published to it: the job starts over")
    if done.committed_ms is not None:
        place = f"row {done.next_row}" + (f" of round {done.round}" if loop else "")
        return Notice(f"{topic}: job {key} continues at {place}: {counted(done.rows, 'row')} published")
    return Notice(f"{topic}: job {key} begins at row {done.next_row}", "debug")


def is_gone(stored: JobRecord, wanted: JobRecord) -> bool:
    """Whether the topic that the job published into has been deleted; another one may have its name now."""
    known = stored.topic_id is not None and wanted.topic_id is not None
    return known and stored.topic_id != wanted.topic_id


def is_followed(*records: JobRecord) -> bool:
    """Whether the file of one of them is followed, and so has other content all the time."""
    return any("follow" in record.rule for record in records)


def refusal(wanted: JobRecord, jobs: Mapping[str, JobState]) -> UsageError | None:
    """Why this job may not be published without ``--restart``; None when it may begin or go on.

    ``jobs`` are those that are stored.
    """
    stored = jobs.get(wanted.name)
    if stored is not None:
        return None if is_gone(stored.record, wanted) else _differs(stored, wanted)
    if wanted.named:
        return None
    for state in jobs.values():
        known = state.record
        if known.named or known.topic != wanted.topic or is_gone(known, wanted):
            continue
        same_place = (known.file.path, known.file.host) == (wanted.file.path, wanted.file.host)
        same_content = known.file.sha256 == wanted.file.sha256 and not is_followed(known, wanted)
        if same_content or same_place:
            return _differs(state, wanted)
    return None


def related(wanted: JobRecord, jobs: Mapping[str, JobState]) -> list[JobRecord]:
    """The stored jobs without a name of the user's that ``--restart`` replaces by this one."""
    return [
        state.record
        for state in jobs.values()
        if not wanted.named and state.record.name != wanted.name and refusal(wanted, {state.record.name: state})
    ]


def _differs(stored: JobState, wanted: JobRecord) -> UsageError | None:
    known = stored.record
    name = Path(wanted.file.path).name
    reasons = []
    if known.topic != wanted.topic:
        reasons.append(f"it published to topic {known.topic}, not {wanted.topic}")
    if known.file.sha256 != wanted.file.sha256 and not is_followed(known, wanted):
        reasons.append(f"{name} has other content than when the job began ({counted(known.file.size, 'byte')} then)")
    if known.partitions != wanted.partitions:
        reasons.append(f"topic {wanted.topic} has {counted(wanted.partitions, 'partition')}, it had {known.partitions}")
    for option in sorted(known.rule.keys() | wanted.rule.keys()):
        before, now = known.rule.get(option), wanted.rule.get(option)
        if before != now:
            what = _SHOWN.get(option, f"--{option.replace('_', '-')}")
            reasons.append(f"{what} was {before or 'not given'}, now it is {now or 'not given'}")
    if not reasons:
        return None
    rows = sum(part.rows for part in stored.progress if part is not None)
    return UsageError(
        f"job {known.name} has published {counted(rows, 'row')} to {known.topic} and can't be continued: "
        f"{'; '.join(reasons)}",
        hint="publish all of it from the beginning with --restart, or beside it under another name with --job NAME",
    )
