"""Station 7: nested JSON as columns, ``{"a": {"b": 1}}`` as ``a.b``.

Objects are gone into, however deep. An array stays one column with its JSON text, so that the number of columns does
not depend on how long arrays are; so does an empty object, which has nothing to go into. Where two values of one record
come to the same name (``{"a.b": 1, "a": {"b": 2}}``), neither is chosen: the record can't be used.
"""

from typing import Final

from sensorstream.errors import DecodeError
from sensorstream.records import Json, Row, Value
from sensorstream.serde.json import decode

MAX_DEPTH: Final = 64
"""Objects in objects beyond this are refused: their names would be longer than what they hold."""
_SEPARATOR: Final = "."


def flattened(row: Row) -> Row:
    """The row with its nested objects taken apart, in the record's order.

    Raises DecodeError where two names clash, and where there are more than :data:`MAX_DEPTH` levels of objects.
    """
    if not any(type(value) is Json and value.startswith("{") for value in row.values()):
        return row
    flat: dict[str, Value] = {}
    # The next member is the last of the list.
    waiting = [(name, value, 0) for name, value in reversed(list(row.items()))]
    while waiting:
        name, value, depth = waiting.pop()
        if type(value) is Json and value.startswith("{"):
            if depth == MAX_DEPTH:
                raise DecodeError(f"it is nested too deep to be flattened: {MAX_DEPTH} levels of objects")
            inner = decode(value.encode())
            if inner:
                waiting += [
                    (name + _SEPARATOR + key, member, depth + 1) for key, member in reversed(list(inner.items()))
                ]
                continue
        if name in flat:
            raise DecodeError(f"two of its values get the column {name!r} when it is flattened")
        flat[name] = value
    return flat
