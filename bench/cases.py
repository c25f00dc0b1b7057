"""What is compared with what. The peers kcat and Miller are Debian packages of these names."""

import importlib.util
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from bench import perf_tools
from bench.measure import Case, measure
from sensorstream import admin
from sensorstream.config import Settings, TopicSettings, samples_folder
from sensorstream.samples import write_samples

SENSORSTREAM = [sys.executable, "-m", "sensorstream"]


def air_file(folder: Path, rows: int) -> Path:
    """A CSV file of AIR rows from the sample generator, made once; a long one repeats the rows of a year."""
    path = folder / f"AIR-{rows}.csv"
    if not path.exists():
        made = folder / f"samples-{rows}"
        write_samples(made, days=min(-(-rows // 1440), 365))
        header, *lines = (made / "AIR2308.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        shutil.rmtree(made)
        with path.open("w", encoding="utf-8") as target:
            target.write(header)
            for _ in range(rows // len(lines)):
                target.writelines(lines)
            target.writelines(lines[: rows % len(lines)])
    return path


def peers() -> None:
    """Raise when a peer is not installed: a comparison without its peer says nothing."""
    missing = [name for name in ("kcat", "mlr") if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"bench: {' and '.join(missing)} not found; install the Debian packages kcat and miller")


def clients_of() -> list[str]:
    """The clients that are installed; the fastest is the last."""
    found = ["kafka-python"]
    if importlib.util.find_spec("confluent_kafka") is not None:
        found.append("librdkafka")
    return found


def lines_file(folder: Path, rows: int) -> Path:
    """The values of the first rows as lines, for peers that read no CSV."""
    path = folder / f"lines-{rows}.jsonl"
    if not path.exists():
        with path.open("wb") as target:
            subprocess.run(["mlr", "--icsv", "--ojsonl", "cat", str(air_file(folder, rows))], stdout=target, check=True)
    return path


def csv_to_topic(settings: Settings, folder: Path, rows: int, clients: Sequence[str]) -> Case:
    """Publish a CSV file to a topic of two partitions, every row acknowledged by all in-sync replicas.

    The peer is given the same codec and promises, and time for its batches to fill. kcat is timed with ready lines,
    too: that is about as fast as these brokers take the rows. With ``--exactly-once`` each run is a job of its own,
    begun anew.
    """
    path = air_file(folder, rows)
    bootstrap = ",".join(settings.bootstrap)
    name = topic(settings, partitions=2)
    kcat = ["kcat", "-P", "-b", bootstrap, "-t", name, "-X", "linger.ms=20", "-X", "acks=all"]
    kcat += ["-X", "enable.idempotence=true", "-X", "compression.codec=lz4"]
    mlr_kcat = f"set -o pipefail; mlr --icsv --ojsonl cat {shlex.quote(str(path))} | {shlex.join(kcat)}"
    commands: dict[str, Sequence[str]] = {}
    for client in clients:
        ours = [*SENSORSTREAM, "produce", "-b", bootstrap, "--client", client, "--delay", "0", "-q"]
        commands[f"sensorstream ({client})"] = [*ours, "--source", f"{name}={path}"]
        once = [*ours, "--source", f"{name}={path}", "--exactly-once", "--restart"]
        commands[f"sensorstream ({client}), exactly once"] = once
    commands["mlr | kcat -P"] = ["bash", "-c", mlr_kcat]
    commands["kcat -P, ready lines"] = [*kcat, "-l", str(lines_file(folder, rows))]
    commands["seed lab's script"] = [sys.executable, "-m", "bench.seed_lab", bootstrap, name, str(path)]
    lines = lines_file(folder, min(rows, 20_000))
    commands["kafka-producer-perf-test, ready lines"] = perf_tools.produce(bootstrap, name, rows, lines)
    return Case("CSV to topic", rows, commands, peer="mlr | kcat -P", slow=["seed lab's script"])


SENDING: Final = (
    "--compression none",
    "--compression gzip",
    "--compression snappy",
    "--compression zstd",
    "--linger 0",
    "--linger 50",
    "--batch-size 65536",
    "--acks 1",
    "--no-idempotence",
    "--exactly-once --restart",
)
"""What docs/tuning.md tells of, one at a time beside the defaults."""


def sending(settings: Settings, folder: Path, rows: int, client: str) -> tuple[Case, dict[str, str]]:
    """The same file with each option of sending, and the topic that each command fills."""
    path = air_file(folder, rows)
    topics: dict[str, str] = {}
    commands: dict[str, Sequence[str]] = {}
    for given in ("defaults", *SENDING):
        name = topics[given] = topic(settings, partitions=2)
        commands[given] = [
            *(*SENSORSTREAM, "produce", "-b", ",".join(settings.bootstrap), "--client", client, "--delay", "0", "-q"),
            *("--source", f"{name}={path}", *(() if given == "defaults" else given.split())),
        ]
    return Case(f"how rows are sent ({client})", rows, commands, peer="defaults"), topics


def scaling(settings: Settings, folder: Path, rows: int, client: str) -> Case:
    """The same file into 1, 2, 4 and 8 partitions, and with two processes: the cost of a row stays what it is."""
    path = air_file(folder, rows)
    bootstrap = ",".join(settings.bootstrap)
    commands: dict[str, Sequence[str]] = {}
    for partitions, more in ((1, ()), (2, ()), (4, ()), (8, ()), (8, ("--processes", "2"))):
        name = topic(settings, partitions)
        label = (
            f"sensorstream ({client}), {partitions} partition{'s' if partitions > 1 else ''} {' '.join(more)}".rstrip()
        )
        commands[label] = [
            *(*SENSORSTREAM, "produce", "-b", bootstrap, "--client", client, "--delay", "0", "-q"),
            *("--source", f"{name}={path}", *more),
        ]
    return Case("partitions and processes", rows, commands, peer=next(iter(commands)))


def flat(settings: Settings, folder: Path, rows: int, client: str) -> Case:
    """The same file into 2, 50, 200 and 600 partitions: what a row costs must not grow with their number.

    The start-up, which is the same for all, is in the times; more than a few 100,000 rows make little of it.
    """
    path = air_file(folder, rows)
    commands: dict[str, Sequence[str]] = {}
    for partitions in (2, 50, 200, 600):
        name = topic(settings, partitions)
        commands[f"sensorstream ({client}), {partitions} partitions"] = [
            *(*SENSORSTREAM, "produce", "-b", ",".join(settings.bootstrap), "--client", client, "--delay", "0", "-q"),
            *("--source", f"{name}={path}"),
        ]
    return Case("many partitions", rows, commands, peer=next(iter(commands)))


def topic_to_csv(settings: Settings, folder: Path, rows: int, clients: Sequence[str]) -> Case:
    """Capture one partition into a CSV file; ours keeps its position, the peer does not."""
    path = air_file(folder, rows)
    bootstrap = ",".join(settings.bootstrap)
    name = topic(settings, partitions=1)
    measure([*SENSORSTREAM, "produce", "-b", bootstrap, "--delay", "0", "-q", "--source", f"{name}={path}"])
    target = folder / "captured"

    def prepare() -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()

    kcat_mlr = (
        f"set -o pipefail; kcat -C -b {bootstrap} -t {name} -p 0 -o beginning -e -q -X isolation.level=read_committed"
        f" | mlr --ijsonl --ocsv cat > {target}/kcat.csv"
    )
    commands: dict[str, Sequence[str]] = {
        f"sensorstream ({client})": [
            *(*SENSORSTREAM, "consume", "-b", bootstrap, "--client", client, "-q", "-e"),
            *("-t", name, "-p", "0", "--to", str(target)),
        ]
        for client in clients
    }
    commands["kcat -C | mlr"] = ["bash", "-c", kcat_mlr]
    commands["kafka-consumer-perf-test, counts only"] = perf_tools.consume(bootstrap, name, rows)
    return Case("topic to CSV", rows, commands, prepare, peer="kcat -C | mlr")


def scoring(settings: Settings, folder: Path, rows: int, clients: Sequence[str]) -> Case:
    """Score a topic of posts into another one; ours exactly once and with its language check, the plain loop without.

    The plain loop waits half a second for the end of the topic, which is nothing beside the rest.
    """
    bootstrap = ",".join(settings.bootstrap)
    posts = folder / f"posts-{rows}.jsonl"
    lines = (samples_folder() / "posts.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    with posts.open("w", encoding="utf-8") as target:
        target.writelines(islice(cycle(lines), rows))
    source, scored, dead = (topic(settings, partitions=2) for _ in range(3))
    measure([*SENSORSTREAM, "produce", "-b", bootstrap, "--delay", "0", "-q", "--source", f"{source}={posts}"])

    def stream(client: str) -> Sequence[str]:
        script = (
            f"exec {shlex.join(SENSORSTREAM)} sentiment stream -b {bootstrap} --client {client} -q -e "
            f"--from {source} --to {scored} --dead-letters {dead} -g bench-$RANDOM-$RANDOM-$RANDOM"
        )
        return ["bash", "-c", script]

    plain = f"exec {sys.executable} -m bench.plain_scorer {bootstrap} {source} {scored} bench-$RANDOM-$RANDOM"
    commands: dict[str, Sequence[str]] = {f"sensorstream ({client})": stream(client) for client in clients}
    commands["plain loop"] = ["bash", "-c", plain]
    return Case("posts scored", rows, commands, peer="plain loop")


def startup() -> Case:
    """How long ``--help`` takes beside that of a bare Typer program."""
    commands = {
        "sensorstream --help": [*SENSORSTREAM, "--help"],
        "bare Typer --help": [sys.executable, "-m", "bench.bare_typer", "--help"],
    }
    return Case("start-up", 0, commands, peer="bare Typer --help")


def memory(settings: Settings, folder: Path, rows: int, client: str) -> Case:
    """Publish a long file; what counts is the peak memory."""
    path = air_file(folder, rows)
    name = topic(settings, partitions=2)
    command = [
        *(*SENSORSTREAM, "produce", "-b", ",".join(settings.bootstrap), "--client", client, "--delay", "0", "-q"),
        *("--source", f"{name}={path}"),
    ]
    once = [*command, "--exactly-once", "--restart"]
    commands = {f"sensorstream ({client})": command, f"sensorstream ({client}), exactly once": once}
    return Case(f"{rows:,} rows", rows, commands)


def topic(settings: Settings, partitions: int) -> str:
    """A new topic of its own for a case."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    admin.create_topics(settings, [TopicSettings(name, partitions=partitions)])
    return name
