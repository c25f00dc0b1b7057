"""From the command line, the environment, profiles and files to one settings object."""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sensorstream import producer_options
from sensorstream.addresses import parse_addresses
from sensorstream.config.built_in import sensor_topics
from sensorstream.config.settings import Secret, Settings, TopicSettings, hidden
from sensorstream.description import KEYS as DESCRIPTION_KEYS
from sensorstream.description import description_of
from sensorstream.errors import ConfigError
from sensorstream.local_profiles import local_profile
from sensorstream.row_rules import KEYS as ROW_KEYS
from sensorstream.row_rules import row_rules_of
from sensorstream.secret_sources import looked_up
from sensorstream.storage_rules import KEYS as STORAGE_KEYS
from sensorstream.storage_rules import rules_of

FILE_NAME: Final = "sensorstream.toml"
CLIENTS: Final = ("auto", "kafka-python", "librdkafka")

REGISTRY_KEYS: Final = (
    "schema_registry", "schema_registry_user", "schema_registry_password", "schema_registry_ca",
)  # fmt: skip
"""What is to be known of a schema registry: its address, who asks, and a file of the certificates to trust."""

ENVIRONMENT: Final = {
    "SENSORSTREAM_BOOTSTRAP": "bootstrap",
    "SENSORSTREAM_CLIENT": "client",
    "SENSORSTREAM_GROUP": "group",
    "SENSORSTREAM_THREAD": "thread",
    "SENSORSTREAM_DELAY": "delay",
    "SENSORSTREAM_EXACTLY_ONCE": "exactly_once",
    **{f"SENSORSTREAM_{name.upper()}": name for name in REGISTRY_KEYS},
    **{f"SENSORSTREAM_{name.upper()}": name for name in producer_options.OPTIONS},
}
"""Environment variables that set a value; ``SENSORSTREAM_PROFILE`` and ``SENSORSTREAM_CONFIG`` choose where from.
One that is set and empty counts as not set."""

