"""Kafka's own perf tools, as a peer: what Java clients do with lines that are ready, without CSV on either side.

They are in a jar of their own that the product has no use for; it is fetched once and checked like the others.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sensorstream.cluster import artifacts
from sensorstream.cluster.java_runtime import java_executable
from sensorstream.state_folder import cache_folder

TOOLS = artifacts.Jar(
    "org.apache.kafka:kafka-tools:4.3.0",  # the newest that is published; it runs with the clients of 4.4.0
    "b88bc6ccc520d648142515526e4042c285612ce94b032434a88e3e936e38b600",
    698592,
)
TUNED = ("acks=all", "enable.idempotence=true", "batch.size=1000000", "linger.ms=5")
"""With Kafka's own small batches it would be several times slower."""


def class_path() -> str:
    """The default Kafka version's jars and its tools. Raises SystemExit for tools that are not the pinned ones."""
    from jgo.maven import MavenContext

    jars = artifacts.fetch(artifacts.DEFAULT_VERSION)
    kept = cache_folder() / "jars" / TOOLS.file_name
    if not kept.exists():
        group, artifact, version = TOOLS.coordinate.split(":")
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            context = MavenContext(repo_cache=Path(folder), timeout=20)
            Path(context.project(group, artifact).at_version(version).artifact().resolve()).replace(kept)
    if hashlib.sha256(kept.read_bytes()).hexdigest() != TOOLS.sha256:
        raise SystemExit(f"bench: {kept} is not the pinned file; remove it")
    return ":".join(str(jar) for jar in (*jars, kept))


def produce(bootstrap: str, topic: str, rows: int, lines: Path) -> Sequence[str]:
    """Publish lines of a file, drawn at random, as fast as it goes."""
    return [
        *_java("ProducerPerformance"),
        *("--topic", topic, "--num-records", str(rows), "--throughput", "-1", "--payload-file", str(lines)),
        *("--producer-props", f"bootstrap.servers={bootstrap}", *TUNED),
    ]


def consume(bootstrap: str, topic: str, rows: int) -> Sequence[str]:
    """Read a topic and count."""
    return [
        *_java("ConsumerPerformance"),
        *("--bootstrap-server", bootstrap, "--topic", topic, "--num-records", str(rows)),
    ]


def _java(tool: str) -> Sequence[str]:
    return [str(java_executable().executable), "-Xmx256m", "-cp", class_path(), f"org.apache.kafka.tools.{tool}"]
