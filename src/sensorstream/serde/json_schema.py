"""Station 3: validate JSON values against a JSON Schema before they are published."""

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol

from sensorstream.errors import DecodeError, SourceError, UsageError

_SHOWN: Final = 200


class _Encoder(Protocol):
    def encode(self, cells: Sequence[str]) -> bytes: ...


class CheckedEncoder:
    """Encodes rows as ``plain`` does, and refuses those that are not as ``schema`` says.

    ``name`` is what to call the schema. Which draft it is of, its ``$schema`` says; without one it is the latest that
    the library knows. What it refers to must be in it: nothing is fetched. Raises UsageError where the extra is
    missing, SourceError for what is no JSON Schema.
    """

    def __init__(self, schema: Any, plain: _Encoder, name: str) -> None:
        try:
            from jsonschema import SchemaError
            from jsonschema.validators import validator_for
            from referencing import Registry
        except ImportError as error:
            raise UsageError(
                "--schema needs a library that is not installed", hint="install it: pip install 'sensorstream[avro]'"
            ) from error
        if not isinstance(schema, dict):
            raise SourceError(f"{name} is no JSON Schema", hint="it is a JSON object")
        kind = validator_for(schema)
        try:
            kind.check_schema(schema)
        except SchemaError as error:
            where = "/".join(map(str, error.absolute_path)) or "its top"
            raise SourceError(
                f"{name} is no JSON Schema: at {where}: {_one_line(error.message)}", hint="see json-schema.org"
            ) from error
        self._plain = plain
        self._validator = kind(schema, registry=Registry())  # of an empty one nothing is fetched

    def encode(self, cells: Sequence[str]) -> bytes:
        """The row, in UTF-8. Raises DecodeError with the first reason why it is it does not match the schema."""
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        value = self._plain.encode(cells)
        try:
            error = best_match(self._validator.iter_errors(json.loads(value)))
        except Unresolvable as unresolved:
            raise DecodeError(
                f"the schema refers to something outside it: {_one_line(str(unresolved))}"
            ) from unresolved
        except RecursionError as deep:
            raise DecodeError("it, or the schema, is nested too deep") from deep
        if error is not None:
            where = "/".join(map(str, error.absolute_path))
            raise DecodeError(
                f"it does not match the schema{f', {where}' if where else ''}: {_one_line(error.message)}"
            )
        return value


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
