"""One frozen settings object, and where each of its values came from.

Precedence: flag > ``-X key=value`` > ``SENSORSTREAM_*`` environment > profile > file > built-in. The file is
``sensorstream.toml``, searched from the current folder upwards, then in the user's configuration folder.
The built-in defaults are the three sensor topics of the samples, so nothing needs writing first.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sensorstream.errors import ConfigError

FILE_NAME: Final = "sensorstream.toml"
DEFAULT_PORTS: Final = (29092, 39092, 49092)
DEFAULT_BOOTSTRAP: Final = tuple(f"127.0.0.1:{port}" for port in DEFAULT_PORTS)
DEFAULT_GROUP: Final = "sensor_data_group"
CLIENTS: Final = ("auto", "kafka-python", "librdkafka")
SENSOR_TIME_FORMAT: Final = "%d/%m/%Y %H:%M:%S"

ENVIRONMENT: Final = {
    "SENSORSTREAM_BOOTSTRAP": "bootstrap",
    "SENSORSTREAM_CLIENT": "client",
    "SENSORSTREAM_GROUP": "group",
    "SENSORSTREAM_THREAD": "thread",
    "SENSORSTREAM_DELAY": "delay",
}
"""Environment variables that set a value; ``SENSORSTREAM_PROFILE`` and ``SENSORSTREAM_CONFIG`` choose where from."""

_SECRET_WORDS: Final = ("password", "secret", "jaas", "token", "keystore.key", "credential", "user.info")
_TOP_KEYS: Final = ("bootstrap", "client", "group", "thread", "delay", "topics", "properties", "profiles")
_PROFILE_KEYS: Final = ("bootstrap", "client", "group", "thread", "delay", "properties")
_TOPIC_KEYS: Final = (
    "partitions", "replication_factor", "source", "time_column", "time_format", "key", "configs",
)  # fmt: skip


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

    ``time_column`` and ``time_format`` (as for ``strptime``; None: ISO 8601) say where a row's own time stands.
    """

    name: str
    partitions: int = 2
    replication_factor: int = 3
    source: Path | None = None
    time_column: str | None = None
    time_format: str | None = None
    key: str | None = None
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a command needs to know, resolved.

    ``properties`` are client options under their Java names (``linger.ms``); ``delay`` is seconds between the rows
    of one source; ``origins`` tells for each name where its value came from.
    """

    bootstrap: tuple[str, ...] = DEFAULT_BOOTSTRAP
    client: str = "auto"
    group: str = DEFAULT_GROUP
    thread: int = 3
    delay: float = 10.0
    topics: tuple[TopicSettings, ...] = ()
    properties: Mapping[str, str | Secret] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def topic(self, name: str) -> TopicSettings:
        """The settings of a topic; plain defaults for one that the configuration does not know."""
        return next((topic for topic in self.topics if topic.name == name), TopicSettings(name))


def samples_folder() -> Path:
    """Where the recorded sample files are: inside the installed package, or at the root of a checkout."""
    installed = Path(__file__).parent / "_samples"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "samples"


def sensor_topics() -> tuple[TopicSettings, ...]:
    """The built-in topics AIR, EARTH and WATER, fed by the sample files."""
    return tuple(
        TopicSettings(
            name,
            source=samples_folder() / f"{name}2308.csv",
            time_column="Time",
            time_format=SENSOR_TIME_FORMAT,
        )
        for name in ("AIR", "EARTH", "WATER")
    )


def posts_topic() -> TopicSettings:
    """The topic POSTS, fed by the sample of posts: a page's posts share a partition, and so stay in order.

    It is none of the configured topics: what is done to "all of them" is done to the sensors' alone.
    """
    return TopicSettings("POSTS", source=samples_folder() / "posts.jsonl", time_column="time", key="page")


def user_config_folder() -> Path:
    """The user's configuration folder for this program."""
    import platformdirs

    return Path(platformdirs.user_config_dir("sensorstream", appauthor=False))


def find_file(start: Path | None = None) -> Path | None:
    """The configuration file in force, or None. ``SENSORSTREAM_CONFIG`` names one outright."""
    named = os.environ.get("SENSORSTREAM_CONFIG")
    if named:
        path = Path(named)
        if not path.is_file():
            raise ConfigError(f"SENSORSTREAM_CONFIG names {named}, which is not a file")
        return path
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    user = user_config_folder() / FILE_NAME
    return user if user.is_file() else None


