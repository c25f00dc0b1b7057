"""Stations 6-9: from the user's options to a checked capture job and its sinks, before anything starts."""

import json
import os
import socket
import sys
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sensorstream.config import Settings
from sensorstream.errors import SinkError, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.own_files import make_folder
from sensorstream.pipelines.capture.ranges import parse_range
from sensorstream.pipelines.capture.spec import CaptureJob, SinkFactory
from sensorstream.pipelines.capture.target import STREAMED, Target, target_of
from sensorstream.records import TopicIdentity, TopicPartition, check_topic_name
from sensorstream.row_rules import RowRules
from sensorstream.serde.decoders import DecoderSettings, open_decoder
from sensorstream.serde.row_maker import RowMaker, parse_with
from sensorstream.sinks.base import Sink
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.checks import check_file
from sensorstream.storage_rules import StorageRules, formats_hint, is_format

if TYPE_CHECKING:
    from sensorstream.transforms.base import Transform


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """The options of ``consume``, as they were given. ``to`` is a file, a folder or ``-``; ``timeout`` is seconds.

    ``storage`` says when files are finished and in which folders they lie.
    ``transforms`` are names, in their order, and ``transform_settings`` their options, as ``key=value``.
    ``value_format``, ``key_format``, ``with_`` (fields separated by commas), ``flatten`` and ``tombstones`` say what
    the rows are (None: as configured for the topic): see :class:`~sensorstream.serde.row_maker.RowMaker`.
    ``schema_registry`` is where the schemas of Avro values are.
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
    storage: StorageRules = field(default_factory=StorageRules)
    raw: bool = False
    max_rejects: int | None = None
    log_rows: bool = True
    transforms: tuple[str, ...] = ()
    transform_settings: tuple[str, ...] = ()
    value_format: str | None = None
    schema_registry: str | None = None
    key_format: str | None = None
    with_: str | None = None
    flatten: bool | None = None
    tombstones: bool | None = None


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """A checked job and what makes its sinks."""

    job: CaptureJob
    make_sink: SinkFactory
    to_stdout: bool


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
    if options.format is not None and not is_format(options.format):
        raise UsageError(f"--format {options.format!r} is not known", hint=formats_hint())
    asked = None if options.offset is None else parse_range(options.offset)
    to_stdout = options.to == "-"
    rows = row_maker(settings, options, listener)
    transform, mark = _transform(options, rows)
    if to_stdout and options.format not in (None, *STREAMED):
        raise UsageError(f"--format {options.format} can't go to stdout", hint="name a file or a folder with --to")
    if to_stdout and options.storage != StorageRules():
        raise UsageError("stdout is neither rotated nor put into folders", hint="leave --rotate-... and --folders out")
    storage = replace(options.storage, format=options.format)
    target = None if to_stdout else target_of(settings, options.topic, options.to, storage)
    one_file = target is not None and target.is_one_file
    if one_file and len(options.partitions) > 1:
        raise UsageError(
            f"--to {options.to} is one file, but several partitions may come",
            hint="give a folder, or one --partition",
        )
    stored = rows if transform is None else rows.behind_transform()
    if target is None:
        make_sink = _stdout(options, stored, listener)
    else:
        make_sink = _files(target, options, stored, mark, "" if asked is None else asked.mark, listener)
    if transform is not None:
        make_sink = partial(_transformed, make_sink=make_sink, transform=transform, rows=rows)
    job = CaptureJob(
        topic=options.topic,
        partitions=options.partitions or None,
        group=settings.group,
        client_id=f"sensorstream-{os.getpid()}",
        host=socket.gethostname(),
        start=None if asked is None else asked.start,
        range=asked if asked is not None and asked.end is not None else None,
        # Looking at a topic on the screen must not move the offsets of the group that stores it.
        commit=options.group_given or not to_stdout,
        stop_at_end=options.exit_at_end,
        count=options.count,
        idle_timeout_s=options.timeout,
        max_rejects=options.max_rejects,
        # What is stored of a record is no longer what the log would show.
        log_rows=options.log_rows and not to_stdout and transform is None and rows.plain,
        one_file=one_file,
        prepare=rows.decoder.prepare,
    )
    return CapturePlan(job, make_sink, to_stdout)


def row_maker(settings: Settings, options: CaptureOptions, listener: Listener = ignore) -> RowMaker:
    """What makes the rows that ``options`` ask for. Raises UsageError."""
    form = options.value_format or settings.topic(options.topic).value_format or "json"
    if options.schema_registry is not None and form != "avro":
        raise UsageError("--schema-registry is for --value-format avro", hint="leave one of them out, or add the other")
    found = DecoderSettings(options.topic)
    if form == "avro":
        from sensorstream.pipelines.schemas import decoder_settings

        found = decoder_settings(settings, options.topic, options.schema_registry, listener)
    decoder = open_decoder(form, found)
    asked = RowRules(options.with_, options.key_format, options.flatten, options.tombstones)
    rules = asked.over(settings.topic(options.topic).rows)
    if rules.flatten and decoder.name in ("text", "bytes"):
        raise UsageError(f"--flatten has no effect with --value-format {decoder.name}", hint="leave it out")
    added = () if rules.with_ in (None, "none") else parse_with(rules.with_)
    if rules.key_format not in (None, "text") and not any(one.field == "key" for one in added):
        raise UsageError("--key-format is for --with key", hint="add --with key, or leave it out")
    return RowMaker(
        decoder,
        added=added,
        flatten=bool(rules.flatten),
        tombstones=bool(rules.tombstones),
        key_format=rules.key_format or "text",
    )


def _transform(options: CaptureOptions, rows: RowMaker) -> "tuple[Transform | None, str]":
    """What the records go through, and what their file says of it and of its rows."""
    transform = None
    mark: dict[str, object] = {}
    if options.transforms or options.transform_settings:
        from sensorstream.pipelines.capture.transformed import transform_mark
        from sensorstream.transforms.load import open_chain

        transform = open_chain(options.transforms, options.transform_settings)
        mark |= transform_mark(options.transforms, transform, options.transform_settings)
    mark |= rows.mark
    return transform, json.dumps(mark, ensure_ascii=False) if mark else ""


def _transformed(
    tp: TopicPartition, identity: TopicIdentity, *, make_sink: SinkFactory, transform: "Transform", rows: RowMaker
) -> Sink:
    from sensorstream.pipelines.capture.transformed import TransformedSink

    return TransformedSink(make_sink(tp, identity), transform, rows.ahead_of_transform(), tombstones=rows.tombstones)


def _stdout(options: CaptureOptions, rows: RowMaker, listener: Listener) -> SinkFactory:
    from sensorstream.sinks.stream import StreamHeader, StreamSink

    def rejected_path(number: int) -> Path:
        # Not the name beside a captured file: that one is cut to the position of its capture.
        return Path(f"{options.topic}_Consumer_{number}.stdout.rejected.jsonl")

    header = StreamHeader()
    for number in options.partitions:
        check_file(rejected_path(number), "move it away, or run this in another folder")

    def make(tp: TopicPartition, identity: TopicIdentity) -> Sink:
        return StreamSink(
            sys.stdout.buffer,
            options.format or "jsonl",
            rejected_path(tp.partition),
            raw=options.raw,
            header=header,
            listener=listener,
            rows=rows,
        )

    return make


def _files(
    target: Target, options: CaptureOptions, rows: RowMaker, mark: str, range_: str, listener: Listener
) -> SinkFactory:
    # Those of a group are known when the group gives them.
    target.check(options.topic, options.partitions)
    return partial(_file_sink, target=target, options=options, rows=rows, mark=mark, range_=range_, listener=listener)


def _file_sink(
    tp: TopicPartition,
    identity: TopicIdentity,
    *,
    target: Target,
    options: CaptureOptions,
    rows: RowMaker,
    mark: str,
    range_: str,
    listener: Listener,
) -> Sink:
    log = Checkpoint(
        tp.topic,
        tp.partition,
        identity.cluster_id,
        identity.topic_id,
        target.form,
        raw=options.raw and target.form == "csv",
        next_offset=0,
        transform=mark,
        range=range_,
    )
    try:
        make_folder(target.folder)
    except OSError as error:
        raise SinkError(f"{target.folder} can't be made: {error.strerror}", hint="give another --to") from error
    return target.sink(log, listener, rows)
