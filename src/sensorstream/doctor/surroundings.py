"""Settings and where they come from: the file, the environment, the client's options."""

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from sensorstream.clients import client_name
from sensorstream.clients.properties import ClientProperties, parse_properties
from sensorstream.config import ENVIRONMENT, Settings, find_file, nearest
from sensorstream.doctor.results import Check
from sensorstream.errors import ClusterUnreachable, ConfigError, SensorstreamError

_PREFIX: Final = "SENSORSTREAM_"
_OTHERS: Final = (
    "SENSORSTREAM_PROFILE", "SENSORSTREAM_CONFIG", "SENSORSTREAM_STATE_DIR", "SENSORSTREAM_CACHE_DIR",
    "SENSORSTREAM_JAVA",
)  # fmt: skip
_INTERNAL: Final = ("SENSORSTREAM_OWNER", "SENSORSTREAM_PYTEST_RUN")
_TESTS: Final = "SENSORSTREAM_TEST_"
_PACKAGES: Final = {"librdkafka": "confluent-kafka", "kafka-python": "kafka-python"}


def check_environment() -> list[Check]:
    """Which variables of ours are set, and those that nobody reads."""
    known = (*ENVIRONMENT, *_OTHERS)
    ours = [name for name in sorted(os.environ) if name.startswith(_PREFIX) and os.environ[name]]
    told = [_shown(name) for name in ours if name in known]
    checks = [Check("settings", "environment", None, "ok", ", ".join(told) or "no SENSORSTREAM_ variable is set")]
    for name in ours:
        if name in known or name in _INTERNAL or name.startswith(_TESTS):
            continue
        advice = nearest(name, known) or f"the variables are: {', '.join(known)}"
        checks.append(Check("settings", "environment", name, "warning", "this program does not read it", advice))
    return checks


def _shown(name: str) -> str:
    value = os.environ[name]
    # What stands before an @ may be a password, too.
    return f"{name}=********" if "PASSWORD" in name or "@" in value else f"{name}={value}"


def check_file() -> Check:
    """Which configuration file is in force."""
    try:
        path = find_file()
    except ConfigError as error:
        return Check("settings", "file", None, "problem", error.message, error.hint or "unset it, or name a file")
    return Check("settings", "file", None, "ok", str(path) if path else "none; the built-in defaults are in force")


def read(settings: Callable[[], Settings]) -> tuple[Settings | None, ClientProperties | None, list[Check]]:
    """The settings in force and the client's options, where they can be used; and what is wrong with them else."""
    try:
        found = settings()
    except ClusterUnreachable as error:  # cluster:NAME, and that one does not run
        return None, None, [Check("connection", "bootstrap", None, "problem", error.message, error.hint or None)]
    except SensorstreamError as error:
        advice = error.hint or "correct it; see: sensorstream config show"
        return None, None, [Check("settings", "settings", None, "problem", error.message, advice)]
    origin = found.origins.get("bootstrap", "built-in")
    checks = [Check("settings", "settings", None, "ok", f"bootstrap {','.join(found.bootstrap)} ({origin})")]
    try:
        name = client_name(found)
        properties = parse_properties(found.properties, found.origins)
        properties.check_for(name)
        properties.check_publishing(name)
    except ConfigError as error:
        return None, None, [*checks, Check("settings", "client", None, "problem", error.message, error.hint or None)]
    return found, properties, [*checks, _client(found, name)]


def _client(settings: Settings, name: str) -> Check:
    package = _PACKAGES[name]
    try:
        told = f"{name} ({package} {version(package)})"
    except PackageNotFoundError:
        told = name
    told += ", which auto takes here" if settings.client == "auto" else ""
    try:
        if name == "librdkafka":
            import sensorstream.clients.librdkafka.client
        else:
            import sensorstream.clients.kafka_python.client  # noqa: F401
    except (ImportError, OSError) as error:
        found = f"{told}; it can't be loaded: {error}"
        advice = f"pip install --force-reinstall {package}"
        advice += ", or --client kafka-python" if name == "librdkafka" else ""
        return Check("settings", "client", None, "problem", found, advice)
    return Check("settings", "client", None, "ok", told)