CLOCKS: Final = ("common", "own")
"""By which clock a source goes with ``--speed``: one for all sources, or one of its own."""
_PROFILE_KEYS: Final = (
    "bootstrap", "client", "group", "thread", "delay", "exactly_once", *producer_options.OPTIONS, *REGISTRY_KEYS,
    "properties",
)  # fmt: skip
_TOP_KEYS: Final = (*_PROFILE_KEYS, "topics", "profiles")
_TOPIC_KEYS: Final = (
    "partitions", "replication_factor", "source", "time_column", "time_format", "time_zone", "clock", "key", "configs",
    "capture", "follow", "timeout", "value_format", "schema", "schema_registry", *DESCRIPTION_KEYS,
)  # fmt: skip


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

    ``flags`` are values given on the command line (None: not given) under the names of :class:`Settings`, or of
    :data:`sensorstream.producer_options.OPTIONS`, which become properties;
    ``properties`` are ``key=value`` texts of ``-X``; ``command_config`` is a Java client properties file.
    Raises ConfigError naming the file and the key, with the nearest right key where one is near.
    """
    environ = os.environ if environ is None else environ
    path = find_file(start)
    document = _read(path) if path else {}
    settings = Settings(topics=sensor_topics(), origins={"topics": "built-in"})
    if path:
        settings = _from_file(settings, document, path)
    settings = _from_profile(settings, document, profile or environ.get("SENSORSTREAM_PROFILE") or None, path)
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
        raise ConfigError(f"--command-config {path} can't be read: {reason_of(error)}") from error
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
        raise ConfigError(f"{path} can't be read: {reason_of(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _from_file(settings: Settings, document: Mapping[str, Any], path: Path) -> Settings:
    _check_keys(document, _TOP_KEYS, str(path))
    tables = {"topics", "properties", "profiles"}
    for name in tables & document.keys():
        if not isinstance(document[name], dict):
            raise ConfigError(f"{path}: {name!r} must be a table, written [{name}]")
    values = {key: value for key, value in document.items() if key not in tables}
    settings = _with_properties(settings, _texts(document.get("properties", {}), path), str(path))
    settings = _with_values(settings, values, str(path))
    topics = document.get("topics")
    if topics:
        parsed = tuple(_topic(name, table, path) for name, table in topics.items())
        settings = replace(settings, topics=parsed, origins={**settings.origins, "topics": str(path)})
    return settings


def _from_profile(settings: Settings, document: Mapping[str, Any], profile: str | None, path: Path | None) -> Settings:
    if profile is None:
        return settings
    profiles = document.get("profiles", {})
    local = None if profile in profiles else local_profile(profile)
    if local is not None:
        profiles, path = {profile: local[0]}, local[1]
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
    settings = _with_properties(settings, _texts(table.get("properties", {}), where), where)
    return _with_values(settings, values, where)


def _from_environment(settings: Settings, environ: Mapping[str, str]) -> Settings:
    for variable, name in ENVIRONMENT.items():
        text = environ.get(variable)
        if not text:  # set and empty is as good as not set
            continue
        value: object = text
        if name in ("thread", "delay"):
            try:
                value = int(text) if name == "thread" else float(text)
            except ValueError as error:
                raise ConfigError(f"{variable}={text!r} is not a number") from error
        elif name == "exactly_once":
            value = {"true": True, "false": False}.get(text.lower(), text)
        settings = _with_values(settings, {name: value}, variable)
    return settings


def _topic(name: str, table: object, path: Path) -> TopicSettings:
    where = f"{path}, topic {name}"
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, written [topics.{name}]")
    _check_keys(table, _TOPIC_KEYS, where)
    if table.get("clock", "common") not in CLOCKS:
        raise ConfigError(f"{where}: clock = {table['clock']!r} is not known", hint=f"it is {' or '.join(CLOCKS)}")
    for key in ("partitions", "replication_factor"):
        if key in table and (not isinstance(table[key], int) or isinstance(table[key], bool) or table[key] < 1):
            raise ConfigError(f"{where}: {key} = {table[key]!r} is not a whole number of 1 or more")
    if isinstance(table.get("time_column"), list):
        names = table["time_column"]
        if not names or not all(isinstance(one, str) and one.strip() and "," not in one for one in names):
            raise ConfigError(f"{where}: time_column = {names!r} is not a list of column names")
        table = {**table, "time_column": ",".join(names)}
    for key in (
        "source",
        "time_column",
        "time_format",
        "time_zone",
        "key",
        "value_format",
        "schema",
        "schema_registry",
    ):
        if key in table and not isinstance(table[key], str):
            raise ConfigError(f"{where}: {key} = {table[key]!r} is not text")
    if not isinstance(table.get("follow", False), bool):
        raise ConfigError(f"{where}: follow = {table['follow']!r} is not true or false")
    timeout = table.get("timeout", 0)
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0 <= timeout < float("inf"):
        raise ConfigError(f"{where}: timeout = {timeout!r} is not a number of seconds of 0 or more")
    values = {key: value for key, value in table.items() if key not in DESCRIPTION_KEYS}
    values["description"] = description_of(table, where)
    if "source" in values:
        values["source"] = path.parent / Path(values["source"]).expanduser()
    if "schema" in values:
        values["schema"] = path.parent / Path(values["schema"]).expanduser()
    if "configs" in values:
        values["configs"] = _texts(values["configs"], f"{where}, configs")
    if "capture" in values:
        if not isinstance(values["capture"], dict):
            raise ConfigError(f"{where}: capture must be a table, written [topics.{name}.capture]")
        _check_keys(values["capture"], (*STORAGE_KEYS, *ROW_KEYS), f"{where}, capture")
        rows = {key: value for key, value in values["capture"].items() if key in ROW_KEYS}
        storage = {key: value for key, value in values["capture"].items() if key not in ROW_KEYS}
        values["rows"] = row_rules_of(rows, f"{where}, capture: ")
        values["capture"] = rules_of(storage, f"{where}, capture: ")
    return TopicSettings(name, **values)


def _with_values(settings: Settings, values: Mapping[str, object], origin: str) -> Settings:
    named = {name: value for name, value in values.items() if name in producer_options.OPTIONS}
    settings = _with_properties(settings, producer_options.as_properties(named, origin), origin)
    checked = {name: _check_value(name, value, origin) for name, value in values.items() if name not in named}
    return replace(settings, origins={**settings.origins, **dict.fromkeys(checked, origin)}, **checked)


def _check_value(name: str, value: object, origin: str) -> Any:
    if name == "bootstrap":
        return parse_addresses(value, origin)
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
    if name == "exactly_once":
        if not isinstance(value, bool):
            raise ConfigError(f"{origin}: exactly_once = {value!r} is not true or false")
        return value
    if not isinstance(value, str) or not value:
        shown = "" if name == "schema_registry_password" else f" = {value!r}"
        raise ConfigError(f"{origin}: {name}{shown} is not a text")
    return Secret(looked_up(value, name, origin)) if name == "schema_registry_password" else value


def _with_properties(settings: Settings, pairs: Mapping[str, str], origin: str) -> Settings:
    if not pairs:
        return settings
    pairs = dict(pairs)
    bootstrap = pairs.pop("bootstrap.servers", None)
    if bootstrap is not None:
        settings = _with_values(settings, {"bootstrap": bootstrap}, origin)
    added = {key: hidden(key, looked_up(value, key, origin)) for key, value in pairs.items()}
    origins = {**settings.origins, **{f"properties.{key}": origin for key in added}}
    # Behind all others: of two names for the same thing the last one holds.
    kept = {key: value for key, value in settings.properties.items() if key not in added}
    return replace(settings, properties={**kept, **added}, origins=origins)


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


def reason_of(error: OSError | UnicodeDecodeError) -> str:
    """Why a file can't be read or written, in a few words."""
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8"
