"""Stations 1-4, exactly once: which job a replay of a file belongs to.

A job is a file's content, a topic, a partition rule and a number of partitions: going on with any of them changed
would publish rows twice, or not at all.
"""

import hashlib
import json
import os
import re
import socket
import stat
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensorstream.errors import SourceError, UsageError
from sensorstream.pipelines.replay.job_records import JobFile, JobRecord, JobRun
from sensorstream.sources.opening import open_stored
from sensorstream.sources.several import files_of

_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class OnceRules:
    """What the user asked for: the source's ``path``; the job's ``name``, None for the default one; ``rule``: what
    makes records of rows, by option; ``order``: that of several files."""

    path: str
    name: str | None
    rule: Mapping[str, str]
    order: str | None = None


class SourceFile:
    """A source's file, or its several files, with the content that it has now."""

    def __init__(self, path: str, order: str | None = None) -> None:
        """Reads every file once. Raises SourceError, UsageError for a pipe or standard input."""
        self._path = path
        self._order = order
        digest = hashlib.sha256()
        self._seen: dict[str, tuple[int, int, int, int]] = {}
        for one in files_of(path, order):
            check_regular(one)
            if self._seen:
                # Where a file ends is part of the content.
                digest.update(b"\0%d\0" % sum(mark[0] for mark in self._seen.values()))
            # As it stands, compressed where it is.
            file, read_some, _ = open_stored(one, one)
            assert file is not None  # noqa: S101  # for the type checker
            with file:
                self._seen[one] = _mark(os.fstat(file.fileno()))
                while some := read_some(_READ_BYTES):
                    digest.update(some)
        size = sum(mark[0] for mark in self._seen.values())
        self.file = JobFile(str(Path(path).resolve()), socket.gethostname(), size, digest.hexdigest())

    def check_unchanged(self) -> None:
        """Raises SourceError when the files are no longer those that were read."""
        try:
            now = files_of(self._path, self._order)
            same = now == list(self._seen) and all(_mark(Path(one).stat()) == self._seen[one] for one in now)
        except (OSError, SourceError):
            same = False
        if not same:
            raise SourceError(
                f"{self._path} was changed while it was being published; what is committed stays",
                hint="publish only files that are no longer written",
            )


def _mark(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino


def check_regular(path: str) -> None:
    """Raises UsageError unless the source can be read again from any row on; SourceError where there is no file."""
    if path == "-":
        raise UsageError(
            "--exactly-once can't be used with stdin: what was read from it can't be read again",
            hint="write it into a file first",
        )
    try:
        kind = Path(path).stat().st_mode
    except OSError:
        return  # the source itself says what is wrong with it, in its own words
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise UsageError(
            f"--exactly-once can't be used with {path}: it is a pipe, and what was read from it can't be read again",
            hint="write it into a file first",
        )


def job_names(name: str | None, topics: Iterable[str]) -> list[str | None]:
    """The names of a command's jobs, one for each source: NAME/TOPIC, with a number where a topic has several.

    Raises UsageError for a name that can't be.
    """
    if name is None:
        return [None for _ in topics]
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
        raise UsageError(f"--job {name!r} can't be a name", hint="use 1 to 100 letters, digits, '.', '_' and '-'")
    names: list[str | None] = []
    for topic in topics:
        known = f"{name}/{topic}"
        count = sum(one == known or str(one).startswith(f"{known}/") for one in names)
        names.append(f"{known}/{count + 1}" if count else known)
    return names


def new_record(
    rules: OnceRules, file: JobFile, topic: str, topic_id: str | None, partitions: int, shares: int = 1
) -> JobRecord:
    """The job of this file, as it would begin now."""
    name = rules.name
    if name is None:
        content = ["followed", file.host, file.path] if "follow" in rules.rule else file.sha256
        same = json.dumps([content, topic, rules.rule.get("partition_by"), rules.rule.get("key"), partitions])
        name = hashlib.sha256(same.encode()).hexdigest()[:16]
    return JobRecord(
        name,
        uuid.uuid4().hex,
        rules.name is not None,
        topic,
        topic_id,
        partitions,
        dict(rules.rule),
        file,
        shares,
        int(time.time() * 1000),
    )


def this_run() -> JobRun:
    """What to call this run of the program."""
    return JobRun(uuid.uuid4().hex, socket.gethostname(), os.getpid(), int(time.time() * 1000))
