"""Station 5: format the data folders of a cluster's nodes: by Kafka's own tool, or as it has formatted others.

The tool takes a second of Java. What it writes is the same for all controllers of a Kafka version, but for
``meta.properties``: there a node has the id of its cluster and one of its own, and from Kafka 3.7 on its folder has an
id, too (KIP-858). So the tool runs once per version; what it wrote is kept, and others get a copy with their own ids:

    <cache>/formatted/<Kafka version>

Users and their passwords are stored with the format (KIP-900): then the tool runs for each new cluster, and nothing is
kept.
"""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.node import Node, spawn_java
from sensorstream.cluster.properties import new_id
from sensorstream.cluster.secure.private_files import write_private
from sensorstream.errors import Interrupted, LocalClusterError
from sensorstream.own_files import make_folder, write_whole
from sensorstream.state_folder import cache_folder

_META: Final = "meta.properties"
_DEADLINE_S: Final = 60.0
_POLL_S: Final = 0.02

Content: TypeAlias = Mapping[str, bytes]
"""The files of a formatted folder by their path in it."""


def format_nodes(
    nodes: Sequence[Node],
    launch: Launch,
    version: str,
    cluster_id: str,
    stop: threading.Event,
    users: Sequence[str] = (),
) -> None:
    """Format the data folders of a new cluster's nodes, all of them controllers, which are configured.

    ``version`` is Kafka's, ``users`` what the tool is told of users, see :func:`format_by_tool`.
    Raises LocalClusterError with the tool's own words, Interrupted when ``stop`` was set, OSError.
    """
    content = None if users else _kept(version)
    if content is None:
        content = format_by_tool(nodes[0], launch, cluster_id, stop, users)
        if not users:
            _keep(version, content)
        nodes = nodes[1:]
    for one in nodes:
        _write(one, content, cluster_id)


def format_by_tool(
    one: Node, launch: Launch, cluster_id: str, stop: threading.Event, users: Sequence[str] = ()
) -> Content:
    """Have Kafka's own tool format a node, which is not left running, whatever happens; returns what it has written.

    ``users`` are further words of its command line, passwords among them: it gets all by a file.
    Raises LocalClusterError with the tool's own words, Interrupted when ``stop`` was set, OSError.
    """
    make_folder(one.data)
    told = ["format", "-t", cluster_id, "-c", str(one.properties_file), *users]
    arguments = one.folder / "format.arguments"
    write_private(arguments, "".join(f"{word}\n" for word in told))
    words = launch.command(one.folder, ["kafka.tools.StorageTool", f"@{arguments}"], one.logging_file, heap_mb=96)
    with one.output_file.open("wb") as output:
        tool = spawn_java(words, output.fileno(), one.folder)
    deadline = time.monotonic() + _DEADLINE_S
    try:
        while tool.poll() is None:
            if stop.wait(_POLL_S):
                raise Interrupted("stopped while formatting", hint="nothing was left running")
            if time.monotonic() > deadline:
                raise LocalClusterError(
                    f"formatting broker {one.node_id} took longer than {_DEADLINE_S:.0f} s",
                    hint=f"see {one.output_file}",
                )
        if tool.returncode != 0:
            raise LocalClusterError(
                f"broker {one.node_id} could not be formatted: {one.last_error()}", hint=f"see {one.output_file}"
            )
    finally:
        if tool.poll() is None:
            tool.kill()
            tool.wait()
        arguments.unlink(missing_ok=True)
    return {path.relative_to(one.data).as_posix(): path.read_bytes() for path in one.data.rglob("*") if path.is_file()}


def _write(one: Node, content: Content, cluster_id: str) -> None:
    """Format a node's data folder with what the tool wrote for another one. Raises OSError."""
    own = {"cluster.id": cluster_id, "node.id": str(one.node_id), "directory.id": new_id()}
    for name, data in content.items():
        path = one.data / name
        make_folder(path.parent)
        path.write_bytes(_with_ids(data, own) if name == _META else data)


def _with_ids(meta: bytes, ids: Mapping[str, str]) -> bytes:
    lines = [line.partition("=") for line in meta.decode("latin-1").splitlines()]
    return "".join(f"{key}{mark}{ids.get(key, value)}\n" for key, mark, value in lines).encode("latin-1")


def _path(version: str) -> Path:
    return cache_folder() / "formatted" / version


def _keep(version: str, content: Content) -> None:
    """Keep what the tool has written; where that can't be, the next cluster asks the tool again."""
    text = json.dumps({name: base64.b64encode(data).decode() for name, data in content.items()}).encode()
    with suppress(OSError):
        _path(version).parent.mkdir(parents=True, exist_ok=True)
        write_whole(_path(version), hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def _kept(version: str) -> Content | None:
    """What the tool wrote for this version; None where it is not known, or damaged."""
    try:
        mark, _, text = _path(version).read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(text).hexdigest().encode() != mark:
        return None
    return {name: base64.b64decode(data) for name, data in json.loads(text).items()}
