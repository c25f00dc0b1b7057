"""How captured records are stored: the format, the folders, and when a file is finished.

The same names stand in a topic's table of ``sensorstream.toml`` (``[topics.AIR.capture]``) and on the command line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from sensorstream import plug_ins
from sensorstream.errors import ConfigError

FORMATS: Final = ("csv", "jsonl", "sqlite", "parquet")
"""The formats of captured files that are built in; a plug-in adds its own."""
LEVELS: Final = ("partition", "date")
"""What folders can be made of, below the topic's own."""
SEGMENT_ROWS: Final = 100_000
SEGMENT_BYTES: Final = 64 << 20
SEGMENT_S: Final = 60.0
"""When a Parquet file is finished, unless something else was asked for."""

_UNITS: Final = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_SPANS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_AMOUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


@dataclass(frozen=True, slots=True)
class StorageRules:
    """What was asked for; None and empty: not given.

    ``folders`` are levels below the topic's folder, of LEVELS; ``date_column`` names the column whose date it is
    (None: the record's timestamp, UTC). ``rotate_rows`` counts rows, ``rotate_size`` bytes of the records' values,
    ``rotate_time`` seconds since the file's first row came.
    """

    format: str | None = None
    folders: tuple[str, ...] = ()
    date_column: str | None = None
    rotate_rows: int | None = None
    rotate_size: int | None = None
    rotate_time: float | None = None

    @property
    def makes_segments(self) -> bool:
        """Whether finished files are asked for, rather than one file that grows."""
        return bool(self.folders) or any(
            value is not None for value in (self.rotate_rows, self.rotate_size, self.rotate_time)
        )

    def over(self, other: "StorageRules") -> "StorageRules":
        """These rules, and those of ``other`` for what is not given here."""
        return StorageRules(
            **{
                field.name: getattr(other, field.name)
                if getattr(self, field.name) in (None, ())
                else getattr(self, field.name)
                for field in fields(self)
            }
        )


def is_format(name: object) -> bool:
    """Whether captured files can have this format: it is built in, or an installed plug-in's."""
    return name in FORMATS or name in plug_ins.names(plug_ins.SINKS)


def formats_hint() -> str:
    """Which formats there are, for a message."""
    return f"it is one of {', '.join((*FORMATS, *plug_ins.names(plug_ins.SINKS)))}"


KEYS: Final = tuple(field.name for field in fields(StorageRules))


def rules_of(table: Mapping[str, object], where: str) -> StorageRules:
    """Rules from names and values as a file or the command line has them; None is not given.

    ``where`` begins the message of the ConfigError for a value that is none; it is empty for the command line.
    """
    given = {name: value for name, value in table.items() if value is not None}
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name == "format" and not is_format(value):
            raise ConfigError(f"{_label(where, name)} {value!r} is not known", hint=formats_hint())
        made[name] = _READERS[name](_label(where, name), value) if name in _READERS else value
    return StorageRules(**made)


def _label(where: str, name: str) -> str:
    return where + name if where else f"--{name.replace('_', '-')}"


def _folders(label: str, value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list | tuple) else str(value).replace("/", ",").split(",")
    levels = tuple(str(one).strip() for one in names if str(one).strip())
    for level in levels:
        if level not in LEVELS or levels.count(level) > 1:
            raise ConfigError(
                f"{label} {value!r} is no list of folders",
                hint="it is partition, date, or partition,date; the topic's own folder is always there",
            )
    return levels


def _rows(label: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{label} {value!r} is not a whole number of 1 or more")
    return value


def _size(label: str, value: object) -> int:
    match = None if isinstance(value, bool) else _AMOUNT.fullmatch(str(value).strip())
    size = 0 if match is None else int(float(match[1]) * _UNITS.get(match[2].upper(), 0))
    if size < 1:
        raise ConfigError(f"{label} {value!r} is no size", hint="write it as 500kB, 64MB or 1GB")
    return size


def _time(label: str, value: object) -> float:
    match = None if isinstance(value, bool) else _AMOUNT.fullmatch(str(value).strip())
    seconds = 0.0 if match is None else float(match[1]) * _SPANS.get(match[2], 0)
    if seconds <= 0:
        raise ConfigError(f"{label} {value!r} is no time", hint="write it as 30s, 10m, 1h or 1d")
    return seconds


def _text(label: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{label} = {value!r} is not text")
    return value


_READERS: Final = {
    "folders": _folders,
    "date_column": _text,
    "rotate_rows": _rows,
    "rotate_size": _size,
    "rotate_time": _time,
}
