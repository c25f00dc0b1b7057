"""Pin the jars of an Apache Kafka version: ``python tools/pin_kafka.py 4.4.0 [...]``.

Resolves ``org.apache.kafka:kafka_2.13:V`` with everything it needs at run time, adds the slf4j binding that fits
the version (without one a broker logs nothing), fetches each jar and writes coordinate, SHA-256 and size to
``src/sensorstream/cluster/pins/V.json``. Run by hand when a Kafka version is added; the program itself only ever
reads the pins.
"""

import hashlib
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from jgo.maven import MavenContext

PINS = Path(__file__).parents[1] / "src" / "sensorstream" / "cluster" / "pins"
RELOAD4J = "1.2.26"
LOG4J = "2.25.5"
"""For the versions of Kafka that do not say themselves which log4j 2 they run with (4.0)."""


class Mismatches(logging.Handler):
    """Makes an error of what the resolver only warns of: a jar that differs from its published checksum."""

    def emit(self, record: logging.LogRecord) -> None:
        """End the program when a message tells of a mismatch."""
        if "mismatch" in record.getMessage():
            raise SystemExit(record.getMessage())


def coordinates(context: Any, version: str) -> list[str]:
    """The run-time class path as ``group:artifact:version``, Kafka itself first."""
    inputs, transitive = context.resolver.resolve([context.create_dependency(f"org.apache.kafka:kafka_2.13:{version}")])
    found: dict[tuple[str, str], str] = {}
    for part in (*inputs, *transitive):
        if part.scope not in (None, "compile", "runtime") or part.type != "jar":
            continue
        if part.classifier:
            raise SystemExit(f"{part} has a classifier, which the pins do not know")
        found.setdefault((part.groupId, part.artifactId), part.version)
    if version.startswith("3."):
        found["org.slf4j", "slf4j-reload4j"] = found["org.slf4j", "slf4j-api"]
        found["ch.qos.reload4j", "reload4j"] = RELOAD4J
    else:
        log4j = found.get(("org.apache.logging.log4j", "log4j-core"), LOG4J)
        for artifact in ("log4j-api", "log4j-core", "log4j-slf4j-impl"):
            found["org.apache.logging.log4j", artifact] = log4j
    return [f"{group}:{artifact}:{number}" for (group, artifact), number in found.items()]


def pin(context: Any, version: str) -> Path:
    """Write the pins of one version and return their file."""
    jars = []
    for coordinate in coordinates(context, version):
        group, artifact, number = coordinate.split(":")
        data = context.project(group, artifact).at_version(number).artifact().resolve().read_bytes()
        jars.append({"coordinate": coordinate, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)})
    path = PINS / f"{version}.json"
    path.write_text(json.dumps({"kafka": version, "jars": jars}, indent=1) + "\n", encoding="utf-8")
    print(f"{version}: {len(jars)} jars, {sum(jar['size'] for jar in jars) / 1e6:.0f} MB")
    return path


def main(versions: list[str]) -> None:
    """Pin each version named."""
    if not versions:
        raise SystemExit(__doc__)
    logging.getLogger("jgo").addHandler(Mismatches())
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=60)
        for version in versions:
            pin(context, version)


if __name__ == "__main__":
    main(sys.argv[1:])
