"""A group whose members are on other machines than the broker and than one another, as far as the network can tell.

Each member runs in a network namespace of its own, with nothing but a cable (veth) to the broker's side, so what is
advertised, resolved and connected must hold beyond the loopback. Root is needed to lay the cables.
"""

import csv
import json
import os
import secrets
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from running import PROGRAM, Started, cli, ok, until
from sensorstream.clients.probe import cluster_health
from sensorstream.cluster import artifacts, node
from sensorstream.cluster.formatting import format_by_tool
from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.java_runtime import java_executable
from sensorstream.cluster.preflight import free_ports
from sensorstream.cluster.properties import LOOPBACK, logging_properties, new_id, server_properties
from sensorstream.errors import ClusterUnreachable

pytestmark = [pytest.mark.broker, pytest.mark.campaign]  # it needs root's rights, and ip (iproute2)

WITHIN_S = 90
HERE, THERE = "10.213.{}.1", "10.213.{}.2"


@pytest.fixture(scope="module", autouse=True)
def _may_lay_cables() -> None:
    lacking = "ip (iproute2)" if shutil.which("ip") is None else "root's rights" if os.geteuid() != 0 else None
    if lacking is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{lacking} missing: a network namespace can't be made")
    pytest.skip(f"{lacking} missing: a network namespace can't be made")


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


@contextmanager
def namespace(name: str, subnet: int) -> Iterator[str]:
    """A network namespace whose only way out is a cable to ``HERE`` of its subnet; its own address is ``THERE``."""
    ours, theirs = f"{name}h", f"{name}g"
    try:
        ip("netns", "add", name)
        ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        ip("addr", "add", HERE.format(subnet) + "/30", "dev", ours)
        ip("link", "set", ours, "up")
        for device in ("lo", theirs):
            ip("-n", name, "link", "set", device, "up")
        ip("-n", name, "addr", "add", THERE.format(subnet) + "/30", "dev", theirs)
        ip("-n", name, "route", "add", "default", "via", HERE.format(subnet))
        yield name
    finally:
        # With the namespace goes its end of the cable, and with that the cable.
        for words in (["netns", "del", name], ["link", "del", ours]):
            subprocess.run(["ip", *words], capture_output=True, timeout=60, check=False)


@contextmanager
def broker_at(address: str, folder: Path) -> Iterator[str]:
    """One broker that listens on ``address`` and advertises it; gives its bootstrap address."""
    version = artifacts.choose_version(os.environ.get("SENSORSTREAM_TEST_KAFKA_VERSION"))
    key = artifacts.version_key(version)
    port, controller = free_ports(2)
    one = node.Node(1, folder / "broker-1", folder / "data")
    text = server_properties(
        1, ports={1: port}, controller_ports={1: controller}, log_dir=one.data, kafka_version=key
    ).replace(f"PLAINTEXT://{LOOPBACK}:{port}", f"PLAINTEXT://{address}:{port}")
    one.configure(text, logging_properties(one.log_file, key))
    launch = Launch(java_executable(), artifacts.fetch(version))
    format_by_tool(one, launch, new_id(), threading.Event())
    started = one.start(launch)
    try:
        bootstrap = f"{address}:{port}"

        def ready() -> bool:
            with suppress(ClusterUnreachable):
                return cluster_health([bootstrap], 2.0).quorum_leader is not None
            return False

        until(ready, f"a broker at {bootstrap}", WITHIN_S)
        yield bootstrap
    finally:
        with suppress(psutil.NoSuchProcess):
            node.end([psutil.Process(started.pid)], kill=True)


@contextmanager
def member(name: str, folder: Path, bootstrap: str) -> Iterator[Started]:
    """A capture in the namespace ``name``, into ``folder``."""
    words = ["consume", "-t", "SPREAD", "-g", "spread", "--to", str(folder), "-q", "-b", bootstrap]
    process = subprocess.Popen(
        ["ip", "netns", "exec", name, *PROGRAM, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    running = Started(process)
    try:
        yield running
    except BaseException:
        print(running.told)
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def captured(folder: Path) -> Counter[str]:
    """How often each row stands in the captured files of all members, which may be just being written."""
    rows: Counter[str] = Counter()
    for path in folder.glob("*/SPREAD_Consumer_*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows.update(row["row"] for row in csv.DictReader(file) if row.get("row"))
    return rows


def test_a_group_spans_machines_and_goes_on_when_one_leaves(tmp_path: Path) -> None:
    mark, subnet = secrets.token_hex(3), secrets.randbelow(200) + 20
    source = tmp_path / "rows.csv"
    source.write_text("row,value\n" + "".join(f"{row},{row % 7}.5\n" for row in range(2500)), encoding="utf-8")
    with ExitStack() as stack:
        names = [stack.enter_context(namespace(f"ss{mark}{end}", subnet + at)) for at, end in enumerate("ab")]
        bootstrap = stack.enter_context(broker_at(HERE.format(subnet), tmp_path))
        ok("topics", "create", "SPREAD", "--partitions", "4", "--replication-factor", "1", "-b", bootstrap)
        # A folder each, as on machines: what they share is what they tell their group.
        folder = tmp_path / "captured"
        members = [stack.enter_context(member(name, folder / name, bootstrap)) for name in names]

        def hosts() -> set[str]:
            done = cli("lag", "-g", "spread", "-b", bootstrap, "--output", "json")
            if done.returncode != 0:  # the group is known when its first member has joined
                return set()
            seen = json.loads(done.stdout)["result"]["partitions"]
            return {one["host"].lstrip("/") for one in seen if one["host"] is not None} if len(seen) == 4 else set()

        everyone = {THERE.format(subnet), THERE.format(subnet + 1)}
        until(lambda: hosts() == everyone, "a partition for each of the two machines", WITHIN_S)
        publish = ["produce", "--source", f"SPREAD={source}", "--delay", "0", "-b", bootstrap]
        ok(*publish, "--limit", "1000")
        until(lambda: len(captured(folder)) == 1000, "a thousand rows on two machines", WITHIN_S)

        members[0].signal(signal.SIGTERM)
        assert members[0].end() == 0, members[0].told
        until(lambda: hosts() == {THERE.format(subnet + 1)}, "all partitions on the machine that is left", WITHIN_S)
        ok(*publish, "--from-row", "SPREAD=1000", "--limit", "1000")
        until(lambda: len(captured(folder)) == 2000, "two thousand rows", WITHIN_S)
        # The first one comes back with its folder: it goes on behind what the other one has stored meanwhile.
        members.append(stack.enter_context(member(names[0], folder / names[0], bootstrap)))
        until(lambda: hosts() == everyone, "partitions for both again", WITHIN_S)
        ok(*publish, "--from-row", "SPREAD=2000")
        until(lambda: len(captured(folder)) == 2500, "two thousand five hundred rows", WITHIN_S)
        members[2].signal(signal.SIGTERM)
        assert members[2].end() == 0, members[2].told
        members[1].signal(signal.SIGTERM)
        assert members[1].end() == 0, members[1].told
        assert captured(folder) == Counter(map(str, range(2500))), "each row once"
