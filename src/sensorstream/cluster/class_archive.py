"""Station 5: an archive of a broker's Java classes, created once per Kafka version and Java, for a faster start.

Half of what a broker does until it is ready is loading and checking some 9,000 classes. Java can keep them in the form
that it makes of them (application class-data sharing, JEP 310 and JEP 350). The wheel's Java comes without the archive
of its own classes that such an archive builds on, so both are made here: by a broker that starts, stops, and is thrown
away. It is not left to the first stop of a real one: brokers that are killed make none, and three that stop at once
would write the same file.

    <cache>/classes/<Kafka version>-<mark of Java and the jars>/{java,kafka}.jsa

Java itself refuses an archive that does not fit it or its class path, and starts without.
"""

import hashlib
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from sensorstream.cluster import artifacts, node, properties, state
from sensorstream.cluster.formatting import format_nodes
from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.java_runtime import Java
from sensorstream.cluster.preflight import free_ports, listens
from sensorstream.errors import Interrupted, LocalClusterError, SensorstreamError
from sensorstream.events import Listener, Notice
from sensorstream.state_folder import cache_folder

_NAMES: Final = ("java.jsa", "kafka.jsa")
_DEADLINE_S: Final = 120.0
_POLL_S: Final = 0.05


def archive_folder() -> Path:
    """Where archives are kept, a folder for each Kafka version and Java."""
    return cache_folder() / "classes"


def launch(java: Java, class_path: tuple[Path, ...], version: str) -> Launch:
    """What to start brokers of this version with; from the archive, where there is one."""
    return _launch(java, class_path, _paths(java, class_path, version))


def prepared_launch(
    java: Java, class_path: tuple[Path, ...], version: str, listener: Listener, stop: threading.Event
) -> Launch:
    """As :func:`launch`; the archive is made first where it is missing, which takes some seconds.

    Brokers start without one where it can't be made. Raises Interrupted when ``stop`` was set meanwhile.
    """
    archive = _paths(java, class_path, version)
    folder = archive[0].parent
    ready = _launch(java, class_path, archive)
    if ready.archive or ":" in str(folder):  # a colon stands between the two archives
        return ready
    try:
        with state.locked(folder, stop):
            ready = _launch(java, class_path, archive)  # once more: another command may have been faster
            if not ready.archive:
                listener(Notice(f"preparing Kafka {version} once, for faster starts (about 60 MB in {folder})"))
                _make(ready, version, folder, stop)
    except (SensorstreamError, OSError, subprocess.SubprocessError) as error:
        if isinstance(error, Interrupted):
            raise
        listener(Notice(f"brokers start without an archive of their classes: {error}", "debug"))
    return _launch(java, class_path, archive)


def _launch(java: Java, class_path: tuple[Path, ...], archive: tuple[Path, Path]) -> Launch:
    return Launch(java, class_path, archive if all(path.is_file() for path in archive) else ())


def _paths(java: Java, class_path: tuple[Path, ...], version: str) -> tuple[Path, Path]:
    """Where the archives of Java's own classes and of Kafka's are; Java checks the times of the files, too."""
    stamps = [str(java.major), *(f"{path}:{_stamp(path)}" for path in (java.executable.resolve(), *class_path))]
    mark = hashlib.sha256("\0".join(stamps).encode()).hexdigest()[:12]
    folder = archive_folder() / f"{version}-{mark}"
    return folder / _NAMES[0], folder / _NAMES[1]


def _stamp(path: Path) -> str:
    with suppress(OSError):
        found = path.stat()
        return f"{found.st_size}:{found.st_mtime_ns}"
    return "missing"


def _make(plain: Launch, version: str, folder: Path, stop: threading.Event) -> None:
    """Make both archives beside their places, and move them there when they are whole."""
    with tempfile.TemporaryDirectory(prefix="making-", dir=folder) as name:
        making = Path(name)
        base, top = folder / _NAMES[0], making / _NAMES[1]
        subprocess.run(plain.dump(making / base.name), capture_output=True, timeout=_DEADLINE_S, check=True)
        (making / base.name).replace(base)  # now: the one on top of it remembers where it was
        if stop.is_set():
            raise Interrupted("stopped while Kafka was prepared", hint="nothing was left running")
        _run_a_broker(replace(plain, archive=(base,)), version, making, top, stop)
        if not top.is_file():
            raise LocalClusterError("Java has not written the archive")
        top.replace(folder / top.name)


def _run_a_broker(launching: Launch, version: str, making: Path, archive: Path, stop: threading.Event) -> None:
    """Format, start and stop a broker, whose classes Java writes into ``archive`` when it ends."""
    key = artifacts.version_key(version)
    port, controller_port = free_ports(2)
    one = node.Node(1, making / "broker-1", making / "data")
    one.configure(
        properties.server_properties(
            1, ports={1: port}, controller_ports={1: controller_port}, log_dir=one.data, kafka_version=key
        ),
        properties.logging_properties(one.log_file, key),
    )
    format_nodes([one], launching, version, properties.new_id(), stop)
    started = one.start(replace(launching, options=(f"-XX:ArchiveClassesAtExit={archive}",)))
    deadline = time.monotonic() + _DEADLINE_S
    try:
        while not listens(port):
            if stop.wait(_POLL_S):
                raise Interrupted("stopped while Kafka was prepared", hint="nothing was left running")
            if node.running(started, one.folder) is None or time.monotonic() > deadline:
                raise LocalClusterError(f"the temporary broker for the class archive did not start: {one.last_error()}")
        process = node.running(started, one.folder)
        killed = [] if process is None else node.end([process], deadline_s=_DEADLINE_S)
        if process is None or killed:
            raise LocalClusterError("the temporary broker for the class archive did not stop")
    finally:
        left = node.running(started, one.folder)
        if left is not None:
            node.end([left], kill=True)
