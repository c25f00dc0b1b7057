"""Station 5: the settings of a ZooKeeper on the loopback, and those by which a broker finds it. Pure, no processes."""

from pathlib import Path
from typing import Final

from sensorstream.cluster import artifacts
from sensorstream.cluster.properties import LOOPBACK, logging_properties, path_value
from sensorstream.cluster.state import Mode
from sensorstream.errors import UsageError

_TICK_MS: Final = 1000
FIRST_WITHOUT: Final = (4,)
"""Kafka 4.0 removed ZooKeeper (KIP-866 and https://kafka.apache.org/40/documentation.html#upgrade_4_0_0)."""


def zookeeper_properties(port: int, data: Path, log_file: Path) -> tuple[str, tuple[str, str]]:
    """ZooKeeper's configuration and its logging as (file name, text)."""
    lines = {
        "dataDir": path_value(data),
        "clientPort": port,
        # Nobody outside this machine can connect.
        "clientPortAddress": LOOPBACK,
        "tickTime": _TICK_MS,
        "minSessionTimeout": 2 * _TICK_MS,
        "maxSessionTimeout": 20 * _TICK_MS,
        "maxClientCnxns": 0,
        # Else it opens a web server on port 8080.
        "admin.enableServer": "false",
        # What is asked while brokers start and are watched.
        "4lw.commands.whitelist": "srvr,ruok,dump",
        # A lab that runs for weeks: three snapshots are enough.
        "autopurge.purgeInterval": 1,
        "autopurge.snapRetainCount": 3,
    }
    name, logging = logging_properties(log_file, (3,))
    # A broker's log leaves out what ZooKeeper's client tells; here it is the server, and who comes and goes is the log.
    logging = logging.replace("org.apache.zookeeper=WARN", "org.apache.zookeeper=INFO")
    logging += "log4j.logger.org.apache.zookeeper.Environment=WARN\n"
    return "".join(f"{key}={value}\n" for key, value in lines.items()), (name, logging)


def choose_version(asked: str | None, mode: Mode) -> str:
    """The pinned version of Kafka that is meant; None: the default one, or the newest that has a ZooKeeper mode.

    Raises UsageError for a version that is not pinned, or has no ZooKeeper mode and is asked for with it.
    """
    if mode == "kraft":
        return artifacts.choose_version(asked)
    if asked is None:
        return [version for version in artifacts.pinned_versions() if _has_zookeeper(version)][-1]
    version = artifacts.choose_version(asked)
    if not _has_zookeeper(version):
        raise UsageError(
            f"Kafka {version} has no ZooKeeper mode: Kafka 4.0 removed it",
            hint="choose an older one, as in --mode zookeeper --kafka-version 3.9, or leave out --mode zookeeper",
        )
    return version


def _has_zookeeper(version: str) -> bool:
    return artifacts.version_key(version) < FIRST_WITHOUT
