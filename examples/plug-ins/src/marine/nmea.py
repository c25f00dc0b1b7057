"""A source: NMEA 0183, the sentences that wind, water and position instruments on ships write.

A sentence is a line ``$WIMWV,214.8,R,5.2,M,A*28``: two letters for the talker, three for the sentence, its fields, and
the exclusive or of all bytes between ``$`` and ``*`` in hexadecimal.
"""

from collections.abc import Iterator
from functools import reduce
from operator import xor
from typing import Any

from sensorstream.sources.plug_in import Unreadable

FIELDS = {
    "MWV": ("angle", "reference", "speed", "unit", "valid"),
    "MTW": ("temperature", "unit"),
    "HDT": ("heading", "reference"),
}
NUMBERS = {"angle", "speed", "temperature", "heading"}


def rows(lines: Iterator[str]) -> Iterator[dict[str, Any] | Unreadable]:
    """A row for each sentence; blank lines are none."""
    for line in lines:
        text = line.strip()
        if text:
            yield _row(text)


def _row(text: str) -> dict[str, Any] | Unreadable:
    content, star, told = text[1:].partition("*")
    if not text.startswith("$") or not star:
        return Unreadable("it is no sentence: $...*CHECKSUM", text)
    checksum = f"{reduce(xor, content.encode(), 0):02X}"
    if told.upper() != checksum:
        return Unreadable(f"its checksum is {told}, that of what it says is {checksum}", text)
    head, *values = content.split(",")
    names = FIELDS.get(head[2:])
    if names is None:
        return Unreadable(f"sentence {head[2:]} is not known", text)
    if len(values) != len(names):
        return Unreadable(f"it has {len(values)} fields, and {head[2:]} has {len(names)}", text)
    row: dict[str, Any] = {"talker": head[:2], "sentence": head[2:]}
    for name, value in zip(names, values, strict=True):
        try:
            row[name] = (float(value) if value else None) if name in NUMBERS else value
        except ValueError:
            return Unreadable(f"its {name} {value!r} is no number", text)
    return row
