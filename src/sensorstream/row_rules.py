"""The content of captured rows: which metadata columns are added, and how values become columns.

The same names stand in a topic's table of ``sensorstream.toml`` (``[topics.AIR.capture]``) and on the command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sensorstream.errors import ConfigError

KEYS: Final = ("with", "key_format", "flatten", "tombstones")


@dataclass(frozen=True, slots=True)
class RowRules:
    """What was asked for; None: not given. See :class:`sensorstream.serde.row_maker.RowMaker`.

    ``with_`` are fields of the record, separated by commas, or ``none``.
    """

    with_: str | None = None
    key_format: str | None = None
    flatten: bool | None = None
    tombstones: bool | None = None

    def over(self, other: "RowRules") -> "RowRules":
        """These rules, and those of ``other`` for what is not given here."""
        return RowRules(
            other.with_ if self.with_ is None else self.with_,
            other.key_format if self.key_format is None else self.key_format,
            other.flatten if self.flatten is None else self.flatten,
            other.tombstones if self.tombstones is None else self.tombstones,
        )


def row_rules_of(table: Mapping[str, Any], where: str) -> RowRules:
    """The rules in a table of the configuration; ``with`` may be a list.

    ``where`` begins the message of the ConfigError for a value that is none.
    """
    with_ = table.get("with")
    if isinstance(with_, list) and all(isinstance(one, str) for one in with_):
        with_ = ",".join(with_) or "none"
    for name, value in (("with", with_), ("key_format", table.get("key_format"))):
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{where}{name} = {value!r} is not text")
    for name in ("flatten", "tombstones"):
        if not isinstance(table.get(name, False), bool):
            raise ConfigError(f"{where}{name} = {table[name]!r} is not true or false")
    return RowRules(with_, table.get("key_format"), table.get("flatten"), table.get("tombstones"))
