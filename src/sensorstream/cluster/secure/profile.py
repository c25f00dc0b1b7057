"""Station 5: the files with which commands log in to a secured cluster: written by ``cluster up``, private.

<cluster>/client.properties.json   {"admin": {...}, "user": {...}}: Kafka's names for client properties
<cluster>/profiles.toml            the profiles NAME and NAME-user, which ``--profile`` finds by themselves
    <cluster>/kcat.admin.conf, kcat.user.conf   the same for kcat and whoever else stands on librdkafka: kcat -F FILE
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from sensorstream.clients.probe import ClusterHealth, cluster_health
from sensorstream.clients.properties import ClientProperties, parse_properties
from sensorstream.cluster.secure.private_files import write_private
from sensorstream.cluster.secure.users import ADMIN
from sensorstream.local_profiles import FILE_NAME as PROFILES
from sensorstream.local_profiles import names_of

PROPERTIES: Final = "client.properties.json"


def write(folder: Path, name: str, bootstrap: Sequence[str], users: Mapping[str, Mapping[str, str]]) -> None:
    """Write these files. Raises LocalClusterError when they can't be written."""
    folder.chmod(0o700)
    write_private(folder / PROPERTIES, json.dumps(users, indent=1) + "\n")
    for user, properties in users.items():
        words = parse_properties(properties).for_librdkafka("admin")
        write_private(folder / f"kcat.{user}.conf", "".join(f"{key}={value}\n" for key, value in words.items()))
    tables = []
    for profile, user in names_of(name).items():
        lines = [f"[profiles.{_quoted(profile)}]", f"bootstrap = {_quoted(','.join(bootstrap))}"]
        lines.append(f"[profiles.{_quoted(profile)}.properties]")
        lines += [f"{_quoted(key)} = {_quoted(value)}" for key, value in users[user].items()]
        tables.append("\n".join(lines) + "\n")
    write_private(folder / PROFILES, "\n".join(tables))


def forget(folder: Path) -> None:
    """Remove these files, where they are there."""
    for name in (PROPERTIES, PROFILES, "kcat.admin.conf", "kcat.user.conf"):
        (folder / name).unlink(missing_ok=True)


def prober(folder: Path) -> Callable[[Sequence[str], float], ClusterHealth]:
    """Asks the cluster whose folder this is how it is, as its super user where it is secured."""

    def ask(bootstrap: Sequence[str], timeout_s: float) -> ClusterHealth:
        return cluster_health(bootstrap, timeout_s, _of_admin(folder))

    return ask


def _of_admin(folder: Path) -> ClientProperties:
    try:
        content = json.loads((folder / PROPERTIES).read_text(encoding="utf-8"))
        return parse_properties(content[ADMIN])
    except (OSError, ValueError, KeyError, TypeError):
        return ClientProperties()


def _quoted(text: str) -> str:
    """A basic string of TOML, which escapes as JSON does."""
    return json.dumps(text)
