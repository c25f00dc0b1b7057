"""Station 5: what a node is started with: the arguments of its Java process."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sensorstream.cluster.java_runtime import Java
from sensorstream.cluster.preflight import NODE_MARK


@dataclass(frozen=True, slots=True)
class Launch:
    """What every node of a cluster is started with: the runtime, the class path, archives of classes, more options.

    ``archive`` is that of Java's own classes and, on top of it, that of Kafka's.
    """

    java: Java
    class_path: tuple[Path, ...]
    archive: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()

    def dump(self, archive: Path) -> list[str]:
        """The command line that writes Java's own classes into ``archive``, for nodes of this launch."""
        return [
            str(self.java.executable),
            "-Xmx256m",
            *self._fixed(),
            "-Xshare:dump",
            f"-XX:SharedArchiveFile={archive}",
        ]

    def command(self, folder: Path, main: Sequence[str], logging: Path, heap_mb: int = 256) -> list[str]:
        """The command line of a Java process that belongs to the node whose own folder is ``folder``."""
        kind = "log4j2.configurationFile" if logging.name == "log4j2.properties" else "log4j.configuration"
        words = [
            str(self.java.executable),
            f"{NODE_MARK}{folder}",
            f"-Xmx{heap_mb}m",
            *self._fixed(),
            "-Xshare:auto",
            "-Djava.awt.headless=true",
            f"-D{kind}={logging.as_uri()}",
        ]
        if self.archive:
            words.append(f"-XX:SharedArchiveFile={':'.join(map(str, self.archive))}")
            words.append("-Xlog:disable")  # what Java says of an archive that does not fit it
        words += [*self.options, "-cp", os.pathsep.join(map(str, self.class_path)), *main]
        return words

    def _fixed(self) -> list[str]:
        """Options that an archive and those who start from it must have in common."""
        # Three brokers on a laptop: the collector and the compiler that take the least memory and start fastest.
        words = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        if self.java.major >= 24:
            words.append("--enable-native-access=ALL-UNNAMED")  # else a warning each for zstd and snappy
            words.append("--sun-misc-unsafe-memory-access=allow")
        return words
