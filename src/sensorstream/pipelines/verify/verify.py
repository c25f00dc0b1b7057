"""Station 1 against 9: was each source row captured exactly once, in order per partition, value by value?

Source and captured files are read side by side, so memory doesn't grow with them. How rows are matched stands in
:mod:`sensorstream.pipelines.verify.matching`.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from sensorstream.errors import Interrupted, SourceError, UsageError
from sensorstream.events import Listener, Notice, Progress, ignore
from sensorstream.pipelines.verify.captured_files import (
    CapturedFile,
    CsvForm,
    Form,
    JsonlForm,
    WholeForm,
    find_captured,
    rows_of_run,
    run_name,
)
from sensorstream.pipelines.verify.left_out import rejected_on_capture
from sensorstream.pipelines.verify.matching import CapturedRows, Found, Matcher, Tally
from sensorstream.pipelines.verify.verdict import (
    Difference,
    Kind,
    RejectedRow,
    TopicVerdict,
    Verification,
    VerifyOptions,
)
from sensorstream.records import SourceRow
from sensorstream.sinks.segment_names import OPEN
from sensorstream.sources.base import Source
from sensorstream.sources.formats import has_cells, has_objects

FORM_NAMES: Final = {"csv": "CSV", "sqlite": "SQLite", "parquet": "Parquet"}
_BATCH: Final = 2000
_LISTED: Final = 1000
_CELL_SHOWN: Final = 120
_SHOWN: Final = 5


def verify(
    sources: Mapping[str, str],
    captured: Sequence[Path],
    *,
    options: VerifyOptions | None = None,
    sources_given: bool = False,
    listener: Listener = ignore,
    stop: threading.Event | None = None,
) -> Verification:
    """Compare the source files (topic to path) with captured files and folders of captured files.

    Topics: every one of ``sources``; when they were not given by the user and just single files are named, those
    of the files. Raises UsageError, SourceError (a file that can't be read), Interrupted (``stop`` was set).
    """
    options = options or VerifyOptions()
    files = find_captured(captured, raw=options.raw)
    by_topic: dict[str, list[CapturedFile]] = {}
    for file in files:
        by_topic.setdefault(file.topic, []).append(file)
    named = {file.topic for file in files if file.path in captured}
    for topic in by_topic.keys() - sources.keys():
        if topic in named:
            raise UsageError(
                f"{by_topic[topic][0].path}: topic {topic} has no source", hint=f"name it: --source {topic}=FILE"
            )
        # Whoever names sources leaves the others out on purpose.
        level: Literal["debug", "warning"] = "debug" if sources_given else "warning"
        listener(Notice(f"topic {topic} has no source, its captured files are not compared", level))
    only_files = all(file.path in captured for file in files) and not sources_given
    topics = [topic for topic in sources if topic in by_topic or not only_files]
    comparisons = [
        _Comparison(topic, sources[topic], by_topic.get(topic, []), options, listener=listener, stop=stop)
        for topic in topics
    ]
    verdicts = tuple(comparison.run() for comparison in comparisons)
    good = bool(verdicts) and all(verdict.exactly_once for verdict in verdicts)
    return Verification(good, sum(verdict.expected for verdict in verdicts), options.partition_by, verdicts)


def _check_comparable(file: CapturedFile, kind: str, source: str) -> None:
    """Refuse a file whose rows are not what the source's would have become. Raises UsageError."""
    # Avro gives cells back as they were, but no lines.
    if file.value_format != "json" and not (file.value_format == "avro" and has_cells(kind)):
        raise UsageError(
            f"{file.path} was captured with --value-format {file.value_format}, which can't be compared with {source}",
            hint="verify compares captured JSON objects, and rows of CSV that were published in Avro",
        )
    # Such a source is compared letter by letter, and a row that is made anew has lost its blanks.
    if not has_cells(kind) and (file.added or file.flattened):
        option = "--flatten" if file.flattened else "--with or --tombstones"
        raise UsageError(
            f"{file.path} was captured with {option}, which can't be compared with {source}",
            hint=f"capture it without {option}",
        )


class _Comparison:
    """One topic: a source file and its captured files."""

    def __init__(
        self,
        topic: str,
        path: str,
        files: Sequence[CapturedFile],
        options: VerifyOptions,
        *,
        listener: Listener,
        stop: threading.Event | None,
    ) -> None:
        if path == "-":
            raise UsageError("verify reads a source more than once and can't take stdin", hint="name a file")
        highest = max((file.partition for file in files), default=-1)
        self._partitions = options.partitions or highest + 1 or 1
        if highest >= self._partitions:
            raise UsageError(
                f"--partitions {self._partitions}, but there is a captured file of {topic}[{highest}]",
                hint="partitions count from 0",
            )
        self._source_form = options.forms.get(topic, options.form)
        self._kind = self._source_form.of(path)
        lossy = next((file.format for file in files if file.format != "jsonl"), None)
        if not has_cells(self._kind) and lossy is not None:
            # A captured CSV file has lost what was text and what was nested; the others what was nested.
            raise UsageError(
                f"{path} can't be compared with captured {FORM_NAMES[lossy]} files",
                hint="capture it with --format jsonl",
            )
        for file in files:
            _check_comparable(file, self._kind, path)
        kinds = {(file.format, file.raw) for file in files}
        if options.partition_by == "any" and len(kinds) > 1:
            raise UsageError(f"the captured files of {topic} are of different formats", hint="verify them one by one")
        self._topic = topic
        self._path = path
        self._files = files
        self._options = options
        self._listener = listener
        self._stop = stop
        self._rejected = 0
        self._rejected_rows: list[RejectedRow] = []
        self._more = False

    def run(self) -> TopicVerdict:
        """Read both sides and give the verdict."""
        with self._open() as source:
            self._columns = source.columns
            self._place = source.place
            self._make_matchers()
            self._read(source)
            # One row beyond --limit is enough to know that there are some.
            self._more = self._options.limit is not None and _has_more(source)
        tallies = [matcher.finish() for matcher in self._matchers]
        return self._verdict(tallies, self._sort_surplus(tallies))

    def _open(self) -> Source:
        return self._source_form.source(self._path)

    def _make_matchers(self) -> None:
        any_partition = self._options.partition_by == "any"
        groups: list[list[CapturedFile]] = [[] for _ in range(1 if any_partition else self._partitions)]
        for file in self._files:
            groups[0 if any_partition else file.partition].append(file)
        self._matchers: list[Matcher[object]] = []
        self._forms: list[Form] = []
        for group in groups:
            form = self._form(group[0] if group else None)
            plain = form.plain if isinstance(form, JsonlForm) else None
            streams = [CapturedRows(name, rows, plain) for file in group for name, rows in _streams(form, file)]
            self._forms.append(form)
            self._matchers.append(Matcher(streams, form.key, _Similar(form)))

    def _form(self, file: CapturedFile | None) -> Form:
        if file is not None and file.format == "sqlite":
            from sensorstream.pipelines.verify.typed_files import SqliteForm

            types = self._source_form.column_types
            return SqliteForm(self._columns, {column for column, kind in types.items() if kind == "bool"})
        if file is not None and file.format == "parquet":
            from sensorstream.pipelines.verify.typed_files import ParquetForm

            return ParquetForm(self._columns)
        if file is None or file.format == "csv":
            return CsvForm(self._columns, file is not None and file.raw)
        encoder = self._source_form.encoder(self._path)(self._columns)
        return (WholeForm if has_objects(self._kind) else JsonlForm)(self._columns, encoder)

    def _read(self, source: Source) -> None:
        expects = [matcher.expect for matcher in self._matchers]
        makers = [form.expected for form in self._forms]
        shares = len(expects)
        while rows := self._batch(source, listing=True):
            for index, line, cells in rows:
                share = index % shares
                expects[share](index, line, makers[share](cells))
            self._listener(Progress(f"{self._topic} verified", rows[-1].number + 1, self._options.limit))

    def _batch(self, source: Source, *, listing: bool = False) -> list[SourceRow]:
        """The next usable rows; empty at the end."""
        limit = self._options.limit
        while True:
            if self._stop is not None and self._stop.is_set():
                raise Interrupted("interrupted before the comparison was complete")
            want = _BATCH if limit is None else min(_BATCH, limit - source.position)
            batch = source.read(want) if want > 0 else None
            if not batch:
                return []
            if listing:
                self._rejected += len(batch.rejected)
                for bad in batch.rejected[: _LISTED - len(self._rejected_rows)]:
                    self._rejected_rows.append(RejectedRow(int(bad.where["line"]), bad.reason))
            if batch.rows:
                return batch.rows

    def _sort_surplus(self, tallies: Sequence[Tally[object]]) -> "_Surplus":
        """Tell what the surplus captured rows are; the source is read once more, only when there are any."""
        surplus = _Surplus()
        left = [dict(tally.surplus) for tally in tallies]
        total = sum(tally.surplus_rows for tally in tallies)
        if not any(left):
            return surplus
        shares = len(tallies)
        with self._open() as source:
            while rows := self._batch(source):
                for index, _, cells in rows:
                    for at, keys in enumerate(left):
                        if not keys:
                            continue
                        key = self._forms[at].key(self._forms[at].expected(cells))
                        count = keys.pop(key, 0)
                        if not count:
                            continue
                        if at == index % shares:
                            surplus.doubled += count
                            surplus.doubled_keys.add((at, key))
                        else:
                            surplus.misplaced += count
                            surplus.misplaced_keys.add((at, key))
        surplus.unexpected = total - surplus.doubled - surplus.misplaced
        return surplus

    def _verdict(self, tallies: Sequence[Tally[object]], surplus: "_Surplus") -> TopicVerdict:
        firsts = [(tally.first, at) for at, tally in enumerate(tallies) if tally.first is not None]
        first = min(firsts, key=lambda pair: pair[0].at) if firsts else None
        expected = sum(tally.expected for tally in tallies)
        left_out = rejected_on_capture(self._files, _LISTED)
        there = {file.partition for file in self._files}
        missing = tuple(partition for partition in range(self._partitions) if partition not in there)
        return TopicVerdict(
            topic=self._topic,
            source=self._path,
            captured_files=tuple(str(path) for file in self._files for path in _paths(file)),
            partitions=self._partitions,
            expected=expected,
            captured=sum(tally.captured for tally in tallies),
            missing=sum(tally.missing for tally in tallies),
            doubled=surplus.doubled,
            reordered=sum(tally.reordered for tally in tallies),
            different=sum(tally.different for tally in tallies),
            misplaced=surplus.misplaced,
            unexpected=surplus.unexpected,
            rejected=self._rejected,
            rejected_rows=tuple(self._rejected_rows),
            capture_rejected=left_out.count,
            capture_rejected_records=left_out.first,
            partitions_without_file=missing,
            not_covered=self._not_covered(left_out.count, missing),
            first_difference=None if first is None else self._difference(*first, surplus),
            exactly_once=first is None and expected > 0,
        )

    def _not_covered(self, capture_rejected: int, partitions: Sequence[int]) -> tuple[str, ...]:
        texts = []
        if self._rejected:
            texts.append(f"{_these(self._rejected, 'row')} of {self._path} can't be used: not compared")
        if capture_rejected:
            texts.append(f"{_these(capture_rejected, 'record')} of {self._topic} rejected by the capture: not compared")
        if partitions:
            texts.append(
                f"no captured file of {self._topic} partition {', '.join(map(str, partitions[:_SHOWN]))}"
                + (f" and {len(partitions) - _SHOWN} more" if len(partitions) > _SHOWN else "")
            )
        waiting = sum(file.waiting for file in self._files)
        if waiting:
            texts.append(
                f"{_these(waiting, 'row')} of {self._topic} not in a finished file yet: the capture will finish it"
            )
        if self._more:
            texts.append(f"the rows of {self._path} after the first {self._options.limit}: left out by --limit")
        return tuple(texts)

    def _difference(self, found: Found[object], share: int, surplus: "_Surplus") -> Difference:
        form = self._forms[share]
        source_file, source_line = self._path, found.source_line
        if source_line is not None:
            source_file, source_line = self._place(source_line)
        source = f"{source_file} line {source_line}"
        parts = any(
            file.parts for file in self._files if self._options.partition_by == "any" or file.partition == share
        )
        place = f"{found.file} {'row' if parts else form.unit} {found.captured_line}"
        column = expected = captured = None
        kind: Kind
        if found.kind == "missing":
            kind = "missing"
            where = self._where_expected(share)
            text = f"{source} is missing{where}"
        elif found.kind == "reordered":
            kind = "reordered"
            text = f"{place} is out of order: it is {source}"
        elif found.kind == "different":
            kind = "different"
            column, expected, captured = _first_column(
                form.names(found.expected), form.cells(found.expected), form.cells(found.captured)
            )
            text = f"{place}, column {column}: {captured!r} where {source} has {expected!r}"
        else:
            key = (share, form.key(found.captured))
            if key in surplus.doubled_keys:
                kind, what = "doubled", "is duplicated"
            elif key in surplus.misplaced_keys:
                kind, what = "misplaced", "belongs to another partition (see --partition-by any)"
            else:
                kind, what = "unexpected", f"is not in {self._path}"
            text = f"{place} {what}"
        return Difference(
            kind, source_file, source_line, found.file, found.captured_line, column, expected, captured, text
        )

    def _where_expected(self, share: int) -> str:
        if self._options.partition_by == "any":
            return ""
        files = [file for file in self._files if file.partition == share]
        if files:
            return f" from {files[0].path}"
        return f": there is no captured file of {self._topic}[{share}]"


def _streams(form: Form, file: CapturedFile) -> list[tuple[str, Iterator[tuple[int, object]]]]:
    """The names and rows of files of one partition that are each in order."""
    if not file.parts and file.path.suffix != OPEN:
        return [(str(file.path), form.rows(file))]
    return [(run_name(run), rows_of_run(form, file, run)) for run in file.parts]


def _paths(file: CapturedFile) -> list[Path]:
    return [path for run in file.parts for path in run] or [file.path]


@dataclass(slots=True)
class _Surplus:
    doubled: int = 0
    misplaced: int = 0
    unexpected: int = 0
    doubled_keys: set[tuple[int, int]] = field(default_factory=set)
    misplaced_keys: set[tuple[int, int]] = field(default_factory=set)


class _Similar:
    """Whether two unequal rows are one row with changed values: the first cell and at least half of all agree,
    or all but the first do."""

    def __init__(self, form: Form) -> None:
        self._form = form

    def __call__(self, expected: object, captured: object) -> bool:
        mine, other = self._form.cells(expected), self._form.cells(captured)
        same = sum(a == b for a, b in zip(mine, other, strict=False))
        if not other:
            return False
        if mine[0] != other[0]:
            return len(mine) == 1 or (len(mine) > 2 and same == len(mine) - 1)
        return same * 2 >= len(mine)


def _these(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _has_more(source: Source) -> bool:
    try:
        return bool(source.read(1))
    except SourceError:
        return True  # something that is no matter here


def _first_column(names: Sequence[str], expected: list[str], captured: list[str]) -> tuple[str, str, str]:
    """The first column that differs, with both its values."""
    for at in range(max(len(expected), len(captured))):
        mine = expected[at] if at < len(expected) else ""
        other = captured[at] if at < len(captured) else ""
        if mine != other:
            name = names[at] if at < len(names) else "(more)"
            return name, mine[:_CELL_SHOWN], other[:_CELL_SHOWN]
    return "(order)", "", ""
