"""How rows are sent: the named producer options, and which guarantees they weaken.

Each has one name for the command line, the environment and ``sensorstream.toml``, and stands for a client property.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sensorstream.errors import ConfigError

COMPRESSIONS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
ACKS: Final = ("all", "1", "0")
DEFAULT_COMPRESSION: Final = "lz4"
DEFAULT_BATCH_SIZE: Final = 1_000_000
"""Bytes before compression; a batch as large as that is within what brokers take unless told otherwise (1 MiB)."""
MAX_LINGER_MS: Final = 900_000
"""The most that librdkafka takes."""


def _word(*words: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        # In TOML acks = 1 is a number.
        text = str(value).lower() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text

    return check


def _number(low: int, high: int, unit: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        # From the environment it is text.
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not (text.isascii() and text.isdecimal() and len(text) < 12) or not low <= int(text) <= high:
            raise ValueError(f"a whole number of {unit} from {low} to {high}")
        return text

    return check


def _truth(value: object) -> str:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text


@dataclass(frozen=True, slots=True)
class _Option:
    """The client property that it stands for, and how its value is checked and written."""

    property: str
    check: Callable[[object], str]


OPTIONS: Final[Mapping[str, _Option]] = {
    "compression": _Option("compression.type", _word(*COMPRESSIONS)),
    "linger": _Option("linger.ms", _number(0, MAX_LINGER_MS, "milliseconds")),
    "batch_size": _Option("batch.size", _number(1, 2**31 - 1, "bytes")),
    "acks": _Option("acks", _word(*ACKS)),
    "idempotence": _Option("enable.idempotence", _truth),
}
"""By their names in the file; on the command line they are written with ``-``."""


def as_properties(values: Mapping[str, object], origin: str) -> dict[str, str]:
    """Named options as client properties. Raises ConfigError for a wrong value, naming the right ones."""
    properties = {}
    for name, value in values.items():
        option = OPTIONS[name]
        try:
            properties[option.property] = option.check(value)
        except ValueError as wrong:
            raise ConfigError(f"{origin}: {name} = {value!r} is not known", hint=f"it is {wrong}") from None
    return properties


def as_arguments(values: Mapping[str, object]) -> list[str]:
    """Named options (None: not given) as they are written on a command line."""
    arguments = []
    for name in OPTIONS:
        value = values.get(name)
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(flag if value else f"--no-{name}")
        elif value is not None:
            arguments += [flag, str(value)]
    return arguments


def given_up(*, acks: int, idempotence: bool) -> str | None:
    """What rows can suffer under these promises, in one line; None when it is nothing. ``acks`` -1 means all."""
    lost = {
        -1: "",
        1: "a row that only the leader has is lost when that broker dies",
        0: "a row counts as sent without an answer from a broker, so it can be lost unnoticed",
    }[acks]
    twice = "" if idempotence else "a retry can duplicate or reorder rows"
    words = [f"acks={acks}"] if acks != -1 else []
    words += [] if idempotence else ["no idempotence"]
    told = "; ".join(text for text in (lost, twice) if text)
    return f"{', '.join(words)}: {told}" if told else None
