"""An outcome with one thing more in it, for options that add to what several commands tell."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from sensorstream.cli.outcome import Outcome

if TYPE_CHECKING:
    from rich.console import Console


def added(outcome: Outcome, key: str, value: object, show: "Callable[[Console], None]") -> Outcome:
    """The outcome with ``value`` under ``key`` in its JSON, and with what ``show`` prints below its text."""

    def text(console: "Console") -> None:
        if outcome.text is not None:
            outcome.text(console)
        show(console)

    return dataclasses.replace(outcome, result={**_plain(outcome.result), key: _value(value)}, text=text)


def _plain(result: object) -> dict[str, object]:
    if isinstance(result, dict):
        return result
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return dataclasses.asdict(result)
    return {}


def _value(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_value(one) for one in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
