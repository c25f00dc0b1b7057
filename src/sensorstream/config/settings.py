"""The frozen settings of a command, and those of each topic; secrets are masked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sensorstream.description import Description
from sensorstream.row_rules import RowRules
from sensorstream.storage_rules import StorageRules

DEFAULT_PORTS: Final = (29092, 39092, 49092)
DEFAULT_BOOTSTRAP: Final = tuple(f"127.0.0.1:{port}" for port in DEFAULT_PORTS)
DEFAULT_GROUP: Final = "sensor_data_group"
_SECRET_WORDS: Final = ("password", "secret", "jaas", "token", "keystore.key", "credential", "user.info")


class Secret:
    """A value that shows itself to nobody who prints it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the client that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "********"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """A topic that the lab knows: how it is created and which file feeds it.

    ``time_column`` (several with commas between them), ``time_format`` and ``time_zone`` say where a row's own time
    stands: see :class:`sensorstream.sources.times.TimeRule`. ``clock`` is one of :data:`CLOCKS`. ``follow``: what is
    appended to the source is published, too, until ``timeout`` seconds have brought no row. ``value_format`` is what
    its values are, ``schema`` the file with their schema, ``schema_registry`` the registry that keeps it, where it is
    not that of the settings.
    ``capture`` says how the topic's records are stored, ``rows`` what rows are made of them, ``description``
    how its source is written.
    """

    name: str
    partitions: int = 2
    replication_factor: int = 3
    source: Path | None = None
    time_column: str | None = None
    time_format: str | None = None
    time_zone: str | None = None
    clock: str = "common"
    key: str | None = None
    follow: bool = False
    timeout: float | None = None
    configs: Mapping[str, str] = field(default_factory=dict)
    value_format: str | None = None
    schema: Path | None = None
    schema_registry: str | None = None
    capture: StorageRules = field(default_factory=StorageRules)
    description: Description = field(default_factory=Description)
    rows: RowRules = field(default_factory=RowRules)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a command needs to know, resolved.

    ``properties`` are client options under their Java names (``linger.ms``); ``delay`` is seconds between the rows
    of one source; with ``exactly_once`` a replay publishes in transactions; ``origins`` tells for each name where its
    value came from.
    """

    bootstrap: tuple[str, ...] = DEFAULT_BOOTSTRAP
    client: str = "auto"
    group: str = DEFAULT_GROUP
    thread: int = 3
    delay: float = 10.0
    exactly_once: bool = False
    schema_registry: str | None = None
    schema_registry_user: str | None = None
    schema_registry_password: Secret | None = None
    schema_registry_ca: str | None = None
    topics: tuple[TopicSettings, ...] = ()
    properties: Mapping[str, str | Secret] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def topic(self, name: str) -> TopicSettings:
        """The settings of a topic; plain defaults for one that the configuration does not know."""
        return next((topic for topic in self.topics if topic.name == name), TopicSettings(name))


def hidden(key: str, value: str) -> str | Secret:
    """A property's value, as a secret where its name says that it is one."""
    return Secret(value) if any(word in key.lower() for word in _SECRET_WORDS) else value
