"""Station 3: the value format and schema of each source, found and registered before the first row.

In Avro that takes a schema: given, or found by reading the source; and somebody who keeps it: a registry, whose id the
values carry, or the cluster, and then they carry its fingerprint.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensorstream.clients.base import Client
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import DataError, DecodeError, SourceError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.replay.job import ReplayOptions, make_job, source_files
from sensorstream.pipelines.replay.local_checks import check_local
from sensorstream.pipelines.replay.time_options import time_rule
from sensorstream.pipelines.replay.value_options import schema_file, value_format
from sensorstream.serde.avro_decode import AvroDecoder
from sensorstream.serde.avro_encode import AvroEncoder
from sensorstream.serde.avro_infer import SchemaFinder
from sensorstream.serde.avro_schema import (
    CONFLUENT,
    SINGLE_OBJECT,
    check_names,
    column_of,
    compact,
    fingerprint,
    parse,
    read_json_file,
    require_fastavro,
)
from sensorstream.serde.csv_cells import to_cell
from sensorstream.serde.json import decode
from sensorstream.serde.value_rules import ValueRule
from sensorstream.sources.base import Source
from sensorstream.sources.formats import column_names, has_objects

if TYPE_CHECKING:
    from sensorstream.clients.schema_registry import SchemaRegistry

_READ_ROWS: Final = 5000
_DIGEST: Final = 8


def with_values(
    client: Client, settings: Settings, options: ReplayOptions, listener: Listener = ignore
) -> ReplayOptions:
    """The options with the rule of each source's values, where there is one.

    Reads the files of schemas, and the sources where their schemas are to be found; asks the registry, or the cluster.
    Raises UsageError, SourceError (a schema that is none), DataError (one that is refused), SchemasUnreachable,
    ClusterUnreachable, BrokerError, DeliveryError.
    """
    rules: list[ValueRule | None] = []
    registries: dict[str, SchemaRegistry] = {}
    made: list[tuple[_Avro, int]] = []
    for topic, path in source_files(settings, options.sources):
        known = settings.topic(topic)
        file = schema_file(options, known)
        rules.append(None)
        if value_format(options, known) == "avro":
            made.append((_Avro(settings, options, topic, path, file), len(rules) - 1))
        elif file is not None:
            rules[-1] = ValueRule("json", compact(read_json_file(file)), f"--schema {file}")
    if made:
        # All that can be found out without asking anybody: nothing is registered for a replay that can't be.
        plain = make_job(settings, replace(options, values=(None,) * len(rules)))
        check_local(plain)
        for avro, at in made:
            avro.look(listener, grows=plain.sources[at].rules.follow is not None)
    for avro, at in made:
        rules[at] = avro.keep(client, registries, listener)
    return replace(options, values=tuple(rules)) if any(rules) else options


class _Avro:
    """One source whose values are to be Avro."""

    def __init__(self, settings: Settings, options: ReplayOptions, topic: str, path: str, file: Path | None) -> None:
        require_fastavro()
        from sensorstream.clients.schema_registry import access

        self._settings = settings
        self._topic = topic
        self._path = path
        self._file = file
        known = settings.topic(topic)
        self._access = access(settings, options.schema_registry or known.schema_registry)
        self._formats = _time_formats(options, known)
        self._name = f"the schema of {topic}" if file is None else f"--schema {file}"
        self._form = options.form.over(known.description)
        self._kind = self._form.of(path)
        self._schema: dict[str, Any] = {}
        if self._kind == "text":
            raise UsageError(
                f"{path} is plain text, which has no columns for --value-format avro", hint="take --value-format json"
            )

        if file is None and any(kind != "text" for kind in self._form.column_types.values()):
            raise UsageError(
                "--type takes only text with --value-format avro", hint="say the types in a schema: --schema FILE"
            )

    def look(self, listener: Listener, *, grows: bool) -> None:
        """Read the schema, or the source to find it, unless it still grows. Raises UsageError, SourceError."""
        if self._file is not None:
            self._schema = read_json_file(self._file)
            parse(self._schema, self._name)
            check_names(self._schema, self._name)
            return
        if self._path == "-" or (Path(self._path).exists() and not Path(self._path).is_file()):
            name = "stdin" if self._path == "-" else self._path
            raise UsageError(
                f"the schema of {name} can't be derived: it can be read only once",
                hint="give the schema: --schema FILE",
            )
        if grows:
            raise UsageError(
                f"the schema of {self._path} can't be derived: it is followed, and its future rows are not known",
                hint="give the schema: --schema FILE",
            )
        listener(Notice(f"reading {self._path} to find its schema", "debug"))
        finder: SchemaFinder | None = None

        def take(source: Source, cells: Sequence[str]) -> None:
            nonlocal finder
            if has_objects(self._kind):
                finder = finder or SchemaFinder((), self._formats)
                finder.add_values(decode(cells[-1].encode("utf-8", "surrogatepass")).items())
            else:
                finder = finder or SchemaFinder(source.columns, self._formats)
                finder.add_cells(cells)

        columns = self._each_row(take)
        if finder is None:
            finder = SchemaFinder(() if has_objects(self._kind) else columns, self._formats)
        self._schema = finder.schema(self._topic)
        for field in self._schema["fields"]:
            if self._form.column_types.get(column_of(field)) == "text":
                field["type"] = ["null", "string"]

    def _each_row(self, take: Callable[[Source, Sequence[str]], None]) -> Sequence[str]:
        """Give every row that can be used to ``take``; the source's columns."""
        with self._form.source(self._path) as source:
            while batch := source.read(_READ_ROWS):
                for row in batch.rows:
                    take(source, row.cells)
            return source.columns

    def keep(self, client: Client, registries: "dict[str, SchemaRegistry]", listener: Listener) -> ValueRule:
        """Make the schema known, and give the rule. Raises DataError, SchemasUnreachable and others."""
        if self._access is None:
            return self._keep_on_cluster(client, listener)
        from sensorstream.clients.schema_registry import SchemaRegistry

        registry = registries.get(self._access.url)
        if registry is None:
            registry = registries[self._access.url] = SchemaRegistry(self._access)
        subject = f"{self._topic}-value"
        schema = compact(self._schema)
        try:
            number = registry.register(subject, schema)
        except DataError:
            # What was found in the source is one way to write it. The one before may be another.
            latest = None if self._file is not None else registry.latest(subject)
            if latest is None or not self._fits(latest[1]):
                raise
            number, schema = latest
            listener(
                Notice(f"{self._topic}: the rows are written with the schema {number} of the registry, which fits")
            )
        listener(Notice(f"{self._topic}: schema {number} of {registry.url}", "debug"))
        return self._rule(schema, CONFLUENT + number.to_bytes(4, "big"))

    def _keep_on_cluster(self, client: Client, listener: Listener) -> ValueRule:
        if self._file is None:
            # The fingerprint knows nothing of logical types and attributes; so the name has to tell schemas apart.
            digest = hashlib.sha256(compact(self._schema).encode()).hexdigest()[:_DIGEST]
            self._schema["name"] = f"{self._schema['name']}_{digest}"
        from sensorstream.pipelines.schemas import keep_schema

        mark = fingerprint(self._schema)
        schema = compact(self._schema)
        keep_schema(client, self._settings, mark, schema, listener)
        listener(Notice(f"{self._topic}: schema with the fingerprint {mark.hex()}", "debug"))
        return self._rule(schema, SINGLE_OBJECT + mark)

    def _rule(self, schema: str, prefix: bytes) -> ValueRule:
        return ValueRule("avro", schema, self._name, prefix, self._formats)

    def _fits(self, schema: str) -> bool:
        """Whether all rows of the source come back from this schema as they are."""
        decoder = AvroDecoder(lambda _: schema, None)
        prefix = CONFLUENT + bytes(4)
        encoder: AvroEncoder | None = None

        def take(source: Source, cells: Sequence[str]) -> None:
            nonlocal encoder
            whole = has_objects(self._kind)
            if encoder is None:
                encoder = AvroEncoder(
                    json.loads(schema), prefix, source.columns, whole=whole, time_formats=self._formats
                )
            back = decoder.decode(encoder.encode(cells))
            if whole:
                came = decode(cells[-1].encode("utf-8", "surrogatepass"))
                same = all(back.get(name) == value for name, value in came.items())
            else:
                same = [to_cell(back.get(name), raw=True) for name in source.columns] == list(cells)
            if not same:
                raise DecodeError("it can't be restored exactly")

        try:
            self._each_row(take)
        except (DecodeError, SourceError, UsageError):
            return False
        return True


def _time_formats(options: ReplayOptions, known: TopicSettings) -> Mapping[str, str]:
    """The format of the time column, where it is one column whose format is one of strptime's."""
    rule = time_rule(known, options.time_column, options.time_format, options.time_zone)
    if rule is None or rule.format is None or "%" not in rule.format or len(column_names(rule.column)) != 1:
        return {}
    return {rule.column: rule.format}
