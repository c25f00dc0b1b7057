"""Station 3: format, schema and registry of a topic's values: from options, else from the topic's table."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensorstream.config import TopicSettings
from sensorstream.errors import UsageError
from sensorstream.serde.value_rules import ValueRule
from sensorstream.sources.formats import Encoder, SourceForm, has_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensorstream.pipelines.replay.job import ReplayOptions

VALUE_FORMATS: Final = ("json", "avro")


def value_format(options: "ReplayOptions", known: TopicSettings) -> str:
    """The format of a topic's values. Raises UsageError for one that is not known, and a registry not used."""
    found = options.format or known.value_format or "json"
    if found not in VALUE_FORMATS:
        raise UsageError(f"--value-format {found!r} is not known", hint=f"it is {' or '.join(VALUE_FORMATS)}")
    if found == "json" and options.schema_registry is not None:
        raise UsageError("--schema-registry is for --value-format avro", hint="leave one of them out, or add the other")
    return found


def schema_file(options: "ReplayOptions", known: TopicSettings) -> Path | None:
    """The file of the schema of a topic's values; None: none was given."""
    return Path(options.schema) if options.schema is not None else known.schema


def encoder_of(rule: ValueRule | None, form: SourceForm, path: str) -> "Callable[[Sequence[str]], Encoder]":
    """What makes the encoder of a file's rows, given the source's columns."""
    plain = form.encoder(path)
    if rule is None:
        return plain
    whole = has_objects(form.of(path))
    return lambda columns: rule.encoder(columns, plain(columns), whole=whole)
