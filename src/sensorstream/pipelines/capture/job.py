"""Stations 6-9: from what the user asked for to a capture job and its sinks, checked before anything starts."""

import os
import socket
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensorstream.config import Settings
from sensorstream.errors import SinkError, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.capture.capture import CaptureJob, SinkFactory
from sensorstream.pipelines.start_at import parse
from sensorstream.records import TopicIdentity, TopicPartition, check_topic_name
from sensorstream.sinks.base import Sink
from sensorstream.sinks.checkpoint import Checkpoint

if TYPE_CHECKING:
    from sensorstream.transforms.base import Transform

FORMATS: Final = ("csv", "jsonl")
ENDINGS: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """The options of ``consume``, as they were given. ``to`` is a file, a folder or ``-``; ``timeout`` is seconds.

    ``transforms`` are names, in their order, and ``transform_settings`` their options, as ``key=value``.
    """

    topic: str
    partitions: tuple[int, ...] = ()
    group_given: bool = False
    offset: str | None = None
    exit_at_end: bool = False
    count: int | None = None
    timeout: float | None = None
    to: str = "."
    format: str | None = None
    raw: bool = False
    max_rejects: int | None = None
    log_rows: bool = True
    transforms: tuple[str, ...] = ()
    transform_settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """A checked job and what makes its sinks."""

    job: CaptureJob
    make_sink: SinkFactory
    to_stdout: bool


def capture_name(tp: TopicPartition, form: str) -> str:
    """The file name of a captured partition, as the seed lab has it: ``AIR_Consumer_0.csv``."""
    return f"{tp.topic}_Consumer_{tp.partition}.{form}"


def make_job(settings: Settings, options: CaptureOptions, listener: Listener = ignore) -> CapturePlan:
    """Check the options and plan the capture. Raises UsageError and SinkError; nothing is made yet but the folder."""
    check_topic_name(options.topic)
    if not options.partitions and not options.group_given:
        raise UsageError("consume needs a partition or a group", hint=f"for example: consume -t {options.topic} -p 0")
    if len(set(options.partitions)) != len(options.partitions):
        raise UsageError("a partition is named twice", hint="name each partition once")
    if any(number < 0 for number in options.partitions):
        raise UsageError(f"--partition {min(options.partitions)} is no partition", hint="they count from 0")
    if options.timeout is not None and not 0 < options.timeout < float("inf"):
        raise UsageError(f"--timeout {options.timeout:g} is no time", hint="it is seconds, more than 0")
    if options.format is not None and options.format not in FORMATS:
        raise UsageError(f"--format {options.format!r} is not known", hint=f"it is one of {', '.join(FORMATS)}")
    start = None if options.offset is None else parse(options.offset)
    to_stdout = options.to == "-"
    transform, mark = _transform(options)
    one_file = not to_stdout and _file_form(options) is not None
    if one_file and len(options.partitions) > 1:
        raise UsageError(
            f"--to {options.to} is one file, but several partitions may come",
            hint="give a folder, or one --partition",
        )
    make_sink = _stdout(options, listener) if to_stdout else _files(options, mark, listener)
    if transform is not None:
        make_sink = partial(_transformed, make_sink=make_sink, transform=transform)
    job = CaptureJob(
        topic=options.topic,
        partitions=options.partitions or None,
        group=settings.group,
        client_id=f"sensorstream-{os.getpid()}",
        host=socket.gethostname(),
        start=start,
        # Looking at a topic on the screen must not move the offsets of the group that stores it.
        commit=options.group_given or not to_stdout,
        stop_at_end=options.exit_at_end,
        count=options.count,
        idle_timeout_s=options.timeout,
        max_rejects=options.max_rejects,
        # What is stored of a record is no longer what the log would show.
        log_rows=options.log_rows and not to_stdout and transform is None,
        one_file=one_file,
    )
    return CapturePlan(job, make_sink, to_stdout)


def _transform(options: CaptureOptions) -> "tuple[Transform | None, str]":
    """What the records go through, and what their file says of it."""
    if not options.transforms and not options.transform_settings:
        return None, ""
    from sensorstream.pipelines.capture.transformed import transform_mark
    from sensorstream.transforms.load import open_chain

    transform = open_chain(options.transforms, options.transform_settings)
    return transform, transform_mark(options.transforms, transform, options.transform_settings)


def _transformed(
    tp: TopicPartition, identity: TopicIdentity, *, make_sink: SinkFactory, transform: "Transform"
) -> Sink:
    from sensorstream.pipelines.capture.transformed import TransformedSink

    return TransformedSink(make_sink(tp, identity), transform)


def _stdout(options: CaptureOptions, listener: Listener) -> SinkFactory:
    from sensorstream.sinks.stream import StreamHeader, StreamSink

    header = StreamHeader()

    def make(tp: TopicPartition, identity: TopicIdentity) -> Sink:
        # Not the name beside a captured file: that one is cut to the position of its capture.
        rejected = Path(f"{tp.topic}_Consumer_{tp.partition}.stdout.rejected.jsonl")
        return StreamSink(
            sys.stdout.buffer,
            options.format or "jsonl",
            rejected,
            raw=options.raw,
            header=header,
            listener=listener,
        )

    return make


def _file_form(options: CaptureOptions) -> str | None:
    """The format that the target's own name says, where it is one file; None for a folder."""
    target = Path(options.to)
    return None if target.is_dir() or options.to.endswith(os.sep) else ENDINGS.get(target.suffix.lower())


def _files(options: CaptureOptions, mark: str, listener: Listener) -> SinkFactory:
    target = Path(options.to)
    named = _file_form(options)
    form = options.format or named or "csv"
    folder = target if named is None else target.parent
    _check_writable(folder)
    return partial(
        _file_sink,
        options=options,
        mark=mark,
        listener=listener,
        path=None if named is None else target,
        folder=folder,
        form=form,
    )


def _file_sink(
    tp: TopicPartition,
    identity: TopicIdentity,
    *,
    options: CaptureOptions,
    mark: str,
    listener: Listener,
    path: Path | None,
    folder: Path,
    form: str,
) -> Sink:
    from sensorstream.sinks.csv_file import CsvFileSink
    from sensorstream.sinks.jsonl_file import JsonlFileSink

    log = Checkpoint(
        tp.topic,
        tp.partition,
        identity.cluster_id,
        identity.topic_id,
        form,
        raw=options.raw and form == "csv",
        next_offset=0,
        transform=mark,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder} can't be made: {error.strerror}", hint="give another --to") from error
    path = path or folder / capture_name(tp, form)
    return CsvFileSink(path, log, listener) if form == "csv" else JsonlFileSink(path, log, listener)


def _check_writable(folder: Path) -> None:
    """Refuse a folder that can't be written before anything is started; one that is missing is made later."""
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise SinkError(f"{nearest} is a file, not a folder", hint="give another --to")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise SinkError(f"{nearest} can't be written: permission denied", hint="give another --to")