def load(
    *,
    flags: Mapping[str, object] | None = None,
    properties: Sequence[str] = (),
    command_config: Path | None = None,
    profile: str | None = None,
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
) -> Settings:
    """Resolve the settings.

    ``flags`` are values given on the command line (None: not given) under the names of :class:`Settings`;
    ``properties`` are ``key=value`` texts of ``-X``; ``command_config`` is a Java client properties file.
    Raises ConfigError naming the file and the key, with the nearest right key where one is near.
    """
    environ = os.environ if environ is None else environ
    path = find_file(start)
    document = _read(path) if path else {}
    settings = Settings(topics=sensor_topics(), origins={"topics": "built-in"})
    if path:
        settings = _from_file(settings, document, path)
    settings = _from_profile(settings, document, profile or environ.get("SENSORSTREAM_PROFILE"), path)
    if command_config:
        settings = _with_properties(settings, read_java_properties(command_config), str(command_config))
    settings = _from_environment(settings, environ)
    settings = _with_properties(settings, parse_pairs(properties, "-X"), "-X")
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    return _with_values(settings, given, "command line")


def parse_pairs(pairs: Iterable[str], option: str) -> dict[str, str]:
    """``["a=b"]`` as ``{"a": "b"}``; the value may hold ``=``. Raises ConfigError naming ``option``."""
    parsed: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"{option} {pair!r} is not KEY=VALUE", hint=f"write it as {option} KEY=VALUE")
        parsed[key.strip()] = value
    return parsed


def read_java_properties(path: Path) -> dict[str, str]:
    r"""A Java client's properties file: ``key=value`` or ``key: value``; ``#`` and ``!`` comment, ``\`` joins lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--command-config {path} can't be read: {_reason(error)}") from error
    properties: dict[str, str] = {}
    pending = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = pending + raw.strip()
        if not line or (not pending and line[0] in "#!"):
            continue
        if line.endswith("\\"):
            pending = line[:-1]
            continue
        pending = ""
        cut = min((at for at in (line.find("="), line.find(":")) if at >= 0), default=-1)
        if cut <= 0:
            # The line itself is not shown: it may hold a password, or a piece of a key.
            raise ConfigError(f"{path}, line {number} is not key=value")
        properties[line[:cut].strip()] = line[cut + 1 :].strip()
    return properties


def nearest(word: str, known: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for the known word nearest to a misspelt one, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {_reason(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _from_file(settings: Settings, document: Mapping[str, Any], path: Path) -> Settings:
    _check_keys(document, _TOP_KEYS, str(path))
    tables = {"topics", "properties", "profiles"}
    for name in tables & document.keys():
        if not isinstance(document[name], dict):
            raise ConfigError(f"{path}: {name!r} must be a table, written [{name}]")
    values = {key: value for key, value in document.items() if key not in tables}
    settings = _with_values(settings, values, str(path))
    settings = _with_properties(settings, _texts(document.get("properties", {}), path), str(path))
    topics = document.get("topics")
    if topics:
        parsed = tuple(_topic(name, table, path) for name, table in topics.items())
        settings = replace(settings, topics=parsed, origins={**settings.origins, "topics": str(path)})
    return settings


def _from_profile(settings: Settings, document: Mapping[str, Any], profile: str | None, path: Path | None) -> Settings:
    if profile is None:
        return settings
    profiles = document.get("profiles", {})
    if profile not in profiles:
        where = f"in {path}" if path else f"because there is no {FILE_NAME}"
        known = f"there are: {', '.join(profiles)}" if profiles else "no profile is defined"
        raise ConfigError(f"profile {profile!r} is not known {where}", hint=nearest(profile, profiles) or known)
    table = profiles[profile]
    where = f"profile {profile} in {path}"
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: profile {profile!r} must be a table, written [profiles.{profile}]")
    _check_keys(table, _PROFILE_KEYS, where)
    values = {key: value for key, value in table.items() if key != "properties"}
    settings = _with_values(settings, values, where)
    return _with_properties(settings, _texts(table.get("properties", {}), where), where)


def _from_environment(settings: Settings, environ: Mapping[str, str]) -> Settings:
    for variable, name in ENVIRONMENT.items():
        text = environ.get(variable)
        if text is None:
            continue
        value: object = text
        if name in ("thread", "delay"):
            try:
                value = int(text) if name == "thread" else float(text)
            except ValueError as error:
                raise ConfigError(f"{variable}={text!r} is not a number") from error
        settings = _with_values(settings, {name: value}, variable)
    return settings


def _topic(name: str, table: object, path: Path) -> TopicSettings:
    where = f"{path}, topic {name}"
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, written [topics.{name}]")
    _check_keys(table, _TOPIC_KEYS, where)
    for key in ("partitions", "replication_factor"):
        if key in table and (not isinstance(table[key], int) or isinstance(table[key], bool) or table[key] < 1):
            raise ConfigError(f"{where}: {key} = {table[key]!r} is not a whole number of 1 or more")
    for key in ("source", "time_column", "time_format", "key"):
        if key in table and not isinstance(table[key], str):
            raise ConfigError(f"{where}: {key} = {table[key]!r} is not text")
    values = dict(table)
    if "source" in values:
        values["source"] = path.parent / Path(values["source"]).expanduser()
    if "configs" in values:
        values["configs"] = _texts(values["configs"], f"{where}, configs")
    return TopicSettings(name, **values)


def _with_values(settings: Settings, values: Mapping[str, object], origin: str) -> Settings:
    checked = {name: _check_value(name, value, origin) for name, value in values.items()}
    return replace(settings, origins={**settings.origins, **dict.fromkeys(checked, origin)}, **checked)


def _check_value(name: str, value: object, origin: str) -> Any:
    if name == "bootstrap":
        return _addresses(value, origin)
    if name == "client":
        if value not in CLIENTS:
            raise ConfigError(f"{origin}: client {value!r} is not known", hint=f"it is one of {', '.join(CLIENTS)}")
        return value
    if name == "thread":
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{origin}: thread = {value!r} is not a whole number of 1 or more")
        return value
    if name == "delay":
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
            raise ConfigError(f"{origin}: delay = {value!r} is not a number of seconds of 0 or more")
        return float(value)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{origin}: {name} = {value!r} is not a text")
    return value


def _addresses(value: object, origin: str) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise ConfigError(f"{origin}: bootstrap = {value!r} is not HOST:PORT[,HOST:PORT...]")
    addresses = []
    for part in parts:
        host, colon, port = str(part).strip().rpartition(":")
        if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigError(
                f"{origin}: bootstrap address {part!r} is not HOST:PORT", hint="for example 127.0.0.1:29092"
            )
        addresses.append(f"{host}:{port}")
    return tuple(addresses)


def _with_properties(settings: Settings, pairs: Mapping[str, str], origin: str) -> Settings:
    if not pairs:
        return settings
    pairs = dict(pairs)
    bootstrap = pairs.pop("bootstrap.servers", None)
    if bootstrap is not None:
        settings = _with_values(settings, {"bootstrap": bootstrap}, origin)
    added = {key: _hide(key, value) for key, value in pairs.items()}
    origins = {**settings.origins, **{f"properties.{key}": origin for key in added}}
    return replace(settings, properties={**settings.properties, **added}, origins=origins)


def _hide(key: str, value: str) -> str | Secret:
    return Secret(value) if any(word in key.lower() for word in _SECRET_WORDS) else value


def _texts(table: object, where: object) -> dict[str, str]:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: properties must be a table of key = value")
    texts: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            # TOML reads the unquoted key linger.ms as a table in a table; both spellings mean the same here.
            texts.update({f"{key}.{inner}": text for inner, text in _texts(value, where).items()})
        elif isinstance(value, bool):
            texts[key] = str(value).lower()
        elif isinstance(value, str | int | float):
            texts[key] = str(value)
        else:
            raise ConfigError(f"{where}: {key} = {value!r} is not a text or a number")
    return texts


def _check_keys(table: Mapping[str, object], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(
                f"{where}: unknown key {key!r}", hint=nearest(key, known) or f"known are: {', '.join(known)}"
            )


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8"


TEMPLATE: Final = """\
# sensorstream.toml - found from the current folder upwards, then in the user's configuration folder.
# Precedence: flag > -X key=value > SENSORSTREAM_* environment > profile > this file > built-in.
# What is commented out is the built-in default.

