"""Stations 1-4, exactly once: the job of a file that is followed.

Its content is never final. So the job is known by where the file is, and with each commit it tells the file's
beginning as far as its rows are committed: the file that goes on from there is the same one, whatever its name is then.
"""

import socket
from dataclasses import replace
from pathlib import Path

from sensorstream.pipelines.replay.job_records import JobFile
from sensorstream.sources.rotation import NOTHING, Prefix


def followed_file(path: str) -> JobFile:
    """The file of a job of which nothing is published. A link is not resolved: it may lead elsewhere tomorrow."""
    return JobFile(str(Path.cwd() / path), socket.gethostname(), 0, NOTHING)


def prefix_of(file: JobFile) -> Prefix:
    """What is published of the file."""
    return Prefix(file.size, file.sha256, file.inode)


def published(file: JobFile, prefix: Prefix) -> JobFile:
    """The file, of which so much is published."""
    return replace(file, size=prefix.size, sha256=prefix.sha256, inode=prefix.inode)