# bootstrap = "127.0.0.1:29092,127.0.0.1:39092,127.0.0.1:49092"
# client = "auto"                  # auto (librdkafka where it is installed), kafka-python, librdkafka
# group = "sensor_data_group"
# thread = 3                       # threads that share the sources
# delay = 10                       # seconds between the rows of one source; 0: as fast as it goes

# Client properties under their Java names.
# [properties]
# "compression.type" = "lz4"
# "linger.ms" = 20

# The topics of the lab. Written out, they replace the built-in AIR, EARTH and WATER.
# [topics.AIR]
# partitions = 2
# replication_factor = 3
# source = "AIR2308.csv"           # from this file's folder
# time_column = "Time"
# time_format = "%d/%m/%Y %H:%M:%S"  # leave it out for ISO 8601
# key = "Station"                  # leave it out for records without a key
# configs = { "retention.ms" = "604800000" }

# Other clusters, chosen with --profile NAME or SENSORSTREAM_PROFILE.
# [profiles.staging]
# bootstrap = "broker.example.org:9093"
# [profiles.staging.properties]
# "security.protocol" = "SASL_SSL"
# "sasl.mechanism" = "SCRAM-SHA-512"
# "sasl.username" = "me"
# "sasl.password" = "..."
"""


def write_template(path: Path, *, force: bool = False) -> None:
    """Write a commented configuration file. Raises ConfigError when ``path`` is there and ``force`` is not given."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already", hint="use --force to overwrite it") from error
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {_reason(error)}") from error
